"""A sweep: which solver, how many steps, which weight and which time grid are worth their cost?

The paper chooses 30 Euler steps and w = 2 by trying others. This repeats the experiment on the small
world, where a program can tell whether a picture is right. Every setting draws the same captions
from the same noises, and three things are measured:

    score       share of pictures of which the caption is true, by category
    distance    |z - z*| / |z*|, where z* ends the exact flow of the same weight and noise, which is
                followed by many midpoint steps
    seconds     of one processor for one picture, without the VAE

Score and distance answer different questions. A latent far from the exact one can be another good
picture. Only the score says whether it is good, only the distance whether it is the same one.

The settings are divided among processes of one thread each, and the report grows by one run at a
time. So a sweep that was interrupted can continue, and a sweep of other settings can add to it.
"""

import os
import signal
import time
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread

import numpy as np
import torch
from jaxtyping import Float32
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from janus_minimal.errors import InputError, quoted
from janus_minimal.jobs.identity import identity
from janus_minimal.loading.json_file import read_json
from janus_minimal.pipeline import JanusFlowPipeline
from janus_minimal.runtime import checks
from janus_minimal.shapes.caption import CATEGORIES
from janus_minimal.shapes.evaluate import check_size, count_satisfied, fresh_captions, generator_of
from janus_minimal.shapes.report import rounded
from janus_minimal.solvers import EVALUATIONS, SOLVERS

REFERENCE_STEPS = 40  # twice as many move the end by less than any sensible setting misses it
SAFE_PATH = "PYTHONSAFEPATH"

Latents = Float32[np.ndarray, "images c H W"]
About = tuple[str, int, int]  # the checkpoint, the captions of a category, the seed


def plain(number: float) -> str:
    """Return a number in its shortest exact form: two that differ never look alike.

    >>> plain(2.0), plain(2.0000001)
    ('2', '2.0000001')
    """
    return str(number).removesuffix(".0")


@dataclass(frozen=True)
class Setting:
    """One way to draw: S steps of a solver on a shifted grid, with a guidance weight."""

    steps: int
    solver: str
    cfg_weight: float
    shift: float

    def __str__(self) -> str:
        """The setting's name in the report: "30 euler, w = 2, shift 1"."""
        weight, shift = plain(self.cfg_weight), plain(self.shift)
        return f"{self.steps} {self.solver}, w = {weight}, shift {shift}"

    @property
    def evaluations(self) -> int:
        """The number of function evaluations (NFE) of one picture."""
        return self.steps * EVALUATIONS[self.solver]

    def check(self) -> "Setting":
        """Return the setting itself. Raises InputError if it cannot be drawn."""
        checks.one_of("the solver", self.solver, list(SOLVERS))
        checks.finite_number("the guidance weight", self.cfg_weight)
        self.times()
        return self

    def times(self) -> Float32[Tensor, "times"]:
        """Return the time grid. Raises InputError."""
        return checks.shifted_grid(self.steps, self.shift)


@dataclass(frozen=True)
class Run:
    """What one setting costs and gives. `distance` is the mean over the pictures, `median` the median."""

    setting: Setting
    evaluations: int
    overall: float
    categories: dict[str, float]
    distance: float
    median: float
    seconds: float


@dataclass(frozen=True)
class Sweep:
    """The report: what all runs have in common, and the runs by the name of their setting.

    `model` is the fingerprint of what the checkpoint held, as another model may take its place.
    `captions` is their number in each category, `reference_steps` that of the midpoint steps which
    stand for the exact flow.
    """

    checkpoint: str
    model: str
    captions: int
    seed: int
    reference_steps: int = REFERENCE_STEPS
    runs: dict[str, Run] = field(default_factory=dict)

    def missing(self, settings: Sequence[Setting]) -> list[Setting]:
        """Return the settings that have no run yet."""
        return [setting for setting in dict.fromkeys(settings) if str(setting) not in self.runs]

    def to_table(self) -> str:
        """Return the runs as a Markdown table."""
        head = "| steps | solver | w | shift | NFE | score | distance | seconds |"
        rows = [
            f"| {s.steps} | {s.solver} | {plain(s.cfg_weight)} | {plain(s.shift)} | {run.evaluations} "
            f"| {run.overall:.3f} | {run.distance:.3f} | {run.seconds:.3f} |"
            for run in self.runs.values()
            for s in [run.setting]
        ]
        return "\n".join([head, "| --: | --- | --: | --: | --: | --: | --: | --: |", *rows])


