"""A tokenizer in which every word is one token. Its files have the official format.

The released tokenizer has 102,400 tokens, and each would need an embedding of its own. A few hundred
captions have a few hundred words. One token per word also makes attention maps and prompt lengths
easy to read. The price: a word that no caption has is refused. The special tokens are those of the
official tokenizer.
"""

from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Int
from tokenizers import AddedToken, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import PreTokenizer, Punctuation, WhitespaceSplit
from tokenizers.pre_tokenizers import Sequence as InTurn
from tokenizers.processors import TemplateProcessing
from torch import Tensor
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from janus_minimal.prompt import TEMPLATE

BEGIN, PAD, IMAGE, UNKNOWN = "<｜begin▁of▁sentence｜>", "<｜▁pad▁｜>", "<begin_of_image>", "<unk>"
SMALL, SPACES = Lowercase(), WhitespaceSplit()
SPACES_AND_MARKS = InTurn([SPACES, Punctuation()])


def build_tokenizer(words: Sequence[str], cut: PreTokenizer = SPACES) -> PreTrainedTokenizerFast:
    """Return the tokenizer with these words, in this order, after the special tokens.

    Capital letters are read as small ones. "a red circle" in the chat template becomes 7 tokens of
    the small world: begin of sentence, "user:", "a", "red", "circle", "assistant:", begin of image.

    Args:
        words: in small letters. Any other word becomes the token for the unknown.
        cut: where a text is cut into words.
    """
    every = [BEGIN, PAD, IMAGE, UNKNOWN, *words]
    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(every)}, unk_token=UNKNOWN))
    tokenizer.normalizer = SMALL
    tokenizer.pre_tokenizer = cut
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


def learn_tokenizer(captions: Iterable[str]) -> PreTrainedTokenizerFast:
    """Return a tokenizer that knows the words of these captions, in alphabetical order.

    Punctuation is cut off, so that "cat" and "cat," have the same token for the cat.

    >>> learn_tokenizer(["A cat, asleep"]).tokenize("a cat asleep, a dog")
    ['a', 'cat', 'asleep', ',', 'a', '<unk>']
    """
    texts = (TEMPLATE.format(prompt=caption).replace(IMAGE, "") for caption in captions)
    cut = (SPACES_AND_MARKS.pre_tokenize_str(SMALL.normalize_str(text)) for text in texts)
    words = {word for pieces in cut for word, _ in pieces}
    return build_tokenizer(sorted(words), SPACES_AND_MARKS)


def tokenize(tokenizer: PreTrainedTokenizerBase, captions: Sequence[str]) -> list[Int[Tensor, "_"]]:
    """Return the token ids of each caption in the chat template, the last token still there."""
    texts = [TEMPLATE.format(prompt=caption) for caption in captions]
    return [torch.tensor(ids) for ids in tokenizer(texts).input_ids]
