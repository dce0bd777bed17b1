"""The guard: what it must refuse is refused, and what a law needs is not. Its hook stays, so a fork is guarded."""

import gc
import os
import sys
from collections.abc import Callable
from multiprocessing import Pipe, get_context
from pathlib import Path

import pytest
import torch
from tools.guard import guard

import janus_minimal
from janus_minimal import flow

PACKAGE = Path(janus_minimal.__file__).parent
# Events of Python's audit table that change a file. The first of their arguments are as many paths as stand here.
CHANGES = {"os.mkdir": 1, "os.rename": 2, "os.remove": 1, "os.rmdir": 1, "os.link": 2, "os.symlink": 2}
CHANGES |= {"os.truncate": 1, "os.chmod": 1, "os.chown": 1, "os.utime": 1, "os.setxattr": 1, "os.removexattr": 1}
CHANGES |= {"sqlite3.connect": 1}
LEAVES = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "os.kill")
LEAVES += ("os.killpg", "signal.pthread_kill", "socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg")
LOOKS = ("gc.get_objects", "gc.get_referents", "sys.settrace", "sys.setprofile")


@pytest.fixture
def folder(tmp_path) -> Path:
    """The folder of a run, beside one whose name begins alike, and with a link that leads out of it."""
    for name in ("run", "run2"):
        (tmp_path / name).mkdir()
    (tmp_path / "run" / "link").symlink_to(tmp_path / "run2")
    return tmp_path / "run"


def refused(folder: Path, acts: list[Callable[[], object]]) -> list[bool]:
    """Say of each act whether the guard refuses it. Another error is none of the guard's."""
    ours, theirs = Pipe(duplex=False)

    def attempt() -> None:
        gc.freeze()
        os.chdir(folder)
        guard(folder, [PACKAGE])
        theirs.send([_is_refused(act) for act in acts])

    process = get_context("fork").Process(target=attempt, daemon=True)
    process.start()
    theirs.close()
    assert ours.poll(60)
    found = ours.recv()
    process.join()
    return found


def _is_refused(act: Callable[[], object]) -> bool:
    try:
        act()
    except Exception as error:
        return isinstance(error, PermissionError) and str(error).startswith(("an exercise may", "a law may"))
    return False


def event(name: str, *arguments: object) -> Callable[[], None]:
    return lambda: sys.audit(name, *arguments)


def test_a_file_may_be_changed_in_the_folder_of_the_run_alone(folder):
    """mkdir, rename, remove, link, chmod, ..., each of its paths: refused outside of the folder, allowed inside.

    A folder whose name begins alike is another one, and a link leads to where it points.
    """
    outside = [folder.parent / "run2" / "x", "/x", b"/x", "../x", folder / "link" / "x", folder / ".." / "x"]
    for path in outside:
        acts = []
        for name, paths in CHANGES.items():
            acts += [event(name, *([str(folder / "y")] * i + [path] + ["y"] * (paths - i - 1))) for i in range(paths)]
        assert all(refused(folder, acts)), path
    allowed = [event(name, *["x"] * paths) for name, paths in CHANGES.items()]
    allowed += [event(name, *[str(folder / "x")] * paths) for name, paths in CHANGES.items()]
    assert not any(refused(folder, allowed))


def test_a_file_may_be_written_in_the_folder_of_the_run_alone(folder):
    """open: each flag that writes is refused outside of the folder; reading is not, nor is /dev/null.

    One flag that was forgotten would let a run leave a note for the next one.
    """
    flags = (os.O_WRONLY, os.O_RDWR, os.O_CREAT, os.O_TRUNC, os.O_APPEND)
    assert all(refused(folder, [event("open", "/x", None, flag) for flag in flags]))
    assert all(refused(folder, [event("open", str(folder / "link" / "x"), None, flag) for flag in flags]))
    allowed = [event("open", path, None, flag) for path in ("x", 3, os.devnull) for flag in flags]
    allowed += [event("open", path, "r", os.O_RDONLY) for path in ("/x", "/etc/hosts", b"/x", Path("/x"))]
    assert not any(refused(folder, allowed))


def test_a_source_is_not_read_by_any_of_its_names(folder):
    """open(source): refused as a text, as bytes, as a path, from the folder of the run, and through a link.

    Whoever reads the code need not look at what it computes. Other sources may be read, for a traceback.
    """
    source = Path(flow.__file__)
    (folder / "code").symlink_to(PACKAGE)
    names = [str(source), os.fsencode(source), source, os.path.relpath(source, folder), "code/flow.py"]
    names.append(str(PACKAGE / "training" / ".." / "flow.py"))
    assert all(refused(folder, [lambda name=name: open(name).close() for name in names]))
    others = [os.__file__, PACKAGE / "checkpoints" / "shapes" / "config.json"]
    assert not any(refused(folder, [lambda name=name: open(name).close() for name in others]))


def test_what_leaves_the_process_or_looks_into_it_is_refused(folder):
    """another program, a fork, a signal, a socket, the garbage collector's list, a trace, our code: all refused.

    Code of a student's own may be looked at.
    """
    acts = [event(name, *[0] * 4) for name in (*LEAVES, *LOOKS)]
    acts += [lambda: flow.guide.__code__, lambda: os.kill(os.getpid(), 0), lambda: gc.get_objects()]
    assert all(refused(folder, acts))
    assert not any(refused(folder, [lambda: _is_refused.__code__, lambda: flow.guide.__name__]))


def test_what_compiled_code_writes_is_seen_too(folder):
    """save_file of safetensors, torch.save, a mapped file: refused outside, and done inside of the folder.

    Python sees nothing of what a compiled library opens.
    """
    import safetensors.numpy
    import safetensors.torch

    one = torch.ones(1)

    def acts(place: Path) -> list[Callable[[], object]]:
        return [
            lambda: torch.save(one, place / "saved"),
            lambda: safetensors.torch.save_file({"x": one}, place / "x"),
            lambda: safetensors.numpy.save_file({"x": one.numpy()}, place / "x"),
            lambda: safetensors.serialize_file({}, str(place / "x")),
            lambda: safetensors.serialize_file({}, filename=str(place / "x")),
            lambda: torch.from_file(str(place / "mapped"), True, 1),
            lambda: torch.UntypedStorage.from_file(str(place / "mapped"), True, 4),
        ]

    assert all(refused(folder, acts(folder.parent)))
    assert sorted(path.name for path in folder.parent.iterdir()) == ["run", "run2"]
    assert not any(refused(folder, acts(folder)))
