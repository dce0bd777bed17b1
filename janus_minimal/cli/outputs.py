"""What a command may write to, decided before its work, which may take hours.

A file name is easily mistyped or completed to the wrong one by a shell. No output may take the place
of something that the command reads, and no two outputs may be one file.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from fnmatch import fnmatch
from pathlib import Path

from safetensors import SafetensorError, safe_open

from janus_minimal.errors import CheckpointError, InputError
from janus_minimal.loading.atomic import check_writable
from janus_minimal.loading.hub import BUNDLED, MODEL_FILES, VAE_FILES
from janus_minimal.loading.json_file import read_json

PICTURE = b"\x89PNG"  # how a picture begins
REPORTS = {"categories", "runs", "loops"}  # each report that a command writes has one of these keys
READ = (*MODEL_FILES, *VAE_FILES)  # the names that a checkpoint's files have


def check_outputs(outputs: Sequence[Path | None], inputs: Sequence[Path | str | None] = ()) -> None:
    """Raise InputError unless every output can be written without a loss.

    Args:
        outputs: the files to write; None stands for one that nobody asked for.
        inputs: files that are read, and directories of which a checkpoint's files are read. A
            checkpoint may also be given by its bundled name, or by a repository's, which names no
            file.
    """
    wanted = [path for path in outputs if path is not None]
    places = [os.path.realpath(path) for path in wanted]
    for path, place in zip(wanted, places, strict=True):
        check_writable(path)
        if places.count(place) > 1:
            raise InputError(f"{path} is asked for twice: expected a name of its own for each file")
        if any(_is_read(Path(place), source) for source in inputs if source is not None):
            raise InputError(f"{path} is read by this command and not replaced: expected another")
        if os.path.exists(place):
            _check_replaceable(path, Path(place))


@contextmanager
def after_writing(*written: Path) -> Iterator[None]:
    """If a later file fails, say in the same line which ones are there already."""
    try:
        yield
    except InputError as error:
        if not written:
            raise
        names = " and ".join(map(str, written))
        raise InputError(f"{error} ({names} had been written before)") from None


def _check_replaceable(path: Path, place: Path) -> None:
    """Raise InputError if a file that is there, where `path` leads to, is probably of another kind."""
    if _is_named_like_a_part(place):
        raise InputError(
            f"{path} has the name of a checkpoint's file and is not replaced: expected another"
        )
    if place.suffix != path.suffix:
        raise InputError(f"{path} links to {place.name}, a file of another kind: expected another")
    if not _is_ours(place):
        raise InputError(
            f"{path} is no file that this program writes, and is not replaced: expected another name"
        )


def _is_ours(place: Path) -> bool:
    """Return whether a file is empty, begins like a picture, or holds a report or latents, as we write them."""
    with place.open("rb") as file:
        head = file.read(len(PICTURE))
    if head in (b"", PICTURE):
        return True
    with suppress(SafetensorError), safe_open(place, "np") as tensors:
        return list(tensors.keys()) == ["latents"]
    with suppress(CheckpointError):
        return not REPORTS.isdisjoint(read_json(place))
    return False


def _is_read(place: Path, source: Path | str) -> bool:
    bundled = BUNDLED / source  # os.path.isdir: unlike Path.is_dir, it takes a name of any length
    home = Path(os.path.realpath(bundled if os.path.isdir(bundled) else source))
    if os.path.isdir(home):
        return _is_named_like_a_part(place) and place.parent in (home, home / "vae")
    return place == home or (
        os.path.exists(home) and os.path.exists(place) and place.samefile(home)
    )


def _is_named_like_a_part(path: Path) -> bool:
    return any(fnmatch(path.name, pattern) for pattern in READ)
