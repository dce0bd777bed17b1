"""The figures of the chapter on solvers: python docs/figures/solvers.py [NAME ...]

What takes long is measured once and kept in data/NAME.json. To repeat a measurement, delete its file and run
python docs/figures/solvers.py measure NAME (one to four minutes on one thread). MEASURES has the names.
"""

from itertools import pairwise
from typing import Any

import numpy as np
import torch
from canvas import BLUE, GREEN, INK, ORANGE, PINK, Drawing, figure, main, measured
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sample import Sample
from torch import Tensor

from janus_minimal import JanusFlowPipeline, denoise, euler_step, guide, time_grid
from janus_minimal.solvers import SOLVERS

EACH = 5  # captions of each of the seven categories
SEED = 7  # of captions and noise
METHODS = {method: SOLVERS[method.lower()] for method in ("Euler", "midpoint", "Heun", "Adams-Bashforth")}
ASKS = {"Euler": 1, "midpoint": 2, "Heun": 2, "Adams-Bashforth": 1}  # evaluations a step
LOOKS = {
    "Euler": (ORANGE, "-", "o"),
    "midpoint": (BLUE, "--", "s"),
    "Heun": (PINK, ":", "^"),
    "Adams-Bashforth": (GREEN, "-.", "D"),
}
REFERENCE = 64  # midpoint steps
SHIFTS = {1: (2, 4, 6, 8, 12, 16, 24, 32), 2: (2, 4, 8, 16, 32), 3: (2, 4, 8, 16, 32)}  # NFE
FAMOUS = "a red circle left of a blue square"


class Solved(Sample):
    """The sample of this chapter, and how it is solved."""

    def __init__(self) -> None:
        super().__init__(EACH, SEED)

    def solve(self, method: str, steps: int, shift: float = 1.0, weight: float = 2.0) -> Tensor:
        *_, last = METHODS[method](self.pipe.model, self.pair, self.z, time_grid(steps, shift), weight)
        return last.z_next


def distances(z: Tensor, reference: Tensor) -> Tensor:
    """Return |z - reference| / |reference| of each picture."""
    return (z - reference).flatten(1).norm(dim=1) / reference.flatten(1).norm(dim=1)


def told(sample: Solved, z: Tensor, reference: Tensor) -> dict[str, Any]:
    """Return the distances by picture, so that their mean can be given an interval, and what is said of them all."""
    apart = distances(z, reference)
    each = [float(f"{one:.5g}") for one in apart.tolist()]
    return {"mean": apart.mean().item(), "median": apart.median().item(), "score": sample.score(z), "each": each}


def measure_reference() -> dict[str, Any]:
    """Solve accurately on two grids: what they disagree on is what the reference may be wrong by."""
    sample = Solved()
    reference = sample.solve("midpoint", REFERENCE)
    other = sample.solve("midpoint", REFERENCE, shift=2.0)
    return {
        "captions": len(sample.captions),
        "steps": REFERENCE,
        "score": sample.score(reference),
        "other grid": told(sample, other, reference),
    }


