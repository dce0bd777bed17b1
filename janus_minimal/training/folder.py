"""The folder of a training run belongs to one run at a time.

Two runs in one folder would overwrite each other's states, and each would go on from the other's.
So a run locks its folder. The operating system releases the lock when the process ends, however it
ends, so a killed run does not keep anybody out.
"""

import errno
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from filelock import FileLock, Timeout

from janus_minimal.errors import InputError, quoted
from janus_minimal.loading.atomic import make_directory
from janus_minimal.training.settings import begin_or_go_on, check_known

LOCK = "run.lock"  # stays in the folder; only a live process holds it
# What a file system without locks answers. It takes runs all the same.
WITHOUT_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)


@contextmanager
def run_folder(
    directory: Path, settings: Mapping[str, Any], parts: Sequence[str], accelerator: Accelerator
) -> Iterator[None]:
    """Hold the folder of a run, with these settings, until the block ends.

    The folder is made if it is not there. Of several processes that train together, the main one
    holds the folder for all. `parts` are the patterns of the files that a run writes.

    Raises:
        InputError: if another run is at work in the folder, if the folder's run has other settings,
            or if it cannot be written.
    """
    if not accelerator.is_main_process:
        yield
        return
    check_known(directory, parts)  # a folder that is refused gets no lock
    make_directory(directory)
    with _locked(directory):
        begin_or_go_on(directory, settings, parts)
        yield


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    lock = FileLock(directory / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise InputError(
            f"another run is at work in {directory}: wait for its end, or train elsewhere"
        ) from None
    except NotImplementedError:  # filelock's word for the first of them
        pass
    except OSError as error:
        if error.errno not in WITHOUT_LOCKS:
            raise InputError(
                f"{lock.lock_file} cannot be locked: {quoted(error)}; "
                "expected a plain file of your own: move it away"
            ) from None
    try:
        yield
    finally:
        lock.release()
