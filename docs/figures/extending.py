"""The figures of the chapter on recipes: python docs/figures/extending.py [NAME ...]

What takes long is measured once and kept in data/: delete a file there to measure it again (one to three minutes each,
one thread).
"""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from canvas import BLUE, GREEN, INK, ORANGE, PINK, Drawing, figure, main
from matplotlib.figure import Figure
from recipes import measured, run_page
from sample import Sample
from torch import Tensor

from janus_minimal import JanusFlowPipeline, PromptPair, denoise, time_grid
from janus_minimal.shapes.score import detect
from janus_minimal.shapes.vae import encode_scenes
from janus_minimal.solvers import adams_bashforth, midpoint

EACH, SEED, STEPS = 10, 11, 20  # captions of each of the seven categories


class Solved(Sample):
    """The sample of this chapter, and how it is solved."""

    def __init__(self, each: int = EACH, seed: int = SEED) -> None:
        super().__init__(each, seed)

    def solve(self, weight: float, solver: Callable = denoise, times: Tensor | None = None) -> Tensor:
        *_, last = solver(self.pipe.model, self.pair, self.z, time_grid(STEPS) if times is None else times, weight)
        return last.z_next

    def real(self) -> Tensor:
        rng = np.random.default_rng(SEED)
        return encode_scenes(self.pipe.vae, [caption.draw(rng) for caption in self.captions])


RULES = ("plain", "interval", "rescaled", "projected", "zero star")
STRENGTHS = (2.0, 6.0, 10.0, 25.0)


def rules() -> dict[str, Callable]:
    page = run_page("extending.md")
    solver = page["with_guidance"]
    return {
        "plain": denoise,
        "interval": solver(page["in_interval"](0.1, 0.6)),
        "rescaled": solver(page["rescaled"](0.7)),
        "projected": solver(page["projected"]),
        "zero star": solver(page["zero_star"]),
    }


def counted(hits: str) -> dict[str, Any]:
    return {"captions": len(hits), "right": hits.count("1"), "hits": hits}


def measure_rule(name: str, weight: float) -> dict[str, Any]:
    sample = Solved()
    z = sample.solve(weight, rules()[name])
    return {**counted(sample.hits(z)), "steps": STEPS, "spread": z.std().item()}


def apart(z: Tensor, reference: Tensor) -> float:
    """Return the median over the images of |z - reference| / |reference|."""
    return ((z - reference).flatten(1).norm(dim=1) / reference.flatten(1).norm(dim=1)).median().item()


def measure_grids() -> dict[str, Any]:
    """Compare grids of few Euler steps, and solvers of the same cost, with an accurate solution."""
    sample, page = Solved(each=3), run_page("extending.md")
    reference = sample.solve(2.0, midpoint, time_grid(50))
    found: dict[str, Any] = {"captions": len(sample.captions), "steps": 8, "error": {}}
    for name, times in page["grids"].items():
        found["error"][name] = apart(sample.solve(2.0, denoise, times), reference)
    for name, solver, steps in (
        ("Euler", denoise, 16),
        ("midpoint", midpoint, 8),
        ("Runge-Kutta 4", page["runge_kutta_4"], 4),
    ):
        found["error"][f"{name}, 16 evaluations"] = apart(sample.solve(2.0, solver, time_grid(steps)), reference)
    return found


def measure_adaptive() -> dict[str, Any]:
    """Let scipy choose the steps, at several tolerances, for one caption of each of six categories."""
    sample, page = Solved(each=1), run_page("extending.md")
    model, found = sample.pipe.model, {"captions": len(sample.captions)}
    truth = sample.solve(2.0, midpoint, time_grid(100))
    for tolerance in (3e-2, 1e-2, 1e-3):
        evaluations, errors, times = [], [], []
        for i, caption in enumerate(sample.captions):
            pair = PromptPair.from_text(str(caption), sample.pipe.tokenizer)
            solution = page["adaptive"](model, pair, sample.z[i : i + 1], 2.0, tolerance)
            end = torch.from_numpy(solution.y[:, -1]).float().view_as(truth[i])
            evaluations.append(solution.nfev)
            errors.append(((end - truth[i]).norm() / truth[i].norm()).item())
            times.append(solution.t.tolist())
        found[f"{tolerance:g}"] = {
            "evaluations": float(np.mean(evaluations)),
            "error": float(np.median(errors)),
            "times": times,
        }
    return found