def measure_shift(shift: int) -> dict[str, Any]:
    """Solve by every method, with few and with many evaluations, and compare with the reference."""
    sample = Solved()
    reference = sample.solve("midpoint", REFERENCE)
    found: dict[str, Any] = {"captions": len(sample.captions), "score": sample.score(reference)}
    for method, asks in ASKS.items():
        runs = {nfe: sample.solve(method, nfe // asks, shift) for nfe in SHIFTS[shift]}
        found[method] = {str(nfe): told(sample, z, reference) for nfe, z in runs.items()}
    return found


def measure_endpoints() -> dict[str, Any]:
    """Tell the network linspace(0, 1, N) while the latent moves by 1/N, and compare with what is right."""
    sample, found = Solved(), {}
    reference = sample.solve("midpoint", REFERENCE)
    for steps in (4, 8, 16, 30):
        times = torch.linspace(0, 1, steps + 1)
        ways = {"right": times[:-1], "told too late a time": torch.linspace(0, 1, steps)}
        found[str(steps)] = {
            name: told(sample, euler_told(sample, asked, 1 / steps), reference) for name, asked in ways.items()
        }
        short = torch.linspace(0, 1, steps)
        found[str(steps)]["one step too few"] = told(sample, euler_told(sample, short[:-1], 1 / (steps - 1)), reference)
    return found


def euler_told(sample: Solved, times: Tensor, h: float, weight: float = 2.0) -> Tensor:
    """Take an Euler step of length h for each of these times, which the network is told."""
    model, z = sample.pipe.model, sample.z
    cache = model.prefill(sample.pair)
    for t in times:
        z = z + h * guide(*model.velocity(z, t, sample.pair, cache), weight)
    return z


def slope(z: float, t: float) -> float:
    """Return the field of the worked example: dz/dt = -z, solved by exp(-t)."""
    return -z


def exact(t: np.ndarray) -> np.ndarray:
    return np.exp(-t)


def frame(ax: Axes, title: str, x: str, y: str) -> None:
    ax.set_title(title, fontsize=11)
    ax.set(xlabel=x, ylabel=y)


@figure("solver_step")
def solver_step() -> Drawing:
    """One long step by each method on the field of the worked example."""
    fig = Figure(figsize=(8.4, 3.3), layout="constrained")
    left, right = fig.subplots(1, 2, sharey=True)
    t = np.linspace(0, 1, 100)
    for ax in (left, right):
        ax.plot(t, exact(t), color=INK, lw=2)
    left.text(0.45, 0.68, "exact path", fontsize=10)
    frame(left, "Euler: one step, and two", "t", "z")
    one = 1 + slope(1, 0)
    left.plot([0, 1], [1, one], "-o", color=ORANGE, label="one step")
    half = 1 + slope(1, 0) / 2
    two = half + slope(half, 0.5) / 2
    left.plot([0, 0.5, 1], [1, half, two], "--s", color=BLUE, label="two steps")
    left.legend(frameon=False, loc="lower left")
    frame(right, "Midpoint: one step", "t", "")
    middle = slope(half, 0.5)
    right.plot([0, 0.5], [1, half], ":", color=ORANGE, lw=2)
    right.plot(0.5, half, "s", color=ORANGE, ms=8)
    right.text(0.22, half - 0.13, f"velocity here: {middle:g}", fontsize=10)
    end = 1 + middle
    right.plot([0, 1], [1, end], "-o", color=BLUE)
    right.plot([0.36, 0.64], [half - 0.14 * middle, half + 0.14 * middle], color=BLUE, lw=2)
    right.text(0.52, 0.78, "the same slope,\nfrom the start", fontsize=10)
    truth = float(exact(np.array(1.0)))
    return Drawing(
        fig,
        "Two plots of z against t. The exact path is a curve that falls and flattens. Euler's straight steps leave it "
        "downwards; two steps end closer than one. The midpoint method first goes half a step, then takes the slope "
        "found there for the whole step, and ends a little above the curve.",
        f"The equation dz/dt = -z from z(0) = 1. The exact end is {truth:.3f}. Left: one Euler step ends at {one:g}, "
        f"two end at {two:g}. Right: the midpoint method asks for the velocity half a step ahead and uses it for the "
        f"whole step; it ends at {end:g}. Two Euler steps are wrong by {abs(two - truth):.3f}, one midpoint step, "
        f"which also asks twice, by {abs(end - truth):.3f}.",
    )


class KnownField:
    """Stands in for the model, with the field of the worked example."""

    def prefill(self, prompt: object) -> None:
        return None

    def velocity(self, z: Tensor, t: Tensor, prompt: object, cache: object) -> tuple[Tensor, Tensor]:
        return slope(z, t), torch.zeros_like(z)


def end_of(method: str, steps: int) -> float:
    """Return z(1) of the worked example."""
    z, times = torch.ones(1, 1, 1, 1), time_grid(steps)
    if method != "Euler":
        *_, last = METHODS[method](KnownField(), None, z, times, 1.0)
        return last.z_next.item()
    for t, t_next in pairwise(times):
        z = euler_step(z, slope(z, t), t, t_next)
    return z.item()


@figure("solver_order")
def solver_order() -> Drawing:
    """Error against evaluations on a field with a known answer."""
    fig = Figure(figsize=(6.4, 3.8), layout="constrained")
    ax = fig.subplots()
    nfes, truth, orders = [2, 4, 8, 16, 32, 64, 128], np.exp(-1), {}
    for method, asks in ASKS.items():
        errors = [abs(end_of(method, nfe // asks) - truth) for nfe in nfes]
        colour, line, marker = LOOKS[method]
        ax.loglog(nfes, errors, line, color=colour, marker=marker, label=method, base=2)
        orders[method] = np.log2(errors[-3] / errors[-2])
    ax.set_yscale("log", base=10)
    ax.set_xticks(nfes, [str(nfe) for nfe in nfes])
    frame(ax, "", "evaluations of the field (NFE)", "error at t = 1")
    ax.legend(frameon=False)
    said = ", ".join(f"{method} {order:.2f}" for method, order in orders.items())
    return Drawing(
        fig,
        "Error against number of evaluations, both logarithmic. All lines are straight and fall. Euler's falls half as "
        "steeply as the other three, which lie far below it from 16 evaluations on.",
        "Error of four solvers on dz/dt = -z, whose answer is known, against the number of evaluations. The slope of "
        f"each line is the order of the method. Measured from 32 to 64 evaluations: {said}.",
    )


POINTS = torch.tensor([[2.0, 1.0], [2.0, -1.0]], dtype=torch.float64)


def towards(z: Tensor, t: float) -> Tensor:
    """Return the average velocity for two data points, as in the chapter on the flow."""
    weights = (-(z - t * POINTS).square().sum(dim=1) / (1 - t) ** 2 / 2).softmax(dim=0)
    return (weights @ POINTS - z) / (1 - t)


def walk(z: Tensor, times: list[float], middle: bool) -> np.ndarray:
    """Follow the field of two points by Euler or midpoint steps. Return all places."""
    places = [z]
    for t, t_next in pairwise(times):
        v = towards(z, t)
        if middle:
            v = towards(z + (t_next - t) / 2 * v, (t + t_next) / 2)
        z = z + (t_next - t) * v
        places.append(z)
    return torch.stack(places).numpy()


@figure("solver_overshoot")
def solver_overshoot() -> Drawing:
    """A bent path of a flow, by Euler and by midpoint at equal cost."""
    start = torch.tensor([-0.4, 0.25], dtype=torch.float64)
    truth = walk(start, np.linspace(0, 1, 2001).tolist(), False)
    fig = Figure(figsize=(8.4, 3.1), layout="constrained")
    ends = {}
    for ax, nfe in zip(fig.subplots(1, 2, sharey=True), (4, 8), strict=True):
        ax.plot(*truth.T, color=INK, lw=2, label="exact path")
        for method, middle in (("Euler", False), ("midpoint", True)):
            steps = nfe // ASKS[method]
            colour, line, marker = LOOKS[method]
            places = walk(start, np.linspace(0, 1, steps + 1).tolist(), middle)
            ends[method, nfe] = places[-1]
            ax.plot(*places.T, line, color=colour, marker=marker, label=f"{method}, {steps} steps")
        ax.plot(*POINTS.T.numpy(), "*", color=INK, ms=13)
        frame(ax, f"{nfe} evaluations", "first coordinate", "second" if nfe == 4 else "")
        ax.legend(frameon=False, loc="lower left", fontsize=9)
    place = "({:.2f}, {:.2f})".format
    return Drawing(
        fig,
        "Two plots of a path in the plane that first runs to the right, between two data points, and then turns up to "
        "the upper one. With 4 evaluations Euler ends at the data point and midpoint above it; with 8 both end at it.",
        "The flow to two data points (stars), from one noise. The path bends when it is decided which point is meant. With "
        f"4 evaluations Euler ends at {place(*ends['Euler', 4])}, midpoint at {place(*ends['midpoint', 4])}: its last "
        f"step takes a velocity from t = 0.75, which had less time left, for a step twice as long. With 8 evaluations "
        f"Euler ends at {place(*ends['Euler', 8])}, midpoint at {place(*ends['midpoint', 8])}.",
    )


@figure("time_shift")
def time_shift() -> Drawing:
    """Where the steps of a shifted grid lie."""
    fig = Figure(figsize=(7.2, 2.0), layout="constrained")
    ax = fig.subplots()
    early = {}
    for row, (shift, colour) in enumerate(((1, BLUE), (2, ORANGE), (3, GREEN))):
        times = time_grid(10, shift).numpy()
        early[shift] = int((times[:-1] < 0.25).sum())
        ax.plot(times, [-row] * len(times), "-o", color=colour)
    ax.set_yticks([0, -1, -2], [f"shift {s}" for s in early])
    ax.set(xlabel="t", ylim=(-2.6, 0.6))
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)
    said = ", ".join(f"{number} at shift {shift}" for shift, number in early.items())
    return Drawing(
        fig,
        "Three rows of eleven dots on the line from 0 to 1. The first row is evenly spaced; in the second and third the "
        "dots are closer together near 0 and farther apart near 1.",
        f"The times of 10 steps. A larger shift puts more of them near t = 0. Steps that begin before t = 0.25: {said}.",
    )


def shifts() -> dict[int, Any]:
    return {shift: measured(f"solver-shift-{shift}", lambda s=shift: measure_shift(s)) for shift in SHIFTS}


@figure("solver_error")
def solver_error() -> Drawing:
    """Distance from the reference against evaluations, for each solver and shift."""
    fig = Figure(figsize=(9.2, 3.7), layout="constrained")
    found = shifts()
    for ax, (shift, runs) in zip(fig.subplots(1, 3, sharey=True), found.items(), strict=True):
        for method, (colour, line, marker) in LOOKS.items():
            nfes = list(runs[method])
            errors = [runs[method][nfe]["mean"] for nfe in nfes]
            ax.plot([int(nfe) for nfe in nfes], errors, line, color=colour, marker=marker, ms=5, label=method)
        ax.set_xscale("log", base=2)
        ax.set_yscale("log")
        ax.set_xticks([2, 4, 8, 16, 32], ["2", "4", "8", "16", "32"])
        ax.yaxis.set_minor_formatter("")
        frame(ax, f"shift {shift}", "NFE", "relative distance from the reference" if shift == 1 else "")
    ax.legend(frameon=False, fontsize=9)
    one = found[1]
    said = "; ".join(f"{method} {100 * one[method]['32']['mean']:.1f} %" for method in LOOKS)
    return Drawing(
        fig,
        "Three panels, for shifts 1, 2 and 3, with distance from the reference against number of evaluations. All lines "
        "fall. Which of the solvers is lowest depends on the number of evaluations.",
        f"The bundled model, {one['captions']} captions, w = 2: relative distance of the final latent from that of "
        f"{REFERENCE} midpoint steps ({2 * REFERENCE} evaluations), mean over the pictures. With 32 evaluations at "
        f"shift 1: {said}.",
    )


@figure("solver_score")
def solver_score() -> Drawing:
    """Share of true captions against evaluations."""
    fig = Figure(figsize=(9.2, 3.7), layout="constrained")
    found = shifts()
    for ax, (shift, runs) in zip(fig.subplots(1, 3, sharey=True), found.items(), strict=True):
        ax.axhline(runs["score"], color=INK, lw=1, ls=(0, (1, 3)))
        for method, (colour, line, marker) in LOOKS.items():
            nfes = list(runs[method])
            scores = [runs[method][nfe]["score"] for nfe in nfes]
            ax.plot([int(nfe) for nfe in nfes], scores, line, color=colour, marker=marker, ms=5, label=method)
        ax.set_xscale("log", base=2)
        ax.set_xticks([2, 4, 8, 16, 32], ["2", "4", "8", "16", "32"])
        frame(ax, f"shift {shift}", "NFE", "share of pictures that\nsatisfy their captions" if shift == 1 else "")
    ax.legend(frameon=False, fontsize=9, loc="lower right")
    one = found[1]
    doubt = np.sqrt(one["score"] * (1 - one["score"]) / one["captions"])
    euler = ", ".join(f"{one['Euler'][nfe]['score']:.2f} with {nfe}" for nfe in ("4", "8", "16", "32"))
    return Drawing(
        fig,
        "Three panels, for shifts 1, 2 and 3, with score against number of evaluations. The scores rise from near zero "
        "and then level off near the reference's score, a dotted line.",
        f"Share of pictures of which the caption is true, for the same {one['captions']} captions and noises. The dotted "
        f"line is the reference, {one['score']:.2f}. Chance alone moves a score near it by about {doubt:.2f}. "
        f"Euler at shift 1: {euler} evaluations.",
    )


@figure("solver_pictures")
def solver_pictures() -> Drawing:
    """One noise, one caption, more and more evaluations."""
    nfes = (2, 4, 8, 16, 32)
    pipe = JanusFlowPipeline.from_pretrained("shapes")
    methods = ("Euler", "midpoint", "Adams-Bashforth")
    fig = Figure(figsize=(7.2, 4.6), layout="constrained")
    axes = fig.subplots(len(methods), len(nfes))
    for row, method in zip(axes, methods, strict=True):
        for ax, nfe in zip(row, nfes, strict=True):
            noise = torch.Generator().manual_seed(1)
            steps = nfe // ASKS[method]
            (picture,) = pipe(FAMOUS, steps, solver=METHODS[method], generator=noise, progress=False).images
            ax.imshow(np.asarray(picture), interpolation="nearest")
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
        row[0].set_ylabel(method)
    for ax, nfe in zip(axes[0], nfes, strict=True):
        ax.set_title(f"NFE {nfe}", fontsize=11)
    return Drawing(
        fig,
        "A table of pictures: a row for Euler, for midpoint and for Adams-Bashforth, and a column for 2, 4, 8, 16 and 32 "
        "evaluations. With 2 the circle is missing. With 4 and 8 all rows show a red circle left of a blue square, at one height. "
        "With 16 and 32 all rows show the circle higher up.",
        f'The caption "{FAMOUS}", one noise, drawn with 2 to 32 evaluations of the bundled model by three solvers (w = 2, '
        "shift 1).",
    )


def measure_path() -> dict[str, Any]:
    """Follow the paths with many Euler steps: how fast does the velocity change, and is the caption true yet?"""
    sample, rows = Solved(), []
    found: dict[str, Any] = {"captions": len(sample.captions), "steps": 60}
    for weight in (1.0, 2.0):
        before, rows = None, []
        for step in denoise(sample.pipe.model, sample.pair, sample.z, time_grid(60), weight):
            v = step.v.flatten(1)
            if before is not None:
                change = (v - before).norm(dim=1) / (step.t_next - step.t)
                rows.append({"t": step.t.item() - 1 / 120, "change": (change / v.norm(dim=1)).mean().item()})
                if weight == 2.0 and step.index % 3 == 0:
                    rows[-1]["score"] = sample.score(step.denoised)
            before = v
        found[f"{weight:g}"] = rows
    return found


@figure("path_curvature")
def path_curvature() -> Drawing:
    """Where the paths bend, and when the caption becomes true."""
    found = measured("solver-path", measure_path)
    fig = Figure(figsize=(8.6, 3.4), layout="constrained")
    left, right = fig.subplots(1, 2)
    for weight, colour, line in (("1", BLUE, "--"), ("2", ORANGE, "-")):
        rows = found[weight]
        left.plot(
            [row["t"] for row in rows], [row["change"] for row in rows], line, color=colour, label=f"w = {weight}"
        )
    left.legend(frameon=False)
    left.set_yscale("log")
    left.set_yticks([0.3, 1, 3, 10], ["0.3", "1", "3", "10"])
    left.yaxis.set_minor_formatter("")
    frame(left, "How fast the velocity changes", "t", "|dv/dt| / |v|")
    rows = found["2"]
    scored = [row for row in rows if "score" in row]
    right.plot([row["t"] for row in scored], [row["score"] for row in scored], "-o", ms=4, color=ORANGE)
    frame(right, "How often the prediction is already right", "t", "share of true captions")
    right.set_ylim(0, 1)
    middle = [row["change"] for row in rows if 0.4 < row["t"] < 0.8]
    peak = max((row for row in rows if row["t"] < 0.5), key=lambda row: row["change"])
    half = next(row for row in scored if row["score"] >= 0.5)
    return Drawing(
        fig,
        "Left: relative change of the velocity against t, logarithmic, for weights 1 and 2; it is high at small t and near "
        "t = 1, and low between. Right: share of clean predictions that satisfy the caption, rising steeply at small t.",
        f"The bundled model, {found['captions']} captions, {found['steps']} Euler steps. Left: |dv/dt| in units of |v|. With "
        f"w = 2 its largest value before t = 0.5 is {peak['change']:.1f} at t = {peak['t']:.2f}; between 0.4 and 0.8 it is "
        f"{np.mean(middle):.2f} on average, and at the last step (t = {rows[-1]['t']:.2f}) {rows[-1]['change']:.0f}. Right: share of the denoised predictions z + (1 - t) v that satisfy the "
        f"caption; half of them do from t = {half['t']:.2f} on.",
    )


MEASURES = {f"solver-shift-{shift}": lambda shift=shift: measure_shift(shift) for shift in SHIFTS}
MEASURES |= {"solver-reference": measure_reference, "solver-path": measure_path}
MEASURES |= {"solver-endpoints": measure_endpoints}

if __name__ == "__main__":
    main(MEASURES)
