"""The figures of the sweep: python docs/figures/sweep.py [NAME ...]

They show docs/sweep.json, which `janus-minimal sweep --json docs/sweep.json` writes.
"""

import json
from typing import Any

from canvas import BLUE, GREEN, INK, ORANGE, Drawing, figure, main
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from recipes import DOCS

LOOKS = {
    "euler": ("Euler", BLUE, "-", "o"),
    "midpoint": ("midpoint", ORANGE, "--", "s"),
    "adams-bashforth": ("Adams-Bashforth", GREEN, "-.", "^"),
}
STEPS, WEIGHT = 30, 2.0  # what the paper draws with


def report() -> dict[str, Any]:
    return json.loads((DOCS / "sweep.json").read_text(encoding="utf-8"))


def chosen(**wanted: Any) -> list[dict[str, Any]]:
    """Return the runs whose settings have these values, with few steps and small weights first."""
    runs = [run for run in report()["runs"].values() if wanted.items() <= run["setting"].items()]
    return sorted(runs, key=lambda run: (run["setting"]["steps"], run["setting"]["cfg_weight"]))


def chance() -> float:
    """Return the standard error of a score near 0.95."""
    found = report()
    number = found["captions"] * len(next(iter(found["runs"].values()))["categories"])
    return float((0.95 * 0.05 / number) ** 0.5)


def mark_times(ax: Axes, values: list[Any]) -> None:
    ax.set_xscale("log", base=2)
    ax.set_xticks(values, [f"{value:g}" for value in values])
    ax.minorticks_off()


@figure("sweep_steps")
def sweep_steps() -> Drawing:
    """Score and distance against the number of steps, in the paper's form."""
    drawn = Figure(figsize=(9.2, 3.5), layout="constrained")
    left, right = drawn.subplots(1, 2)
    for solver, (name, colour, line, mark) in LOOKS.items():
        for shift, filled in ((1.0, True), (3.0, False)):
            runs = chosen(solver=solver, cfg_weight=WEIGHT, shift=shift)
            steps = [run["setting"]["steps"] for run in runs]
            style = {"color": colour, "linestyle": line, "marker": mark, "markersize": 5}
            style |= {} if filled else {"alpha": 0.55, "markerfacecolor": "none", "linewidth": 1}
            label = name if filled else f"{name}, shift 3"
            left.plot(steps, [run["overall"] for run in runs], label=label, **style)
            right.plot(steps, [run["distance"] for run in runs], **style)
    left.set(xlabel="steps", ylabel="score", ylim=(0, 1))
    right.set(xlabel="steps", ylabel="distance from the exact flow", yscale="log")
    for ax in (left, right):
        mark_times(ax, steps)
    left.legend(frameon=False, fontsize=9, loc="lower right")
    found = report()
    euler = {run["setting"]["steps"]: run for run in chosen(solver="euler", cfg_weight=WEIGHT, shift=1.0)}
    (twice,) = chosen(solver="midpoint", steps=STEPS, cfg_weight=WEIGHT, shift=1.0)
    dearer = twice["seconds"] / euler[STEPS]["seconds"]
    told = ", ".join(f"{run['overall']:.2f} with {steps}" for steps, run in euler.items())
    return Drawing(
        drawn,
        alt="Left: six curves of the score that rise steeply from 2 to 8 steps and are level from there. Right: six curves of the distance, falling all the way.",
        caption=f"The bundled model, {found['captions']} captions of each of seven categories, one noise each, w = {WEIGHT:g}. Left: share of pictures of which the caption is true; "
        f"chance alone moves it by {chance():.2f}. Right: relative distance from the end of the exact flow ({found['reference_steps']} midpoint steps), mean over the pictures. Faint: the "
        f"grid of shift 3. Midpoint asks the network twice a step; {STEPS} of its steps took {dearer:.2f} times the processor time of {STEPS} Euler steps. Scores of Euler at shift 1: {told} steps.",
    )


@figure("sweep_weight")
def sweep_weight() -> Drawing:
    """Score by category, and distance, against the weight."""
    runs = chosen(solver="euler", steps=STEPS, shift=1.0)
    weights = [run["setting"]["cfg_weight"] for run in runs]
    drawn = Figure(figsize=(9.2, 3.5), layout="constrained")
    left, right = drawn.subplots(1, 2)
    looks = zip(runs[0]["categories"], ("-", "--", "-.", ":", "-", "--", "-."), strict=True)
    for i, (name, line) in enumerate(looks):
        scores = [run["categories"][name] for run in runs]
        left.plot(
            weights, scores, color=(BLUE, ORANGE, GREEN)[i % 3], linestyle=line, linewidth=1, alpha=0.7, label=name
        )
    left.plot(weights, [run["overall"] for run in runs], color=INK, marker="o", linewidth=2.2, label="overall")
    left.set(xlabel="w", ylabel="score", ylim=(0, 1.02))
    left.legend(frameon=False, fontsize=8.5, loc="lower left", ncols=2)
    right.plot(weights, [run["distance"] for run in runs], color=BLUE, marker="o")
    right.set(xlabel="w", ylabel="distance from the exact flow", ylim=(0, None))
    for ax in (left, right):
        mark_times(ax, weights)
    found = report()
    told = ", ".join(f"{run['overall']:.2f} at w = {run['setting']['cfg_weight']:g}" for run in runs)
    apart = ", ".join(f"{run['distance']:.2f}" for run in runs)
    return Drawing(
        drawn,
        alt="Left: a thick curve of the overall score, level up to w = 2 and lower at 4 and 8, and thin curves of seven categories around it. Right: the distance rises with the weight.",
        caption=f"{STEPS} Euler steps, shift 1, {found['captions']} captions of each category. Left: the score, overall {told}. Right: distance of the same latents from "
        f"the exact flow of the same weight: {apart}.",
    )


@figure("sweep_both")
def sweep_both() -> Drawing:
    """Score against steps, a panel for each weight: a large weight needs more steps."""
    settings = [run["setting"] for run in report()["runs"].values()]
    weights = sorted({setting["cfg_weight"] for setting in settings})
    drawn = Figure(figsize=(9.2, 2.9), layout="constrained")
    panels = drawn.subplots(1, len(weights), sharey=True)
    for ax, weight in zip(panels, weights, strict=True):
        for solver, (name, colour, line, mark) in LOOKS.items():
            runs = chosen(solver=solver, cfg_weight=weight, shift=1.0)
            steps = [run["setting"]["steps"] for run in runs]
            ax.plot(steps, [run["overall"] for run in runs], color=colour, linestyle=line, marker=mark, label=name)
        ax.set(title=f"w = {weight:g}", xlabel="steps", ylim=(0, 1))
        mark_times(ax, steps)
    panels[0].set_ylabel("score")
    panels[1].legend(frameon=False, fontsize=8.5, loc="lower right")
    told = {w: chosen(solver="euler", steps=4, cfg_weight=w, shift=1.0)[0]["overall"] for w in weights}
    few = ", ".join(f"{score:.2f} at w = {w:g}" for w, score in told.items())
    return Drawing(
        drawn,
        alt="Four panels. At weight 1 all curves are level from 4 to 8 steps on. With each larger weight they rise later; at weight 8 they need 16 to 30 steps.",
        caption=f"Score against steps for each guidance weight, shift 1, {report()['captions']} captions of each category; chance alone moves a point by {chance():.2f}. "
        f"With 4 Euler steps the score is {few}.",
    )


if __name__ == "__main__":
    main()