def measure_diffusers() -> dict[str, Any]:
    """Compare schedulers of diffusers with our solvers of one evaluation a step, as `measure_grids` does."""
    sample, page = Solved(each=3), run_page("extending.md")
    reference = sample.solve(2.0, midpoint, time_grid(50))
    solvers = {"ours, uniform": denoise, "adams-bashforth": adams_bashforth}
    solvers |= {name: page["scheduled"](scheduler) for name, scheduler in page["schedulers"].items()}
    return {
        name: {str(steps): apart(sample.solve(2.0, solver, time_grid(steps)), reference) for steps in (8, 16)}
        for name, solver in solvers.items()
    }


def measure_steered() -> dict[str, Any]:
    """Ask for a red circle whose right half is bright: where does it go, and is it still a red circle?"""
    page, pipe, number = run_page("extending.md"), JanusFlowPipeline.from_pretrained("shapes"), 32
    found: dict[str, Any] = {"pictures": number, "steps": STEPS}
    for strength in (0.0, 0.5, 1.0, 1.5):
        noises = [torch.Generator().manual_seed(seed) for seed in range(number)]
        solver = page["with_guidance"](page["steered"](page["right_half_is_bright"], strength))
        images = pipe("a red circle", STEPS, 2.0, None, number, noises, solver=solver, progress=False).images
        scenes = [detect(np.asarray(image)) for image in images]
        right = [s[0].x for s in scenes if [(t.colour, t.shape) for t in s] == [("red", "circle")]]
        found[f"{strength:g}"] = {"right": len(right), "place": float(np.mean(right))}
    return found


def measure_negative() -> dict[str, Any]:
    """Ask for a star, and guide away from a red one."""
    page, pipe, number = run_page("extending.md"), JanusFlowPipeline.from_pretrained("shapes"), 32
    found: dict[str, Any] = {"pictures": number, "steps": STEPS}
    for name, solver in {"no caption": denoise, "a red star": page["away_from"]("a red star")}.items():
        noises = [torch.Generator().manual_seed(seed) for seed in range(number)]
        images = pipe("a star", STEPS, 2.0, None, number, noises, solver=solver, progress=False).images
        scenes = [detect(np.asarray(image)) for image in images]
        found[name] = {
            "stars": sum(len(scene) == 1 and scene[0].shape == "star" for scene in scenes),
            "red": sum(any(thing.colour == "red" for thing in scene) for scene in scenes),
        }
    return found


def measure_again() -> dict[str, Any]:
    """Compare plain Euler and the stirred one on other captions and noise."""
    sample = Solved(seed=SEED + 1)
    solver = run_page("extending.md")["stirred"](1.0, torch.Generator().manual_seed(SEED))
    runs = {"plain": denoise, "stirred": solver}
    return {name: counted(sample.hits(sample.solve(2.0, run))) for name, run in runs.items()}


def measure_stirred() -> dict[str, Any]:
    sample = Solved()
    solver = run_page("extending.md")["stirred"](1.0, torch.Generator().manual_seed(SEED))
    return {**counted(sample.hits(sample.solve(2.0, solver))), "steps": STEPS}


def measure_real() -> float:
    return Solved().real().std().item()


TASKS = {
    "guidance": {
        "plain 1": lambda: measure_rule("plain", 1.0),
        **{f"{r} {w:g}": lambda r=r, w=w: measure_rule(r, w) for w in STRENGTHS for r in RULES},
        "real spread": measure_real,
    },
    "solvers": {
        "grids": measure_grids,
        "adaptive": measure_adaptive,
        "diffusers": measure_diffusers,
        "steered": measure_steered,
        "negative": measure_negative,
        "stirred": measure_stirred,
        "again": measure_again,
    },
}


def data(file: str) -> dict[str, Any]:
    return {key: measured(f"extending-{file}", key, measure) for key, measure in TASKS[file].items()}


NAMES = {
    "plain": "plain",
    "interval": "interval",
    "rescaled": "rescaled",
    "projected": "projected",
    "zero star": "CFG-Zero*",
}
LOOKS = [(INK, "-", "o"), (BLUE, "--", "s"), (ORANGE, "-.", "^"), (GREEN, ":", "D"), (PINK, (0, (5, 1, 1, 1)), "v")]


