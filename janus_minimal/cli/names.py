"""The name of a file or of a folder, as somebody types it.

pathlib forgets what a name said: Path("") is the working folder, and Path("pictures/") is the file
"pictures". So `--out "$UNSET"` would write among whatever is there, and `--out pictures/` would write
a picture where a folder is meant. Both are found in the text, before it becomes a path.
"""

import os
from pathlib import Path
from typing import Any

import typer


def file_option(*names: str, help: str) -> Any:
    """Return the option for a file to write."""
    return typer.Option(*names, parser=file_name, metavar="<path>", help=help)


def folder_option(*names: str, help: str) -> Any:
    """Return the option for a folder to write into."""
    return typer.Option(*names, parser=folder_name, metavar="<path>", help=help)


def folder_name(text: str | Path, option: str | None = None) -> Path:
    """Return the path of a folder. Raises BadParameter for an empty name. It names `option`, if given."""
    if not os.fspath(text):
        raise typer.BadParameter(
            'the name is empty: expected a name, or "." for the working folder', param_hint=option
        )
    return Path(text)


def file_name(text: str | Path, option: str | None = None) -> Path:
    """Return the path of a file. Raises BadParameter for an empty name, and for one that ends as a folder's does."""
    if not os.fspath(text) or os.fspath(text).endswith(os.sep):
        raise typer.BadParameter(
            f'"{text}" names no file: expected a name, without a slash at its end',
            param_hint=option,
        )
    return Path(text)
