"""What other libraries load: from local files alone, and whatever is wrong with them becomes one line."""

from pathlib import Path
from typing import Any

from janus_minimal.errors import CheckpointError
from janus_minimal.json_file import check_json


def load(kind: Any, directory: Path, needed: str, **options: Any) -> Any:
    """`kind.from_pretrained(directory)`, where the file `needed` must be. Raises CheckpointError."""
    if not (directory / needed).is_file():
        raise CheckpointError(f"{directory} holds no {needed}: it is needed to load {kind.__name__}")
    for path in directory.glob("*.json"):
        check_json(path)
    try:
        return kind.from_pretrained(directory, local_files_only=True, **options)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # these loaders raise nearly anything, a panic of their Rust parts included
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise CheckpointError(f"{directory}: {kind.__name__} cannot be loaded: {reason}") from None