def begin_sweep(checkpoint: str, captions: int, seed: int) -> Sweep:
    """Return an empty report of a checkpoint. Raises InputError if it cannot be loaded or scored."""
    pipe = JanusFlowPipeline.from_pretrained(checkpoint)
    check_size(pipe)
    return Sweep(checkpoint, identity(pipe), captions, seed)


def read_sweep(path: Path, new: Sweep) -> Sweep:
    """Return the report in a file that goes on with the new one, or the new one without a file.

    Raises InputError if the file holds anything else, or a sweep of another checkpoint, or of other
    captions: scores that were measured on different pictures cannot stand in one table. What somebody
    has changed or added is refused, too: it would stand among what was measured, or be lost.
    """
    if not path.exists():
        return new
    raw = read_json(path, wanted="the report of a sweep, or another --json")
    try:
        old = TypeAdapter(Sweep).validate_python(raw)
        for name, run in old.runs.items():
            if name != str(run.setting.check()):
                raise InputError(f"it calls {run.setting} {name}")
        if rounded(raw) != rounded(asdict(_as_measured(old))):
            raise InputError("it says something that sweep does not write, or has changed scores")
    except (InputError, ValidationError) as error:
        reason = quoted(error)
        raise InputError(f"{path} holds no sweep: {reason}; expected another --json") from None
    for name in ("checkpoint", "model", "captions", "seed", "reference_steps"):
        was, now = getattr(old, name), getattr(new, name)
        if was != now:
            raise InputError(
                f"{path} holds a sweep with the {name.replace('_', ' ')} {was!r}, not {now!r}: "
                "expected the same here, or another --json"
            )
    return old


def _as_measured(sweep: Sweep) -> Sweep:
    """Return the report with what follows from the rest of a run: its cost and its mean score."""
    runs = {
        name: replace(
            run,
            evaluations=run.setting.evaluations,
            overall=sum(run.categories.values()) / max(1, len(run.categories)),
        )
        for name, run in sweep.runs.items()
    }
    return replace(sweep, runs=runs)


def together_with(path: Path, report: Sweep) -> Sweep:
    """Return the report, and the runs that are in its file by now. Raises InputError.

    Another sweep may have written there meanwhile, and its runs would be lost. To be safe, call this
    and write the result inside `held`.
    """
    return replace(report, runs=read_sweep(path, report).runs | report.runs)


def run_sweep(report: Sweep, settings: Sequence[Setting], processes: int) -> Iterator[Sweep]:
    """Measure the settings that the report lacks. Yield the report after each of them.

    Raises InputError if a setting cannot be drawn, or if a process is killed.
    """
    missing = [setting.check() for setting in report.missing(settings)]
    about = (report.checkpoint, report.captions, report.seed)
    try:
        with _pool(processes) as pool:
            weights = dict.fromkeys(setting.cfg_weight for setting in missing)
            with _safe_path():  # processes begin with what is submitted, and not later
                ends = {w: pool.submit(_exact, about, w, report.reference_steps) for w in weights}
                runs = [
                    pool.submit(_measure, about, s, ends[s.cfg_weight].result()) for s in missing
                ]
            for future in as_completed(runs):
                run = future.result()
                report = replace(report, runs=report.runs | {str(run.setting): run})
                yield report
    except BrokenProcessPool:
        raise InputError(
            "a process of the sweep was killed: expected memory for all of them; "
            "the same command with fewer --processes continues"
        ) from None


