"""Grade exercises: does a law hold of correct code, and does it fail with each bug that it must catch?

    python -m tools.grade FILE_OR_FOLDER ...        run it in tests/; `pytest tests/exercises --grade` does the same

What an exercise must catch is written in exercises/catalogue.toml, never in the student's file. Each run of a law has a
process of its own, forked from one that has already imported the large libraries (graded.py). Correct code is run as it
is and in disguise, wrong code with each bug, all in random order, and three times each. So a law that recognises the
correct code by anything but what it computes, that counts its own runs, or that throws dice, is not done.
"""

import ast
import contextlib
import json
import os
import random
import signal
import sys
import tomllib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from importlib import import_module
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from museum.plant import Change, changes_of
from tools.attended import attended

TESTS = Path(__file__).parent.parent
EXERCISES = TESTS / "exercises"
CATALOGUE: dict[str, dict[str, Any]] = tomllib.loads((EXERCISES / "catalogue.toml").read_text(encoding="utf-8"))
PATIENCE = 60  # seconds for one run of a law
FIRST_LINES = 6  # of an error
WIDEST = 110  # characters of such a line
BROKEN = "the broken file"
FIRST = (
    ("skipped", "not attempted"),
    ("error", "stops on correct code"),
    ("circular", "calls the function it replaces"),
    ("differs", "differs between runs"),
)  # what a run on correct code means that neither passes nor fails


class UnknownExerciseError(Exception):
    """A file or a test to grade does not exist."""


@dataclass(frozen=True)
class Job:
    """One run in a process of its own: a student's file, and what is changed before it is imported."""

    name: str
    source: bytes
    changes: Sequence[Change] = ()
    disguised: Sequence[str] = ()  # functions whose code is replaced by other code that computes the same
    pieces: dict[str, str] = field(default_factory=dict)  # the student's functions, and where they are planted
    hidden: Sequence[str] = ()  # functions that the student's must not call
    laws: Sequence[str] = ()  # the package's laws to run; without any, the student's own


@dataclass(frozen=True)
class Outcome:
    """What came of a run, and why. If a law of the package failed: its name.

    The status is "passed", "failed" (an assertion of the test), "error", "skipped", "differs" (the law did not answer
    the same every time) or "circular" (a piece calls the function that it replaces).
    """

    status: str
    lines: Sequence[str] = ()
    law: str = ""


@dataclass(frozen=True)
class Grade:
    """The result of one exercise."""

    name: str
    status: str
    lines: Sequence[str] = ()

    @property
    def done(self) -> bool:
        """Whether the exercise counts as solved."""
        return self.status == "done"


def key_of(path: Path) -> str:
    """Return the name by which the catalogue knows a file: without "test_", which solutions lack."""
    return path.stem.removeprefix("test_")


def chosen(paths: Iterable[Path]) -> list[Path]:
    """Return the files to grade: a folder stands for the exercises in it. Raises UnknownExerciseError."""
    found: list[Path] = []
    for name, _, test in (str(path).partition("::") for path in paths):
        path = Path(name)
        if not path.exists():
            raise UnknownExerciseError(f"{path} does not exist: expected an exercise, or a folder with exercises")
        if test and (tests := _tests(path)) and test.split("[")[0] not in tests:
            raise UnknownExerciseError(f"{path.name} has no test {test}: expected {' or '.join(tests)}")
        inside = [file for file in path.rglob("test_*.py") if key_of(file) in CATALOGUE]
        found += sorted(inside, key=lambda file: file.name) if path.is_dir() else [path]
    return list(dict.fromkeys(found))


