"""The process in which a student's file runs: it learns what to plant, forgets it, and runs the law under guard.

It is forked from a process that has imported this module, and with it all that a law may need. When the law runs,
nothing is left that tells whether a bug is planted: no option, no module, no variable, no file. Only the package
computes something else. The law runs three times, as three copies of its file, because one run cannot tell a law from
a throw of dice. The shape checks of the tests are off, as they are for users: a shape that is refused is no failed law.
"""

import contextlib
import gc
import inspect
import json
import os
import sys
import tempfile
from collections.abc import Callable, Generator, Sequence
from dataclasses import asdict, dataclass, replace
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
from tools.tour import HEAVY, PROJECT, TESTS

import janus_minimal

WARM = (
    *("conftest", "museum.plugin", "exercises.start", "exercises.broken.own_loop", "exercises.broken.training_step"),
    *("tools.checkpoints", "tools.drawn", "einops._torch_specific", *HEAVY),
    *(f"janus_minimal.{name}" for name in ("pipeline", "solvers", "editing", "shapes.evaluate")),
    *(f"janus_minimal.training.{name}" for name in ("flow", "finetune", "tuning")),
)  # imported once, before the forks, and before the guard forbids to read sources
for name in WARM:
    import_module(name)

PACKAGE = Path(janus_minimal.__file__).parent
HIDDEN = (PACKAGE, TESTS / "museum", TESTS / "exercises")  # what is in these folders can be imported, but not read
OPTIONS = ["-q", "-s", "--tb=no", "-p", "no:cacheprovider", f"--config-file={PROJECT}", "--import-mode=importlib"]
OPTIONS += ["--override-ini=addopts=", "--override-ini=filterwarnings="]
RUNS = 3
WIDEST = 200  # characters of a line of an error; the grader shows fewer
WORST = ("circular", "failed", "error", "skipped", "passed")


class CircularError(Exception):
    """A student's function calls the function that it replaces."""


@dataclass(frozen=True)
class Ending:
    """How a test or a file ended, and why. If a law of the package failed: its name."""

    status: str
    lines: Sequence[str] = ()
    law: str = ""


def worst(endings: Sequence[Ending]) -> Ending:
    """Return the ending that decides: one failed test is enough to break a law."""
    nothing = Ending("error", ["the file holds no test: expected a function test_..."])
    return min(endings, key=lambda ending: WORST.index(ending.status), default=nothing)


class Witness:
    """pytest's plugin that keeps how each test of a run ended, and why. `files` are the student's."""

    def __init__(self, files: Sequence[Path]) -> None:
        self.files, self.seen = files, list[tuple[Path, Ending]]()

    def of_laws(self) -> Ending:
        """Return how the package's laws ended."""
        return worst([ending for _, ending in self.seen])

    def of_copies(self) -> Ending:
        """Return how the copies of the student's file ended, or "differs" if they did not agree."""
        endings = [worst([ending for path, ending in self.seen if path == file]) for file in self.files]
        agree = len({ending.status for ending in endings}) == 1
        return worst(endings) if agree else Ending("differs", worst(endings).lines)

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(self, collector: pytest.Collector) -> Generator[None, Any, Any]:
        """Keep why a file cannot be imported."""
        report = yield
        if report.failed:
            lines = [line[1:].strip() for line in report.longreprtext.splitlines() if line[:1] == "E"]
            self.seen.append((collector.path, Ending("error", lines)))
        elif report.skipped:
            self.seen.append((collector.path, Ending("skipped")))
        return report

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
        """Keep how a test ended."""
        if call.excinfo is not None:
            self.seen.append((item.path, self._ended(item, call.when, call.excinfo)))
        elif call.when == "call":
            self.seen.append((item.path, Ending("passed")))
        return (yield)

    def _ended(self, item: pytest.Item, when: str, error: pytest.ExceptionInfo[BaseException]) -> Ending:
        """Return how a test ended that raised. Only an AssertionError that it raised itself counts as a failed law."""
        law = "" if item.path in self.files else f"{item.path.name}::{item.name}"
        if error.errisinstance(pytest.skip.Exception):
            return Ending("skipped")
        if error.errisinstance(CircularError):
            return Ending("circular", self._place(error))
        if when == "call" and error.errisinstance(AssertionError) and self._raised(item.path, error):
            return Ending("failed", [*(_statement(item) if law else ()), *self._told(error)], law)
        return Ending("error", [*([f"in {law}:"] if law else ()), *self._told(error)])

    def _raised(self, test: Path, error: pytest.ExceptionInfo[BaseException]) -> bool:
        """Return whether the test asserted, itself or through a library, and not what it tests."""
        paths = [Path(entry.path) for entry in error.traceback]
        ours = [path for path in paths if path in (test, *self.files) or path.is_relative_to(PACKAGE)]
        return bool(ours) and ours[-1] == test

    def _told(self, error: pytest.ExceptionInfo[BaseException]) -> list[str]:
        return [*self._place(error), *filter(None, error.exconly().splitlines())]

    def _place(self, error: pytest.ExceptionInfo[BaseException]) -> list[str]:
        """Return the last line of the student's file that ran."""
        own = [entry for entry in error.traceback if Path(entry.path) in self.files]
        return [f"line {own[-1].lineno + 1}: {str(own[-1].statement).strip()}"] if own else []


