"""JSON files of a checkpoint, treated as untrusted input.

A checkpoint is written by somebody else, so its JSON files may be hostile. Three things can go
wrong:

- The file is no plain file. Opening a FIFO waits for ever, and /dev/zero never ends.
- The file is enormous, or nests so deeply that a parser runs out of stack.
- The file asks to run code. transformers' `auto_map` names a Python class beside the file, and the
  library offers to import it. The key can be written with escapes ("\\u0061uto_map"), so a search
  for its bytes does not find it. We look at the keys that the parser produced.

Every JSON file is read here, once. Other libraries get what we parsed, never the file itself.
"""

import json
import warnings
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from janus_minimal.errors import CheckpointError, quoted

LARGEST = 2**26  # bytes; the official tokenizer.json has about 5 million
LARGEST_CONFIG = 2**20  # of a list of settings; a megabyte of empty lists needs 20 in memory
OFFICIAL = "the official file"  # what a checkpoint holds; reports and settings are read here too
CODE_KEYS = frozenset({"auto_map", "custom_pipelines"})  # transformers would import what they name


def read_json(path: Path, largest: int = LARGEST, wanted: str = OFFICIAL) -> dict[str, Any]:
    """Return the object that a JSON file holds. Raises CheckpointError, which says what was wanted.

    The file must be a plain UTF-8 file (a byte order mark is accepted) of at most `largest` bytes.
    No object in it, however deep, may have a key that asks a library to run code, or the same key
    twice: of two values, each parser takes the one that it likes, and the other one goes unseen.
    """
    code: set[str] = set()
    twice: set[str] = set()

    def build(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        number = Counter(key for key, _ in pairs)
        code.update(CODE_KEYS & number.keys())
        twice.update(key for key in number if number[key] > 1)
        return dict(pairs)

    try:
        raw = json.loads(
            read_plain(path, largest, wanted).decode("utf-8-sig"), object_pairs_hook=build
        )
    except CheckpointError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path} cannot be read: {quoted(error)}; expected {wanted}"
        ) from None
    if code:
        raise CheckpointError(f"{path} asks to run code of its own ({min(code)}): it is refused")
    if twice:
        raise CheckpointError(f"{path} has {quoted(min(twice))} twice in an object: expected once")
    if not isinstance(raw, dict):
        kind = type(raw).__name__
        raise CheckpointError(f"{path} should hold a JSON object, not {kind}; expected {wanted}")
    return raw


def warn_of_unknown(where: object, names: Iterable[str]) -> None:
    """Warn, once for all of them, of settings that nobody here knows. A file may have a million."""
    unknown = sorted(names)
    if unknown:
        more = f" (and {len(unknown) - 1} more)" if len(unknown) > 1 else ""
        message = f"{where}: {quoted(unknown[0])}{more} is not known here and changes nothing"
        warnings.warn(message, stacklevel=3)


def read_plain(path: Path, largest: int, wanted: str = OFFICIAL) -> bytes:
    """Return the content of a plain file. Raises CheckpointError, and OSError if it cannot be read."""
    if not path.is_file():  # follows symbolic links, as the hub's cache consists of them
        raise CheckpointError(f"{path} is missing, or no plain file: expected {wanted}")
    with path.open("rb") as file:
        content = file.read(largest + 1)  # the size that a file claims need not be the truth
    if len(content) > largest:
        raise CheckpointError(f"{path} has more than {largest:,} bytes: expected {wanted}")
    return content
