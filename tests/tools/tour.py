"""A tour of the museum: which laws catch which exhibit?

    python -m tools.tour [EXHIBIT ...]      run it in tests/; it writes docs/museum.json, or these entries of it

Each run has its own process, forked from one that has already imported the package.
"""

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext, ForkServerContext
from pathlib import Path
from typing import Any

import pytest
import torch
from _pytest.config import default_plugins
from tqdm import tqdm

TESTS = Path(__file__).parent.parent
EXHIBITS = tuple(sorted(path.stem for path in (TESTS / "museum" / "exhibits").glob("*.py")))
PROJECT = TESTS.parent / "pyproject.toml"
RECORD = TESTS.parent / "docs" / "museum.json"
ROOMS = [
    "flow",
    "uvit",
    "prompt",
    "cache",
    "model",
    "sampling",
    "solvers",
    "pipeline",
    "call",
    "training",
    "weights",
    "config",
    "vae",
    "shapes/scene",
    "shapes/caption",
    "shapes/score",
]
HEAVY = [
    "accelerate",
    "beartype",
    "einops",
    "hypothesis",
    "matplotlib.figure",
    "scipy.ndimage",
    "torch",
    "transformers.models.llama.modeling_llama",
    "transformers.models.auto.tokenization_auto",
    "diffusers.models.autoencoders.autoencoder_kl",
    "diffusers.pipelines.pipeline_utils",
    "diffusers.schedulers.scheduling_flow_match_euler_discrete",
    *(f"_pytest.{name}" for name in default_plugins),
]  # imported once, before the forks

Run = tuple[tuple[str, ...], str | None]  # the arguments of pytest, and the exhibit to plant


class Outcome:
    """Records which laws passed and which failed. A file that cannot be imported counts as failed."""

    def __init__(self) -> None:
        self.passed: set[str] = set()
        self.failed: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed.add(_law(report))
        elif report.passed and report.when == "call":
            self.passed.add(_law(report))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.failed.add(report.nodeid)


def _law(report: pytest.TestReport) -> str:
    """Return file and test, relative to the project's root. pytest's own names lose the file if it lies elsewhere."""
    file, _, test = report.location
    return f"{file}::{test.split('[')[0]}"


def room(name: str) -> str:
    """Return the file of the laws of one module."""
    *folder, file = name.split("/")
    return str(TESTS.joinpath("laws", *folder, f"test_{file}.py"))


def _run(run: Run) -> tuple[set[str], set[str]]:
    arguments, exhibit = run
    checked = ["--override-ini=addopts=", "-p", "museum.plugin"]  # the shape checks are in the package already
    outcome = run_laws([*checked, *(["--exhibit", exhibit] if exhibit else []), *arguments])
    return outcome.passed - outcome.failed, outcome.failed


def run_laws(arguments: Iterable[str]) -> Outcome:
    """Run pytest in this process without output. The process cannot be used for anything else afterwards."""
    os.environ["HYPOTHESIS_PROFILE"] = "tour"  # for this process only
    torch.set_num_threads(1)  # each run has a core to itself
    outcome = Outcome()
    options = ["-q", "--tb=no", "-p", "no:cacheprovider", "-c", str(PROJECT)]
    options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # the libraries were imported before pytest ran
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        pytest.main([*options, *arguments], plugins=[outcome])
    return outcome


def passed_and_failed(runs: Iterable[Run]) -> list[tuple[set[str], set[str]]]:
    """Return the laws that pass and the laws that fail, for each run of pytest."""
    return in_forks(_run, list(runs))


def in_fresh_processes(work: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
    """Return the results of all items in order. Each is computed in its own process, which has no package yet."""
    return _in_order(forkserver(), work, items)


def in_forks(work: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
    """Return the results of all items in order. Each is computed in a fork of one process that has the package.

    So nothing has to be imported for an item, and it takes a tenth of the time.
    """
    ours, theirs = forkserver().Pipe()
    process = forkserver().Process(target=_fork_for_each, args=(theirs, work, items))
    process.start()
    theirs.close()
    results: list[Any] = ours.recv()
    process.join()
    return results


def _fork_for_each(connection: Connection, work: Callable[[Any], Any], items: Sequence[Any]) -> None:
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # of other packages, which a law does not need
    torch.set_num_threads(1)
    import_module("tools.hooked")
    connection.send(_in_order(get_context("fork"), work, items))


def forkserver(*more: str) -> ForkServerContext:
    """Return the context whose processes are forked from one that has imported the large libraries, and more."""
    context = get_context("forkserver")
    context.set_forkserver_preload([*HEAVY, *more])
    return context


def _in_order(context: BaseContext, work: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
    with context.Pool(os.cpu_count(), maxtasksperchild=1) as pool:
        return list(tqdm(pool.imap(work, items, chunksize=1), total=len(items)))


def _core_first(law: str) -> tuple[int, str]:
    """Sort laws of the core before laws of the small world, which draw many pictures and take longer."""
    return law.count("/"), law


def main() -> None:
    """Plant every exhibit in turn, or those of the command line, and record the laws that fail."""
    names, laws = sys.argv[1:] or list(EXHIBITS), tuple(room(name) for name in ROOMS)
    if unknown := sorted(set(names) - set(EXHIBITS)):
        sys.exit(f"no exhibit {unknown[0]}: tests/museum/exhibits/ holds one file for each")
    failures = [sorted(failed, key=_core_first) for _, failed in passed_and_failed((laws, name) for name in names)]
    known = json.loads(RECORD.read_text(encoding="utf-8")) | dict(zip(names, failures, strict=True))
    record = {name: known[name] for name in EXHIBITS if name in known}
    RECORD.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
