"""The tokenizer of a checkpoint directory, checked before the first prompt is tokenised with it."""

from pathlib import Path

from transformers import PreTrainedTokenizerBase

from janus_minimal.errors import CheckpointError
from janus_minimal.loading.pretrained import read_tokenizer
from janus_minimal.loading.vocabulary import padding_id
from janus_minimal.prompt import TAG, TEMPLATE


def load_tokenizer(directory: Path, vocab_size: int) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a directory in the official layout. Raises CheckpointError."""
    tokenizer = read_tokenizer(directory)
    check_tokenizer(tokenizer, vocab_size)
    return tokenizer


def check_tokenizer(tokenizer: PreTrainedTokenizerBase, vocab_size: int) -> None:
    """Raise CheckpointError unless prompts of the official form can be made with this tokenizer.

    Each fault would otherwise draw wrong pictures without an error. If the tag is cut into pieces,
    dropping the last token drops a piece of it. If texts do not begin with the begin-of-sentence
    token, the unconditional row keeps a word. An id beyond the embedding table fails in step one.
    """
    ids = tokenizer.encode(TEMPLATE)
    if tokenizer.encode(TAG, add_special_tokens=False) != [tokenizer.get_vocab().get(TAG)]:
        raise CheckpointError(f"the tokenizer has no token {TAG}: it cuts it into pieces")
    if tokenizer.bos_token_id is None or ids[0] != tokenizer.bos_token_id:
        raise CheckpointError("the tokenizer begins no text with a begin-of-sentence token")
    largest = max(tokenizer.get_vocab().values())
    if largest >= vocab_size:
        raise CheckpointError(
            f"the tokenizer has {largest + 1} tokens, the model knows {vocab_size}: "
            "they belong to different models"
        )
    padding_id(tokenizer)