@figure("extending_rules")
def extending_rules() -> Drawing:
    """Draw how many captions are obeyed, and how large the latents become, by rule and weight."""
    found = data("guidance")
    drawn = Figure(figsize=(8.6, 3.2), layout="constrained")
    left, right = drawn.subplots(1, 2)
    number = found["plain 1"]["captions"]
    for (key, name), (colour, line, mark) in zip(NAMES.items(), LOOKS, strict=True):
        entries = [found["plain 1"], *(found[f"{key} {w:g}"] for w in STRENGTHS)]
        if key == "zero star":  # its first step stands still, also without guidance
            entries[0] = None
        points = [(w, e) for w, e in zip((1.0, *STRENGTHS), entries, strict=True) if e]
        x = [w for w, _ in points]
        style = {"color": colour, "linestyle": line, "marker": mark, "markersize": 5}
        left.plot(x, [e["right"] for _, e in points], label=name, **style)
        right.plot(x, [e["spread"] for _, e in points], **style)
    right.axhline(found["real spread"], color=INK, linewidth=0.8)
    right.text(25, found["real spread"] - 0.012, "real scenes", ha="right", va="top", fontsize=9)
    left.set(xlabel="guidance weight w", ylabel=f"right, of {number}", ylim=(0, number + 3))
    right.set(xlabel="guidance weight w", ylabel="standard deviation of the latents")
    left.legend(frameon=False, fontsize=9, loc="lower left", ncols=2)
    weights = [weight for weight in STRENGTHS if weight < 25]
    early = [found[f"{key} {w:g}"]["right"] for key in NAMES for w in weights]
    late = ", ".join(f"{name} {found[f'{key} 25']['right']}" for key, name in NAMES.items())
    plain = found["plain 25"]["spread"]
    low = min(found[f"{key} 25"]["spread"] for key in NAMES)
    return Drawing(
        drawn,
        alt="Left: five nearly flat curves close to the top up to w = 10; at 25 four of them have fallen far and the interval's has not. "
        "Right: the spread of plain guidance rises with the weight, those of the repairs less.",
        caption=f"Five guidance rules at weights 1 to 25. Left: pictures that obey their captions, of {number}. Up to w = 10 all runs lie between "
        f"{min(early)} and {max(early)}; at w = 25: {late}. Right: the standard deviation of the final latents. Real scenes have {found['real spread']:.2f}; at "
        f"w = 25 plain guidance has {plain:.2f} and the gentlest rule {low:.2f}.",
    )


@figure("extending_adaptive")
def extending_adaptive() -> Drawing:
    """Draw where an adaptive solver stops, and how long its steps are."""
    found = data("solvers")["adaptive"]
    drawn = Figure(figsize=(7.2, 3.0), layout="constrained")
    ax = drawn.subplots()
    for (tolerance, name), colour, mark in zip(
        {"0.01": "tolerance 0.01", "0.001": "tolerance 0.001"}.items(), (BLUE, ORANGE), "os", strict=True
    ):
        first = True
        for times in found[tolerance]["times"]:
            lengths = np.diff(times)[:-1]  # the last step is cut off at t = 1
            ax.plot(
                times[:-2],
                lengths,
                color=colour,
                marker=mark,
                markersize=4,
                linewidth=0.9,
                label=name if first else None,
            )
            first = False
    ax.set(xlabel="t at which the step begins", ylabel="length of the step", xlim=(-0.02, 1), ylim=(0, None))
    ax.legend(frameon=False)
    starts = [times[1] for times in found["0.001"]["times"]]
    longest = [max(np.diff(times)) for times in found["0.001"]["times"]]
    return Drawing(
        drawn,
        alt="Curves of step length against time for seven pictures and two tolerances. All rise from left to right up to the middle.",
        caption=f"The steps that scipy's RK45 chooses for {found['captions']} pictures; the last step, which is cut off at t = 1, is left out. With "
        f"tolerance 0.001 the first step is {np.mean(starts):.2f} long and the longest {np.mean(longest):.2f} on average: the path bends most at the beginning.",
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["measure"]:
        for file in sys.argv[2:] or TASKS:
            data(file)
    else:
        main()
