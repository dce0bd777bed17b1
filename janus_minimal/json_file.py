"""JSON files of a checkpoint, which come from whoever wrote it."""

import json
from pathlib import Path
from typing import Any

from janus_minimal.errors import CheckpointError

LARGEST = 2**26  # bytes


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file. Raises CheckpointError."""
    check_json(path)
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}; right would be the official JSON file") from None
    if not isinstance(raw, dict):
        raise CheckpointError(f"{path} should hold a JSON object, not {type(raw).__name__}")
    return raw


def check_json(path: Path) -> None:
    """Raise CheckpointError for what a reader would wait for, choke on, or offer to run."""
    if not path.is_file():
        raise CheckpointError(f"{path} is missing, or no plain file: the official layout has one")
    if path.stat().st_size > LARGEST:
        raise CheckpointError(f"{path} is larger than any such file: right would be the official one")
    if b'"auto_map"' in path.read_bytes():
        raise CheckpointError(f"{path} asks to run code of its own (auto_map): it is refused")
