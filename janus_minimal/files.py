"""Files that are either whole or absent."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile

from psutil import pid_exists
from safetensors import SafetensorError

from janus_minimal.errors import InputError

UNFINISHED = ".unfinished-"


@contextmanager
def whole_files(directory: Path) -> Iterator[Path]:
    """A hidden directory to write into, whose files move to `directory` only once all of them are complete.

    A killed process leaves the old files, if there were any, and never half a new one under a final name; its hidden
    directory goes with the next one. Raises InputError where nothing can be written, or no more.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _sweep(directory)
        with TemporaryDirectory(prefix=f"{UNFINISHED}{os.getpid()}-", dir=directory) as unfinished:
            yield Path(unfinished)
            _finish(Path(unfinished), directory)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{directory} cannot be written: {error}; no file in it has changed") from None


def _finish(unfinished: Path, directory: Path) -> None:
    for file in sorted(unfinished.iterdir()):
        with open(file, "rb") as written:
            os.fsync(written.fileno())
        os.replace(file, directory / file.name)


def _sweep(directory: Path) -> None:
    """Remove what killed processes left."""
    for path in directory.glob(f"{UNFINISHED}*"):
        if not pid_exists(int(path.name.split("-")[1])):
            shutil.rmtree(path, ignore_errors=True)


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """The same for one file."""
    with whole_files(path.parent) as unfinished:
        yield unfinished / path.name


def check_writable(path: Path) -> None:
    """Raise InputError unless a file can be written at `path`: asked before the work, not after it."""
    if path.is_dir():
        raise InputError(f"{path} is a directory: right would be the name of a file in it")
    try:
        with TemporaryFile(dir=path.parent):
            return
    except OSError as error:
        fault = (error.strerror or str(error)).lower()
        raise InputError(f"{path} cannot be written: {fault}; right would be a directory that takes files") from None


def make_directory(path: Path) -> None:
    """Make a directory that files can be written into, with its parents. Raises InputError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path} cannot be made: {error.strerror}; right would be a directory of your own") from None
    check_writable(path / "checked")
