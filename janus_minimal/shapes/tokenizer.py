"""The small world's tokenizer: every word is one token. Its files have the official format.

A vocabulary of 33 tokens is enough for all captions, and one token per word makes attention maps and
prompt lengths easy to read. The special tokens are those of the official tokenizer.
"""

from tokenizers import AddedToken, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import WhitespaceSplit
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from janus_minimal.shapes.caption import WORDS

BEGIN, PAD, IMAGE, UNKNOWN = "<｜begin▁of▁sentence｜>", "<｜▁pad▁｜>", "<begin_of_image>", "<unk>"


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Return the tokenizer: special tokens, the two words of the chat template, the captions' words.

    "a red circle" in the chat template becomes 7 tokens: begin of sentence, "user:", "a", "red",
    "circle", "assistant:", begin of image.
    """
    words = [BEGIN, PAD, IMAGE, UNKNOWN, "user:", "assistant:", *WORDS]
    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(words)}, unk_token=UNKNOWN))
    tokenizer.normalizer = Lowercase()
    tokenizer.pre_tokenizer = WhitespaceSplit()
    tokenizer.post_processor = TemplateProcessing(single=f"{BEGIN} $A", special_tokens=[(BEGIN, 0)])
    tokenizer.add_special_tokens(
        [AddedToken(word, normalized=False) for word in (BEGIN, PAD, IMAGE)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BEGIN,
        pad_token=PAD,
        unk_token=UNKNOWN,
        clean_up_tokenization_spaces=False,
    )
