"""What a tokenizer knows: its words and its padding token."""

from transformers import PreTrainedTokenizerBase

from janus_minimal.errors import CheckpointError, PromptError


def check_words(prompt: str, tokenizer: PreTrainedTokenizerBase) -> None:
    """Raise PromptError if the tokenizer does not know some word of the prompt.

    The whole prompt is tokenised, not only its words one by one. Python and the tokenizer may
    disagree on what separates two words, and the tokenizer's opinion is the one that counts.
    """
    unknown = tokenizer.unk_token_id
    if unknown is None or unknown not in tokenizer.encode(prompt, add_special_tokens=False):
        return
    words = prompt.split()
    strange = (
        word for word in words if unknown in tokenizer.encode(word, add_special_tokens=False)
    )
    known = [word for word in sorted(tokenizer.get_vocab()) if word.isalpha()]
    raise PromptError(
        f'the tokenizer does not know "{next(strange, prompt)}"; it knows: {", ".join(known)}'
    )


def padding_id(tokenizer: PreTrainedTokenizerBase) -> int:
    """Return the id of the padding token, or of the end of the sentence where there is none.

    The fallback is the official code's. Raises CheckpointError if both are missing.
    """
    for token in (tokenizer.pad_token_id, tokenizer.eos_token_id):
        if token is not None:
            return token
    raise CheckpointError(
        "the tokenizer has neither a padding token nor an end-of-sentence token: one is needed"
    )
