"""Tokenizers that transformers loads, from copies of files that we have read.

A library that is given a directory decides itself what to open there. transformers looks for a dozen
files beside tokenizer.json, follows paths that tokenizer_config.json and special_tokens_map.json name
(`fast_tokenizer_files`, `tokenizer_file`, `vocab_file`), and offers to run Python files. Checks of ours
on the files that we know do not help against the files that we do not know.

So the library never sees the user's directory. We read the three files of the official tokenizer, keep
the settings that we know, and write them into a temporary directory, which holds nothing else.
"""

import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from transformers import PreTrainedTokenizerBase

from janus_minimal.errors import CheckpointError, one_line
from janus_minimal.loading.json_file import read_json

VOCABULARY = "tokenizer.json"
CONFIG, SPECIAL_TOKENS = "tokenizer_config.json", "special_tokens_map.json"
SETTINGS = frozenset(
    {
        *("added_tokens_decoder", "additional_special_tokens", "extra_special_tokens"),
        *("add_bos_token", "add_eos_token", "split_special_tokens"),
        *("clean_up_tokenization_spaces", "model_max_length", "padding_side"),
    }
)
# tokenizer.json says how a text is cut into tokens. A class named beside it may bring other rules.
CLASS = {"tokenizer_class": "TokenizersBackend"}


def load_pretrained(
    kind: Any, directory: Path, needed: str = VOCABULARY, **options: Any
) -> PreTrainedTokenizerBase:
    """Return `kind.from_pretrained` of the tokenizer in `directory`. Raises CheckpointError.

    `kind` is a class of transformers, such as AutoTokenizer; `needed` is the file that must be there;
    `options` are handed to `from_pretrained`. Nothing is fetched from the network, no code of the
    checkpoint runs, and no question is asked.
    """
    if not os.path.lexists(directory / needed):
        raise CheckpointError(f"{directory} holds no {needed}: {kind.__name__} needs it")
    contents = _read_known_files(directory)
    with TemporaryDirectory(prefix="janus-minimal-") as copies:
        for name, content in contents.items():
            Path(copies, name).write_text(json.dumps(content), encoding="ascii")
        try:
            tokenizer = kind.from_pretrained(
                copies, local_files_only=True, trust_remote_code=False, **options
            )
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # transformers raises nearly anything, panics of Rust included
            reason = str(error).replace(copies, str(directory)) or type(error).__name__
            raise CheckpointError(
                f"{directory}: {kind.__name__} cannot be loaded: {one_line(reason, 150)}"
            ) from None
    tokenizer.name_or_path = str(directory)
    return tokenizer


def _read_known_files(directory: Path) -> dict[str, dict[str, Any]]:
    """Return what the three files hold, without the settings that could name a file or a class."""
    paths = {name: directory / name for name in (VOCABULARY, CONFIG, SPECIAL_TOKENS)}
    contents = {name: read_json(path) for name, path in paths.items() if os.path.lexists(path)}
    contents[CONFIG] = _known_settings(contents.get(CONFIG, {})) | CLASS
    contents[SPECIAL_TOKENS] = _known_settings(contents.get(SPECIAL_TOKENS, {}))
    return contents


def _known_settings(config: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in config.items()
        if name in SETTINGS or name.endswith("_token")  # such as bos_token, pad_token, image_token
    }
