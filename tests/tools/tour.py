"""A tour of the museum: which laws catch which exhibit?

    python -m tools.tour        from tests/, writes docs/museum.json

Each run has a fresh process, forked from one that has imported the heavy libraries already.
"""

import contextlib
import json
import os
from collections.abc import Callable, Iterable, Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
import torch
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
    "weights",
    "config",
    "vae",
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
]  # imported once, before the forks

Run = tuple[tuple[str, ...], str | None]  # what to give pytest, and the exhibit to plant


class Outcome:
    """Remembers which laws passed and which failed; a file that cannot be read counts as one that failed."""

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
    """File and test, as seen from the project's root; pytest's own names lose the file where it lies elsewhere."""
    file, _, test = report.location
    return f"{file}::{test.split('[')[0]}"


def room(name: str) -> str:
    """The file of laws of one room of the package."""
    *folder, file = name.split("/")
    return str(TESTS.joinpath("laws", *folder, f"test_{file}.py"))


def _run(run: Run) -> tuple[set[str], set[str]]:
    arguments, exhibit = run
    outcome = run_laws(["-p", "museum.plugin", *(["--exhibit", exhibit] if exhibit else []), *arguments])
    return outcome.passed - outcome.failed, outcome.failed


def run_laws(arguments: Iterable[str]) -> Outcome:
    """Run pytest in this process, which is not to be used for anything else, and keep quiet."""
    os.environ["HYPOTHESIS_PROFILE"] = "tour"  # of this process alone
    torch.set_num_threads(1)  # each run has a core to itself
    outcome = Outcome()
    options = ["-q", "--tb=no", "-p", "no:cacheprovider", "-c", str(PROJECT)]
    options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # the libraries were imported before pytest ran
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        pytest.main([*options, *arguments], plugins=[outcome])
    return outcome


def passed_and_failed(runs: Iterable[Run]) -> list[tuple[set[str], set[str]]]:
    """What passes and what fails, for each run of pytest."""
    return in_fresh_processes(_run, list(runs))


def in_fresh_processes(work: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
    """The results of all items in order, each from a process of its own."""
    context = get_context("forkserver")
    context.set_forkserver_preload(HEAVY)
    with context.Pool(os.cpu_count(), maxtasksperchild=1) as pool:
        return list(tqdm(pool.imap(work, items, chunksize=1), total=len(items)))


def main() -> None:
    """Plant every exhibit in turn, and record the laws that fail."""
    laws = tuple(room(name) for name in ROOMS)
    caught = [sorted(failed) for _, failed in passed_and_failed((laws, exhibit) for exhibit in EXHIBITS)]
    RECORD.write_text(json.dumps(dict(zip(EXHIBITS, caught, strict=True)), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
