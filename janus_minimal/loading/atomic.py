"""Files that are either complete or absent.

A run can be killed, and a disk can be full, while a file is being written. Half a checkpoint under
its final name would be read as a checkpoint. So every file is first written into a hidden directory
beside its final place. Renaming a file within a file system is atomic: whoever opens the final name
sees the whole old file or the whole new file.

A killed process leaves its hidden directory behind, and the next write in that place removes it.
Which hidden directories belong to a live process is decided by a lock that the operating system
releases when the process ends. A process id in the name would not do: in another container the same
number means another process.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile

from filelock import FileLock, Timeout
from safetensors import SafetensorError

from janus_minimal.errors import InputError, quoted

UNFINISHED = ".unfinished-"  # the hidden directories' prefix
LOCK = ".janus-minimal-lock"  # the file in each of them that its process has locked
NEW, EXAMPLE = f"{LOCK}-new", f"{LOCK}-example"  # the lock's first name; a file that shows a mode


@contextmanager
def atomic_directory(directory: Path) -> Iterator[Path]:
    """Yield a hidden directory whose files move into `directory` once all of them are complete.

    If the block raises an exception, or the process is killed, the files in `directory` stay as
    they were. A file that is a symbolic link there keeps its link: the file it points to is
    replaced. Raises InputError if something cannot be written, or if a name belongs to something
    that is no plain file, such as a device.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(directory)
        with _hidden_directory(directory) as unfinished:
            yield unfinished
            _move_files(unfinished, directory)
    except (OSError, SafetensorError) as error:
        raise InputError(
            f"{directory} cannot be written: {quoted(error)}; no file in it is incomplete"
        ) from None


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield the path to write to; the file moves to `path` once it is complete.

    Like `atomic_directory`, for one file. Raises InputError.
    """
    target = _final_place(path)
    with atomic_directory(target.parent) as unfinished:
        yield unfinished / target.name


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Run the block while no other process runs such a block for the same file. The others wait.

    If two processes read a file, add to it and write it again at the same time, what one of them
    added is lost. The lock is an empty hidden file beside it, which stays. On a file system without
    locks nobody waits.
    """
    target = _final_place(path)
    lock = FileLock(target.with_name(f".{target.name}.lock"))
    with suppress(OSError, NotImplementedError):
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def check_writable(path: Path) -> None:
    """Raise InputError unless a file can be written to `path`.

    Commands call this before their work, which may take hours, and not after it.
    """
    _check_takes_files(_final_place(path).parent, path)
    try:
        path.lstat()
    except FileNotFoundError:
        return
    except OSError as error:  # a name that is too long, above all
        raise InputError(f"{path} cannot be written: {error.strerror}") from None


def make_directory(path: Path) -> None:
    """Make a directory that files can be written into, with its parents. Raises InputError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{path} cannot be made: {error.strerror}; expected a directory of your own"
        ) from None
    _check_takes_files(path, path)


@contextmanager
def _hidden_directory(parent: Path) -> Iterator[Path]:
    """Make a hidden directory that is locked until the block ends or the process dies."""
    with TemporaryDirectory(prefix=UNFINISHED, dir=parent, ignore_cleanup_errors=True) as name:
        directory = Path(name)
        lock = FileLock(directory / NEW)
        # A file system without locks: we write all the same, and what a killed process left stays.
        with suppress(OSError, NotImplementedError):
            lock.acquire()
            # Renamed only now, so that a lock file which another process finds is a locked one.
            Path(lock.lock_file).rename(directory / LOCK)
        try:
            yield directory
        finally:
            lock.release()


def _remove_abandoned(parent: Path) -> None:
    """Remove the hidden directories of killed processes: those whose lock can be taken.

    A directory without our lock file is somebody else's, whatever its name is.
    """
    for lock in parent.glob(f"{UNFINISHED}*/{LOCK}"):
        with suppress(Timeout, OSError, NotImplementedError), FileLock(lock, timeout=0):
            shutil.rmtree(lock.parent, ignore_errors=True)


def _move_files(unfinished: Path, directory: Path) -> None:
    written = sorted(p for p in unfinished.iterdir() if p.name not in (LOCK, NEW, EXAMPLE))
    targets = [_final_place(directory / path.name) for path in written]
    mode = _mode_of_a_new_file(unfinished)
    for path in written:
        path.chmod(mode)  # safetensors makes files that their owner alone can read
        with path.open("rb") as file:
            os.fsync(file.fileno())  # else a power cut after the renaming could lose the content
    for path, target in zip(written, targets, strict=True):
        path.replace(target)


def _mode_of_a_new_file(unfinished: Path) -> int:
    """Return the permissions that open() gives: the umask says them, which cannot be read safely."""
    example = unfinished / EXAMPLE  # goes with the hidden directory
    example.touch()
    return example.stat().st_mode


def _final_place(path: Path) -> Path:
    """Return the file that a write to `path` replaces: where its link points to, or itself.

    Renaming a file onto a device or a FIFO would destroy it: as root, `--out /dev/null` would.
    """
    target = Path(os.path.realpath(path)) if os.path.islink(path) else path
    if os.path.isdir(path):
        raise InputError(f"{path} is a directory: expected the name of a file in it")
    if os.path.lexists(target) and not os.path.isfile(target):
        raise InputError(f"{path} is no plain file, and is not replaced: expected another name")
    if target != path and not os.path.isdir(target.parent):
        raise InputError(f"{path} links to {target}, in a directory that does not exist")
    return target


def _check_takes_files(directory: Path, path: Path) -> None:
    try:
        with TemporaryFile(dir=directory):
            return
    except OSError as error:
        fault = (error.strerror or str(error)).lower()
        raise InputError(
            f"{path} cannot be written: {fault}; expected in a directory that takes files"
        ) from None