def _tests(path: Path) -> list[str]:
    """Return the names of the tests in a file. One that Python cannot read has none."""
    with contextlib.suppress(SyntaxError, ValueError, OSError):
        body = ast.parse(path.read_bytes()).body
        return [node.name for node in body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    return []


def grade(files: Sequence[Path], patience: float = PATIENCE) -> list[Grade]:
    """Grade files. They are read once, and nothing that they do in a run outlives it."""
    planned = [(path, label, job) for path in files for label, job in _jobs(path).items()]
    jobs = random.SystemRandom().sample(planned, len(planned))
    if jobs:
        _warm_up()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        outcomes = list(pool.map(lambda job: _run(job[2], patience), jobs))
    ended = {(path, label): outcome for (path, label, _), outcome in zip(jobs, outcomes, strict=True)}
    found: dict[Path, dict[str, Outcome]] = {path: {} for path in files}
    for path, label, _ in planned:  # in the order of the catalogue, so that the same file gets the same answer
        found[path][label] = ended[path, label]
    return [Grade(key_of(path), *_judged(key_of(path), found[path])) for path in files]


def _jobs(path: Path) -> dict[str, Job]:
    """Return the runs of one exercise by their labels: "right", "disguised", and the bugs."""
    key, source = key_of(path), path.read_bytes()
    match CATALOGUE.get(key):
        case {"catches": exhibits}:
            wrong = {name: changes_of(name) for name in exhibits}
            places = sorted({change.where for changes in wrong.values() for change in changes})
            right = {"right": Job(key, source), "disguised": Job(key, source, disguised=places)}
            return right | {name: Job(key, source, changes) for name, changes in wrong.items()}
        case {"repair": name} if (EXERCISES / "repairs" / f"{name}.py").exists():
            repair = import_module(f"exercises.repairs.{name}").CHANGES
            places = sorted({change.where for change in repair})
            right = {"right": Job(key, source, repair), "disguised": Job(key, source, repair, places)}
            return right | {BROKEN: Job(key, source)}
        case {"pieces": pieces, "laws": laws, **more}:
            return {"right": Job(key, source, pieces=pieces, laws=laws, hidden=more.get("hidden", ()))}
    return {}


def _warm_up() -> None:
    """Let all runs be forked from a process that has imported what they need."""
    context = get_context("forkserver")
    context.set_forkserver_preload(["tools.graded"])
    path = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
    with patch.dict(os.environ, PYTHONPATH=path, OMP_NUM_THREADS="1"):
        from multiprocessing.forkserver import ensure_running

        ensure_running()


def _run(job: Job, patience: float) -> Outcome:
    """Run a job in a fresh process and an empty folder. Whatever the process does, an outcome comes back."""
    ours, theirs = get_context("forkserver").Pipe()
    with TemporaryDirectory() as folder:
        process = get_context("forkserver").Process(target=attended, args=(theirs, folder))
        process.start()
        theirs.close()
        try:
            ours.send(job)
            return _outcome(ours, patience)
        except (EOFError, OSError, ValueError, TypeError, KeyError):
            process.join(1)
            return Outcome("error", [f"the process ended before the law did (status {process.exitcode})"])
        finally:
            _end(process.pid)
            process.join()


def _outcome(connection: Connection, patience: float) -> Outcome:
    """Return the outcome that a process sends. It is JSON, because a pickle could run code here."""
    if not connection.poll(patience):
        return Outcome("error", [f"it took longer than {patience:g} seconds"])
    answer = json.loads(connection.recv_bytes(2**16))
    lines = [str(line)[:WIDEST] for line in answer["lines"]][:FIRST_LINES]
    return Outcome(str(answer["status"]), lines, str(answer["law"])[:WIDEST])


def _end(pid: int | None) -> None:
    """Kill a process with all that it started."""
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            kill(pid, signal.SIGKILL)


def _judged(key: str, outcomes: dict[str, Outcome]) -> tuple[str, Sequence[str]]:
    """Return what the outcomes mean, and the lines that explain it."""
    if key in CATALOGUE and not outcomes:
        return "not graded here", [f"exercises/repairs/{CATALOGUE[key]['repair']}.py is missing: ask your instructor"]
    if not outcomes:
        return "no exercise of this name", [f"expected a name such as test_{next(iter(CATALOGUE))}.py"]
    right = [outcomes.pop(label) for label in ("right", "disguised") if label in outcomes]
    for status, told in FIRST:
        if found := [outcome for outcome in right if outcome.status == status]:
            return told, found[0].lines
    if failed := [outcome for outcome in right if outcome.status != "passed"]:
        return (f"breaks a law: {failed[0].law}" if failed[0].law else "fails on correct code"), failed[0].lines
    for label, outcome in outcomes.items():
        if outcome.status == "differs":
            return "differs between runs", [f"with {label}, a run fails and another one does not:", *outcome.lines]
    return _missed({label: outcome for label, outcome in outcomes.items() if outcome.status != "failed"})


def _missed(missed: dict[str, Outcome]) -> tuple[str, Sequence[str]]:
    """Return what it means that a law does not fail with these bugs."""
    if not missed:
        return "done", ()
    stopped = [line for outcome in missed.values() for line in (_stopped(outcome) if outcome.lines else ())]
    if BROKEN in missed:
        return f"passes, but does not fail on {BROKEN}", stopped
    return f"passes, but misses {' and '.join(missed)}", stopped


def _stopped(outcome: Outcome) -> Sequence[str]:
    return ["only a failed assertion of the test counts, not this:", *outcome.lines]


def report(grades: Sequence[Grade]) -> str:
    """Return one line for each exercise with the first lines of its error, and the total."""
    width = max((len(g.name) for g in grades), default=0)
    shown = ["\n    ".join([f"{g.name:<{width}}  {g.status}", *g.lines]) for g in grades]
    return "\n".join([*shown, f"{sum(g.done for g in grades)} of {len(grades)} done"])


def main() -> None:
    """Grade the files of the command line. The status is 0 if all are done, 1 if not, and 2 if one does not exist."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--json"]
    try:
        grades = grade(chosen(Path(argument) for argument in arguments))
    except UnknownExerciseError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    print(json.dumps([asdict(g) for g in grades]) if "--json" in sys.argv else report(grades))
    sys.exit(not (grades and all(g.done for g in grades)))


if __name__ == "__main__":
    main()
