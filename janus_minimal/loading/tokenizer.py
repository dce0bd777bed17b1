"""The tokenizer of a checkpoint directory, checked before the first prompt is tokenised with it."""

from pathlib import Path

from transformers import PreTrainedTokenizerBase

from janus_minimal.errors import CheckpointError
from janus_minimal.loading.pretrained import read_tokenizer
from janus_minimal.loading.vocabulary import encode, padding_id, vocabulary_size
from janus_minimal.prompt import TAG, TEMPLATE

VISIBLE = "".join(map(chr, range(33, 127))) + "\U00013000"  # and a hieroglyph, which few have


def load_tokenizer(directory: Path, vocab_size: int) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a directory in the official layout. Raises CheckpointError."""
    tokenizer = read_tokenizer(directory)
    check_tokenizer(tokenizer, vocab_size)
    return tokenizer


def check_tokenizer(tokenizer: PreTrainedTokenizerBase, vocab_size: int) -> None:
    """Raise CheckpointError unless prompts of the official form can be made with this tokenizer.

    Each fault would otherwise draw wrong pictures without an error. If the tag is cut into pieces,
    dropping the last token drops a piece of it; if something follows the tag, it stays. If texts do
    not begin with the begin-of-sentence token, the unconditional row keeps a word. A character that
    is left out, where there is no token for unknown ones, makes another prompt. An id beyond the
    embedding table fails in step one. What is written in Python does not tell its unknown token.
    """
    if not hasattr(tokenizer, "backend_tokenizer"):
        raise CheckpointError(
            f"the tokenizer is a {type(tokenizer).__name__}: "
            "expected one of the library tokenizers, as AutoTokenizer loads it"
        )
    ids, plain = (encode(tokenizer, TEMPLATE, special) for special in (True, False))
    tag = [tokenizer.get_vocab().get(TAG)]
    if encode(tokenizer, TAG, False) != tag or plain[-1:] != tag:
        raise CheckpointError(f"the tokenizer has no token {TAG}: it cuts it into pieces")
    if tokenizer.bos_token_id is None or ids[:1] != [tokenizer.bos_token_id]:
        raise CheckpointError("the tokenizer begins no text with a begin-of-sentence token")
    if ids[1:] != plain:
        raise CheckpointError("the tokenizer adds more to a text than a begin-of-sentence token")
    size = vocabulary_size(tokenizer)
    if size > vocab_size:
        raise CheckpointError(
            f"the tokenizer has {size} tokens, the model knows {vocab_size}: "
            "they belong to different models"
        )
    if lost := [character for character in VISIBLE if not encode(tokenizer, character, False)]:
        raise CheckpointError(
            f"the tokenizer leaves {lost[0]} out of every text: expected a token for the unknown"
        )
    padding_id(tokenizer)
