"""The process in which a student's file runs: it learns what to plant, forgets it, and runs the law under guard.

It is forked from a process that has imported this module, and with it all that a law may need. When the law runs,
nothing is left that tells whether a bug is planted: no option, no module, no variable, no file. Only the package
computes something else. The shape checks of the tests are off, as they are for users: a shape that is refused is no
failed law.
"""

import contextlib
import gc
import json
import os
import sys
import tempfile
from collections.abc import Callable, Generator
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, NoReturn

os.environ["HYPOTHESIS_PROFILE"] = "tour"
os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # of other packages, which a law does not need

import pytest
import torch
from museum.plant import applied, function_at, rewrite
from tools.disguise import disguised
from tools.guard import guard
from tools.tour import PROJECT, TESTS

import janus_minimal

WARM = (
    *("conftest", "museum.plugin", "exercises.start", "exercises.broken.own_loop", "exercises.broken.training_step"),
    *(f"janus_minimal.{name}" for name in ("pipeline", "solvers", "training.flow", "shapes.evaluate")),
)  # imported once, before the forks, and before the guard forbids to read sources
for name in WARM:
    import_module(name)

PACKAGE = Path(janus_minimal.__file__).parent
HIDDEN = (PACKAGE, TESTS / "museum", TESTS / "exercises")  # what is in these folders can be imported, but not read
OPTIONS = ["-q", "-s", "--tb=no", "-p", "no:cacheprovider", f"--config-file={PROJECT}"]
OPTIONS += ["--override-ini=addopts=", "--override-ini=filterwarnings="]
WORST = ("failed", "error", "skipped", "passed")


class Witness:
    """pytest's plugin that keeps how each test of a run ended, and why."""

    def __init__(self, file: Path) -> None:
        self.file, self.seen = file, list[tuple[str, list[str]]]()

    def verdict(self) -> tuple[str, list[str]]:
        """Return the worst of what was seen."""
        nothing = ("error", ["the file holds no test: expected a function test_..."])
        return min(self.seen, key=lambda ending: WORST.index(ending[0]), default=nothing)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Keep why a file cannot be imported."""
        if report.failed:
            self.seen.append(
                ("error", [line[1:].strip() for line in report.longreprtext.splitlines() if line[:1] == "E"])
            )
        elif report.skipped:
            self.seen.append(("skipped", []))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
        """Keep how a test ended. Only an AssertionError that the test itself raised counts as a failed law."""
        if call.excinfo is None:
            self.seen += [("passed", [])] if call.when == "call" else []
        elif call.excinfo.errisinstance(pytest.skip.Exception):
            self.seen.append(("skipped", []))
        else:
            asserted = call.when == "call" and call.excinfo.errisinstance(AssertionError)
            self.seen.append(
                ("failed" if asserted and self._raised(call.excinfo) else "error", self._told(call.excinfo))
            )
        return (yield)

    def _raised(self, error: pytest.ExceptionInfo[BaseException]) -> bool:
        """Return whether the student's file asserted, itself or through a library, and not the package."""
        paths = [Path(entry.path) for entry in error.traceback]
        ours = [path for path in paths if path == self.file or path.is_relative_to(PACKAGE)]
        return bool(ours) and ours[-1] == self.file

    def _told(self, error: pytest.ExceptionInfo[BaseException]) -> list[str]:
        """Return the last line of the student's file that ran, and the error."""
        own = [entry for entry in error.traceback if Path(entry.path) == self.file]
        where = [f"line {own[-1].lineno + 1}: {str(own[-1].statement).strip()}"] if own else []
        return [*where, *filter(None, error.exconly().splitlines())]


def attend(connection: Connection, folder: str) -> None:
    """Take a job, run it in this folder, and send back what came of it. The process is of no use afterwards."""
    gc.freeze()  # what was there before the fork need not be looked at again
    os.setsid()
    _silence()
    os.chdir(folder)
    tempfile.tempdir, sys.dont_write_bytecode = folder, True
    torch.set_num_threads(1)
    file, pieces, laws = _prepare(connection.recv(), Path(folder))
    guard(Path(folder), HIDDEN)
    status, lines = _run(file, pieces, laws)
    connection.send_bytes(json.dumps({"status": status, "lines": lines[:20]}).encode())


def _silence() -> None:
    """Send what the student's file prints nowhere."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nowhere, stream)


def _prepare(job: Any, folder: Path) -> tuple[Path, dict[str, FunctionType], list[str]]:
    """Write the student's file and plant what the job says. Return the file, what its pieces replace, and the laws."""
    file = folder / f"test_{job.name}.py"
    file.write_bytes(job.source)
    for where in {change.where for change in job.changes} | set(job.disguised):
        change = applied([change for change in job.changes if change.where == where])
        rewrite(where, _one_after_the_other(change, disguised) if where in job.disguised else change)
    for where in job.hidden:
        _forward(function_at(where), _refused)
    return file, {name: function_at(where) for name, where in job.pieces.items()}, list(job.laws)


def _one_after_the_other(first: Callable[[str], str], second: Callable[[str], str]) -> Callable[[str], str]:
    return lambda source: second(first(source))


def _refused(*_: Any, **__: Any) -> NoReturn:
    raise PermissionError("this function is what you are to write: expected your own code")


def _forward(function: FunctionType, target: Callable[..., Any]) -> None:
    """Let a function of the package call another one in its place, whoever has imported it already."""
    alias = f"_written_by_the_student_{function.__name__}"
    function.__globals__[alias] = target
    space: dict[str, Any] = {}
    exec(f"def forward(*args, **kwargs):\n    return {alias}(*args, **kwargs)", space)
    function.__code__, function.__defaults__, function.__kwdefaults__ = space["forward"].__code__, None, None


def _run(file: Path, pieces: dict[str, FunctionType], laws: list[str]) -> tuple[str, list[str]]:
    """Run the student's tests, or put the student's functions in place and run the package's laws."""
    witness, tests = Witness(file), ["-p", "conftest", str(file)]
    if pieces:
        try:
            module = _imported(file)
            for name, function in pieces.items():
                _forward(function, getattr(module, name))
        except BaseException as error:  # a student's file may raise anything, SystemExit too
            return "error", [f"{type(error).__name__}: {error}"]
        tests = [str(TESTS / "laws" / law) for law in laws]
    with contextlib.suppress(BaseException):  # likewise
        pytest.main([*OPTIONS, *tests], plugins=[witness])
    return witness.verdict()


def _imported(file: Path) -> ModuleType:
    sys.path.insert(0, str(file.parent))
    return import_module(file.stem)
