"""The small world's tokenizer: 33 tokens, of which 27 are the words of its captions."""

from transformers import PreTrainedTokenizerFast

from janus_minimal.shapes.caption import WORDS
from janus_minimal.training import tokenizer


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Return the tokenizer: special tokens, the two words of the chat template, the captions' words."""
    return tokenizer.build_tokenizer(["user:", "assistant:", *WORDS])