@contextmanager
def _pool(processes: int) -> Iterator[ProcessPoolExecutor]:
    """A pool of processes. Whoever leaves early waits for what runs, and not for what is queued."""
    with _safe_path():  # a process that counts semaphores begins with the pool
        pool = ProcessPoolExecutor(processes, get_context("spawn"), _start)
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)  # the pool's own `with` would not cancel


@contextmanager
def _safe_path() -> Iterator[None]:
    """Let no process that begins look for Python's own modules in the working folder first.

    multiprocessing begins each by `python -c`, which does: it would take a file pickle.py there for
    Python's. Every process then gets the path of this one.
    """
    before = os.environ.get(SAFE_PATH)
    os.environ[SAFE_PATH] = "1"
    try:
        yield
    finally:
        os.environ.pop(SAFE_PATH, None)
        if before is not None:
            os.environ[SAFE_PATH] = before


class Sample:
    """Captions of every category, a noise for each, and the pipeline that draws them."""

    def __init__(self, pipe: JanusFlowPipeline, captions: int, seed: int) -> None:
        self.pipe = pipe
        self.captions = {name: fresh_captions(name, captions, seed) for name in CATEGORIES}
        self.seed = seed

    def draw(self, setting: Setting) -> dict[str, torch.Tensor]:
        """Return the latents at t = 1 of each category."""
        found = {}
        for index, (name, captions) in enumerate(self.captions.items()):
            found[name] = self.pipe(
                [str(caption) for caption in captions],
                cfg_weight=setting.cfg_weight,
                generator=[generator_of(self.seed, index, i) for i in range(len(captions))],
                times=setting.times(),
                solver=SOLVERS[setting.solver],
                output_type="latent",
                progress=False,
            ).images
        return found

    def measure(self, setting: Setting, exact: Latents) -> Run:
        """Draw with one setting, and compare with the captions and with the exact flow."""
        before = time.process_time()
        found = self.draw(setting)
        seconds = time.process_time() - before
        scores = {name: self._score(name, z) for name, z in found.items()}
        z = _stacked(found)
        apart = np.linalg.norm((z - exact).reshape(len(z), -1), axis=1)
        apart /= np.linalg.norm(exact.reshape(len(z), -1), axis=1)
        return Run(
            setting,
            setting.evaluations,
            float(np.mean(list(scores.values()))),
            scores,
            float(apart.mean()),
            float(np.median(apart)),
            seconds / len(z),
        )

    def _score(self, name: str, z: torch.Tensor) -> float:
        captions = self.captions[name]
        return count_satisfied(self.pipe.to_pictures(z), captions) / len(captions)


def _start() -> None:
    """Prepare a process. Ctrl-C is left to the parent, or every process would print a traceback.

    What a checkpoint is warned of, the parent has said when it loaded it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)


def _end_with_parent() -> None:
    """End this process when its parent has ended. One that was killed tells nobody, and we would wait for ever."""
    if parent := parent_process():
        parent.join()
        os._exit(1)


@cache
def _sample(checkpoint: str, captions: int, seed: int) -> Sample:
    """Load once for all settings of a process. What is wrong with a checkpoint reaches the parent."""
    return Sample(JanusFlowPipeline.from_pretrained(checkpoint), captions, seed)


def _exact(about: About, cfg_weight: float, steps: int) -> Latents:
    """Return where the exact flow ends. NumPy's arrays travel between processes; tensors would share memory."""
    return _stacked(_sample(*about).draw(Setting(steps, "midpoint", cfg_weight, 1.0)))


def _measure(about: About, setting: Setting, exact: Latents) -> Run:
    return _sample(*about).measure(setting, exact)


def _stacked(latents: dict[str, torch.Tensor]) -> Latents:
    return torch.cat(list(latents.values())).cpu().numpy()
