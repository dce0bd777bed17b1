"""The guard around a student's file: it computes what it likes, and touches nothing but its own folder.

Python reports such acts to audit hooks (PEP 578), and a hook that raises prevents them. A hook cannot be removed. What
compiled libraries open is not reported, so the usual functions that do so are wrapped. This keeps a careless file from
harming the clone. It also keeps runs apart: no run can leave a note for the next, and none can read the planted code.
It is no sandbox against an attacker, who can leave Python through any compiled library.
"""

import os
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from pkgutil import resolve_name
from types import FunctionType
from typing import Any

CHANGING = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate", "sqlite3.connect")
MARKING = ("os.chmod", "os.chown", "os.utime", "os.setxattr", "os.removexattr")
LEAVING = (
    *("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty"),
    *("socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg"),
    *("os.kill", "os.killpg", "signal.pthread_kill"),
)
OPENING = (
    *(("torch._C", "PyTorchFileWriter"), ("torch", "from_file"), ("torch:UntypedStorage", "from_file")),
    *((module, "serialize_file") for module in ("safetensors", "safetensors.torch", "safetensors.numpy")),
    ("_posixshmem", "shm_open"),
)  # files, in compiled code
LOOKING = ("gc.get_objects", "gc.get_referents", "sys.settrace", "sys.setprofile")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def guard(folder: Path, hidden: Sequence[Path]) -> None:
    """From here on, let this process write in `folder` alone, and read no source file of the `hidden` folders.

    What is refused raises PermissionError.
    """
    own, sources = os.path.realpath(folder), tuple(f"{os.path.realpath(path)}{os.sep}" for path in hidden)

    def real(path: Any) -> str:
        return os.path.realpath(os.fsdecode(path)) if isinstance(path, str | bytes | os.PathLike) else own

    def inside(path: Any) -> bool:
        return real(path) == own or real(path).startswith(own + os.sep)

    def open_(path: Any, writes: bool) -> None:
        if writes and path != os.devnull and not inside(path):
            raise PermissionError(f"an exercise may write in its own folder only, not {path}")
        if (found := real(path)).endswith(".py") and found.startswith(sources):  # by whatever name
            raise PermissionError(f"an exercise may import the package, but not read its source: {path}")

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            open_(arguments[0], bool(arguments[2] & WRITING))
        elif event in CHANGING + MARKING and not all(map(inside, arguments[:2])):
            raise PermissionError(f"an exercise may change files in its own folder only: {event}")
        elif event in LEAVING + LOOKING:
            raise PermissionError(f"an exercise may not do this: {event}")
        elif event == "object.__getattr__" and _is_code_of_ours(*arguments):
            raise PermissionError("a law may look at what a function computes, not at its code")

    sys.addaudithook(hook)
    for place, name in OPENING:
        owner = resolve_name(place)
        setattr(owner, name, _reported(getattr(owner, name), open_))


def _reported(function: Callable[..., Any], open_: Callable[[Any, bool], None]) -> Callable[..., Any]:
    """Return the same function, which reports each path that it is given. One that is not shared is only read."""

    @wraps(function)
    def reported(*arguments: Any, **named: Any) -> Any:
        for argument in (*arguments, *named.values()):
            open_(argument, named.get("shared") is not False)
        return function(*arguments, **named)

    return reported


def _is_code_of_ours(owner: Any, name: str) -> bool:
    module = owner.__module__ if isinstance(owner, FunctionType) else ""
    return name == "__code__" and str(module).startswith(("janus_minimal", "exercises."))
