"""What a tokenizer knows: its words and its padding token."""

import unicodedata
from typing import NoReturn

from transformers import PreTrainedTokenizerBase

from janus_minimal.errors import CheckpointError, PromptError, quoted

JOINERS = "\u200c\u200d"  # Persian, the scripts of India, and composed emoji are written with them


def encode(
    tokenizer: PreTrainedTokenizerBase, text: str, add_special_tokens: bool = True
) -> list[int]:
    """Return the token ids of a text. Raises CheckpointError if the tokenizer fails on it.

    The library raises nearly anything, panics of its Rust part included, which are no Exception.
    """
    try:
        # Without verbose=False it would print that a text is longer than a limit that we do not use.
        return tokenizer.encode(text, add_special_tokens=add_special_tokens, verbose=False)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        reason = quoted(error) or type(error).__name__
        raise CheckpointError(f'the tokenizer fails on "{quoted(text)}": {reason}') from None


def check_characters(prompt: str, invisible: str = "\t\n\r" + JOINERS) -> None:
    """Raise PromptError for a character that nobody can see, other than those that may be `invisible`.

    A word with a zero-width space, a soft hyphen or a control character in it is another word, or an
    unknown one, and looks the same.
    """
    for character in prompt:
        if unicodedata.category(character) in ("Cc", "Cf", "Cs") and character not in invisible:
            name = unicodedata.name(character, "control character").lower()
            raise PromptError(
                f"the prompt holds the {name} U+{ord(character):04X}: "
                "expected only characters that can be seen"
            )


def check_words(prompt: str, tokenizer: PreTrainedTokenizerBase) -> None:
    """Raise PromptError unless the tokenizer knows every word, and takes each for a word.

    The whole prompt is tokenised, not only its words one by one. Python and the tokenizer may
    disagree on what separates two words, and the tokenizer's opinion is the one that counts.

    A special token that is spelled out, such as <begin_of_image>, becomes that token. The prompt
    would end in its middle, or begin twice, which no model was trained on.
    """
    ids, unknown = encode(tokenizer, prompt, False), unknown_id(tokenizer)
    if unknown is not None and unknown in ids:
        _complain_of_unknown(prompt, unknown, tokenizer)
    special = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    # A config may call some word the unknown token. It stays a word; the true one was looked for above.
    if spelled := sorted(special.intersection(ids) - {tokenizer.unk_token_id}):
        token = tokenizer.convert_ids_to_tokens(spelled[0])
        raise PromptError(f"the prompt holds the special token {token}: expected only words")


def _complain_of_unknown(prompt: str, unknown: int, tokenizer: PreTrainedTokenizerBase) -> NoReturn:
    """Raise PromptError, which names the first word that the tokenizer does not know."""
    words = prompt.split()
    strange = next((word for word in words if unknown in encode(tokenizer, word, False)), prompt)
    check_characters(strange, "\t\n\r")  # no joiner can be seen in the message
    known = [word for word in sorted(tokenizer.get_vocab()) if word.isalpha()]
    raise PromptError(f'the tokenizer does not know "{strange}"; it knows: {", ".join(known)}')


def rules_of(tokenizer: PreTrainedTokenizerBase) -> tuple[str, dict[str, str]]:
    """Return all that decides a tokenizer's ids: how it cuts a text, and its special tokens."""
    return tokenizer.backend_tokenizer.to_str(), tokenizer.special_tokens_map


def vocabulary_size(tokenizer: PreTrainedTokenizerBase) -> int:
    """Return how many embeddings the tokenizer needs: its largest id plus one.

    Its length is the number of its tokens, and their ids may have gaps.
    """
    return max(tokenizer.get_vocab().values()) + 1


def unknown_id(tokenizer: PreTrainedTokenizerBase) -> int | None:
    """Return the id that stands for unknown words, or None if there is no such word.

    The vocabulary's own choice counts. The name in tokenizer_config.json may be missing or another;
    then every unknown word would be drawn without a word of warning.
    """
    backend = tokenizer.backend_tokenizer
    own = getattr(backend.model, "unk_token", None)
    return tokenizer.unk_token_id if own is None else backend.token_to_id(own)


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