def _statement(item: pytest.Item) -> list[str]:
    """Return the first line of a law's docstring."""
    return (inspect.getdoc(getattr(item, "function", None)) or "").splitlines()[:1]


def attend(connection: Connection, folder: str) -> None:
    """Take a job, run it in this folder, and send back what came of it. The process is of no use afterwards."""
    gc.freeze()  # what was there before the fork need not be looked at again
    os.setsid()
    _silence()
    os.chdir(folder)
    tempfile.tempdir, sys.dont_write_bytecode = folder, True
    torch.set_num_threads(1)
    files, pieces, laws = _prepare(connection.recv(), Path(folder))
    guard(Path(folder), HIDDEN)
    ending = _with_pieces(files[0], pieces, laws) if pieces else _run(files)
    lines = [line[:WIDEST] for line in ending.lines[:20]]  # a longer answer than the grader takes would be no answer
    connection.send_bytes(json.dumps(asdict(replace(ending, lines=lines))).encode())


def _silence() -> None:
    """Send what the student's file prints nowhere."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nowhere, stream)


def _prepare(job: Any, folder: Path) -> tuple[list[Path], dict[str, FunctionType], list[str]]:
    """Write the student's file and plant what the job says. Return its copies, what pieces replace, and the laws."""
    files = [folder / str(number) / f"test_{job.name}.py" for number in range(RUNS)]
    for file in files:
        file.parent.mkdir()
        file.write_bytes(job.source)
    for where in {change.where for change in job.changes} | set(job.disguised):
        change = applied([change for change in job.changes if change.where == where])
        rewrite(where, _one_after_the_other(change, disguised) if where in job.disguised else change)
    for where in job.hidden:
        _forward(function_at(where), _refused)
    return files, {name: function_at(where) for name, where in job.pieces.items()}, list(job.laws)


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


def _run(files: list[Path]) -> Ending:
    """Run all copies of the student's tests."""
    own = f"--confcutdir={files[0].parent.parent}"  # else pytest lists every folder above
    return _pytest(Witness(files), [own, "-p", "conftest", *map(str, files)]).of_copies()


def _with_pieces(file: Path, pieces: dict[str, FunctionType], laws: list[str]) -> Ending:
    """Put the student's functions in place and run the package's laws."""
    try:
        module = _imported(file)
        for name, function in pieces.items():
            if inspect.unwrap(getattr(module, name)) is function:
                return Ending("circular")
            _forward(function, _not_from_itself(getattr(module, name), (str(file), name)))
    except BaseException as error:  # a student's file may raise anything, SystemExit too
        return Ending("error", [f"{type(error).__name__}: {error}"])
    return _pytest(Witness([file]), [str(TESTS / "laws" / law) for law in laws]).of_laws()


def _pytest(witness: Witness, tests: list[str]) -> Witness:
    with contextlib.suppress(BaseException):  # a student's file may raise anything, SystemExit too
        pytest.main([*OPTIONS, *tests], plugins=[witness])
    return witness


def _not_from_itself(written: Callable[..., Any], place: tuple[str, str]) -> Callable[..., Any]:
    """Refuse that the student's function calls the one that it replaces: this would call the student's, for ever.

    `place` is the file and the name of the student's function.
    """

    def call(*args: Any, **kwargs: Any) -> Any:
        frame = sys._getframe(1)
        while frame := frame.f_back:
            if (frame.f_code.co_filename, frame.f_code.co_name) == place:
                raise CircularError
        return written(*args, **kwargs)

    return call


def _imported(file: Path) -> ModuleType:
    sys.path.insert(0, str(file.parent))
    return import_module(file.stem)
