"""Tokenizers of transformers, built from files that we have read.

A library that is given a directory decides itself what to open there. transformers looks for a
dozen files beside tokenizer.json, opens paths that tokenizer_config.json and
special_tokens_map.json name (`fast_tokenizer_files`, `tokenizer_file`), and offers to run Python
files. Checks of the files that we know are no protection against the files that we do not know.

So the library never sees the directory. We read three files, keep the settings that we know, and
build the tokenizer in memory. How a text is cut into tokens stands in tokenizer.json alone; a class
that tokenizer_config.json names could bring rules of its own, and is left out.
"""

import json
import os
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from janus_minimal.errors import CheckpointError, quoted
from janus_minimal.loading.atomic import atomic_directory
from janus_minimal.loading.json_file import read_json
from janus_minimal.loading.tokenizer_rules import check_rules

VOCABULARY, CONFIG, SPECIAL = "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"
SETTINGS = frozenset(
    {
        *("additional_special_tokens", "extra_special_tokens", "split_special_tokens"),
        *("clean_up_tokenization_spaces", "model_max_length", "padding_side"),
    }
)
ADDED = frozenset({"content", "single_word", "lstrip", "rstrip", "normalized", "special"})


def read_tokenizer(directory: Path) -> PreTrainedTokenizerFast:
    """Build the tokenizer of a directory in the official layout. Raises CheckpointError.

    tokenizer.json must be there. tokenizer_config.json and special_tokens_map.json may be, and name
    the special tokens. Nothing else is opened, nothing is fetched, no code of the checkpoint runs,
    and no question is asked.
    """
    vocabulary = json.dumps(check_rules(read_json(directory / VOCABULARY)))
    config, special = _read_optional(directory / CONFIG), _read_optional(directory / SPECIAL)
    try:
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_object=Tokenizer.from_str(vocabulary), **_settings(config, special)
        )
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # these libraries raise nearly anything, panics of Rust included
        reason = quoted(error) or type(error).__name__
        raise CheckpointError(
            f"{directory} holds no tokenizer that can be loaded: {reason}"
        ) from None
    tokenizer.name_or_path = str(directory)
    return tokenizer


def write_tokenizer(directory: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    """Write the files of a tokenizer, completely or not at all.

    Raises InputError if they cannot be written: `atomic_directory` makes it of each OSError.
    """
    with atomic_directory(directory) as unfinished:
        try:
            tokenizer.save_pretrained(unfinished)
        except Exception as error:  # the library's Rust part raises nothing else for a full disk
            raise OSError(error) from None


def _read_optional(path: Path) -> dict[str, Any]:
    return read_json(path) if os.path.lexists(path) else {}


def _settings(config: dict[str, Any], special: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of the tokenizer that the two files give.

    As in transformers, special_tokens_map.json is the older form, and counts only if
    tokenizer_config.json does not describe the added tokens itself.
    """
    added = config.get("added_tokens_decoder")
    named = config | special if added is None else config
    settings = {name: _text(value) for name, value in named.items() if _is_known(name, value)}
    if added is not None:
        decoder = {int(index): _added(token) for index, token in added.items()}
        settings["added_tokens_decoder"] = decoder
    return settings


def _added(token: dict[str, Any]) -> AddedToken:
    """Return an added token. The library would print the name of every field that it does not know."""
    return AddedToken(**{name: value for name, value in token.items() if name in ADDED})


def _is_known(name: str, value: Any) -> bool:
    is_token = name.endswith("_token") and isinstance(value, (str, dict))  # such as bos_token
    return is_token or name in SETTINGS


def _text(value: Any) -> Any:
    """Return a special token's text. The files store it plainly, or as an object with its flags."""
    if isinstance(value, list):
        return [_text(token) for token in value]
    return value["content"] if isinstance(value, dict) and "content" in value else value
