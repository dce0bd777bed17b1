"""The figures of the chapter on guidance: python docs/figures/guidance.py [NAME ...]

What takes long is measured once and kept in data/NAME.json. To repeat a measurement, delete its file and run
python docs/figures/guidance.py measure NAME (one to four minutes on one thread). MEASURES has the names.
"""

from itertools import pairwise
from typing import Any

import numpy as np
import torch
from canvas import BLUE, INK, ORANGE, PINK, Drawing, figure, main, measured
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sample import Sample
from torch import Tensor

from janus_minimal import JanusFlowPipeline, denoise, euler_step, guide, time_grid
from janus_minimal.shapes.caption import CATEGORIES, Caption
from janus_minimal.shapes.evaluate import fresh_captions
from janus_minimal.shapes.render import PALETTE, PAPER
from janus_minimal.shapes.vae import encode_scenes

EACH, MANY = 5, 40  # captions of each of the seven categories
SEED = 7  # of captions and noise
STEPS = 30
WEIGHTS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 25.0)
OFF = 40.0  # distance in RGB from every mixture of the paper with one palette colour
STRONG = 6.0  # the weight whose intervals are tried
INTERVALS = ((0.0, 0.2), (0.2, 0.5), (0.5, 1.0), (0.0, 0.5))


class Guided(Sample):
    """The sample of this chapter, with real scenes of the same captions beside it."""

    def __init__(self, each: int = EACH) -> None:
        super().__init__(each, SEED)
        rng = np.random.default_rng(SEED)
        self.real = encode_scenes(self.pipe.vae, [caption.draw(rng) for caption in self.captions])

    def steps(self, weight: float, steps: int = STEPS):
        return denoise(self.pipe.model, self.pair, self.z, time_grid(steps), weight)

    def told(self, z: Tensor) -> dict[str, float]:
        """Return what is measured of latents: obedience, size, range and colours."""
        pictures = [np.asarray(picture) for picture in self.pipe.to_pictures(z)]
        norms = z.flatten(1).norm(dim=1) / self.real.flatten(1).norm(dim=1)
        return {
            "score": self.score(z),
            "rms": z.square().mean().sqrt().item(),
            "norm": norms.mean().item(),
            "each": [float(f"{norm:.4g}") for norm in norms.tolist()],  # so that the mean can be given an interval
            "beyond": (z.abs() > self.real.abs().max()).float().mean().item(),
            "off palette": float(np.mean([off_palette(p) for p in pictures])),
        }


def off_palette(picture: np.ndarray) -> float:
    """Return the share of pixels that are no mixture of the paper with one palette colour, by more than OFF."""
    paper = np.array(PAPER, dtype=float)
    least = np.full(picture.shape[:2], np.inf)
    for colour in PALETTE.values():
        ink = np.array(colour) - paper
        part = ((picture - paper) @ ink / (ink @ ink)).clip(0, 1)
        least = np.minimum(least, np.linalg.norm(picture - (paper + part[..., None] * ink), axis=-1))
    return float((least > OFF).mean())


def measure_weights() -> dict[str, Any]:
    sample = Guided()
    found: dict[str, Any] = {"captions": len(sample.captions), "steps": STEPS, "real": sample.told(sample.real)}
    for weight in WEIGHTS:
        *_, last = sample.steps(weight)
        found[f"{weight:g}"] = sample.told(last.z_next)
    return found


NOTEBOOK = ("a red circle", "three blue stars", "four purple circles", "a green cross above a yellow square")


def measure_sizes() -> dict[str, Any]:
    """Ask why notebook 06 finds smaller latents than this chapter: other captions, other steps, or another measure."""
    chapter, found = Guided(), {}
    for steps in (15, 30):
        for weight in (1.0, 2.0):
            *_, last = chapter.steps(weight, steps)
            notebook, real = drawn_in_notebook(chapter.pipe, weight, steps)
            samples = {"chapter": (last.z_next, chapter.real), "notebook": (notebook, real)}
            found[f"{steps} steps, w = {weight:g}"] = {name: sizes(*pair) for name, pair in samples.items()}
    return found


def drawn_in_notebook(pipe: JanusFlowPipeline, weight: float, steps: int, each: int = 12) -> tuple[Tensor, Tensor]:
    """Return the latents that notebook 06 draws, and those of the real scenes that it compares them with."""
    noises = [torch.Generator().manual_seed(seed) for seed in range(each * len(NOTEBOOK))]
    asked = {"num_images_per_prompt": each, "generator": noises, "output_type": "latent", "progress": False}
    rng = np.random.default_rng(0)
    scenes = [Caption.parse(caption).draw(rng) for caption in NOTEBOOK for _ in range(each)]
    return pipe(list(NOTEBOOK), steps, weight, **asked).images, encode_scenes(pipe.vae, scenes)


def sizes(z: Tensor, real: Tensor) -> dict[str, float]:
    """Return the chapter's measure, the mean ratio of norms, and the notebook's, the ratio of standard deviations."""
    norm = z.flatten(1).norm(dim=1) / real.flatten(1).norm(dim=1)
    return {"norm": norm.mean().item(), "std": (z.std() / real.std()).item()}


def measure_fine() -> dict[str, Any]:
    """Ask whether a large weight breaks pictures because the steps are too long: take more of them."""
    sample, found = Guided(), {}
    for steps in (30, 120):
        *_, last = sample.steps(8.0, steps)
        found[str(steps)] = sample.told(last.z_next)
    return {"captions": len(sample.captions), "weight": 8.0, **found}


def measure_many() -> dict[str, Any]:
    """Ask with many captions and fewer steps whether guidance makes captions true more often."""
    sample = Guided(MANY)
    found: dict[str, Any] = {"captions": len(sample.captions), "steps": 15}
    for weight in (1.0, 2.0, 4.0):
        *_, last = sample.steps(weight, 15)
        found[f"{weight:g}"] = sample.told(last.z_next)
    return found


def measure_variety() -> dict[str, Any]:
    """Ask how different the pictures of one caption are: their mean distance, in that of real scenes."""
    pipe, each = JanusFlowPipeline.from_pretrained("shapes"), 6
    captions = [fresh_captions(category, 1, SEED)[0] for category in CATEGORIES]
    rng = np.random.default_rng(SEED)
    real = encode_scenes(pipe.vae, [caption.draw(rng) for caption in captions for _ in range(each)])
    found: dict[str, Any] = {"captions": len(captions), "pictures of each": each, "steps": 15}
    for weight in (1.0, 2.0, 4.0, 8.0):
        noises = [torch.Generator().manual_seed(seed) for seed in range(len(real))]
        asked = {"num_images_per_prompt": each, "generator": noises, "output_type": "latent", "progress": False}
        z = pipe([str(caption) for caption in captions], 15, weight, **asked).images
        found[f"{weight:g}"] = spread(z, each) / spread(real, each)
    return found


def spread(z: Tensor, each: int) -> float:
    """Return the mean distance between two latents of one caption."""
    return torch.stack([torch.pdist(same.flatten(1)).mean() for same in z.split(each)]).mean().item()


def measure_gap() -> dict[str, Any]:
    """Compare the two velocities along the way."""
    sample, rows = Guided(), []
    for step in sample.steps(2.0):
        a, b = step.v_cond.flatten(1), step.v_uncond.flatten(1)
        gap = (a - b).norm(dim=1) / a.norm(dim=1)
        rows.append(
            {
                "t": step.t.item(),
                "gap": gap.mean().item(),
                "low": gap.quantile(0.1).item(),
                "high": gap.quantile(0.9).item(),
                "cosine": torch.cosine_similarity(a, b).mean().item(),
            }
        )
    return {"captions": len(sample.captions), "steps": STEPS, "weight": 2.0, "rows": rows}


def in_interval(sample: Guided, low: float, high: float, weight: float) -> Tensor:
    """Follow the conditional velocity, with guidance only where low <= t < high."""
    for step in sample.steps(1.0):
        w = weight if low <= step.t < high else 1.0
        step.v = guide(step.v_cond, step.v_uncond, w)
        step.z_next = euler_step(step.z, step.v, step.t, step.t_next)
    return step.z_next


def measure_intervals() -> dict[str, Any]:
    sample = Guided()
    found: dict[str, Any] = {"captions": len(sample.captions), "steps": STEPS, "weight": STRONG}
    for low, high in INTERVALS:
        found[f"{low:g} to {high:g}"] = sample.told(in_interval(sample, low, high, STRONG))
    return found


@figure("guidance_vectors")
def guidance_vectors() -> Drawing:
    """The line through two velocities."""
    cond, uncond = np.array([1.4, 1.4]), np.array([0.4, 1.2])
    fig = Figure(figsize=(7.6, 3.7), layout="constrained")
    ax = fig.subplots()
    for end, colour in ((cond, BLUE), (uncond, PINK)):
        arrow(ax, end, colour)
    weights = (0, 0.5, 1, 2, 3)
    ends = np.array([uncond + w * (cond - uncond) for w in weights])
    line = np.array([uncond - 0.15 * (cond - uncond), uncond + 3.2 * (cond - uncond)])
    ax.plot(*line.T, ":", color=INK, lw=1.2, zorder=0)
    arrow(ax, ends[3], ORANGE)
    for w, end in zip(weights, ends, strict=True):
        ax.plot(*end, "o", color=INK, ms=5)
        ax.text(end[0] - 0.05, end[1] + 0.1, f"w = {w:g}", fontsize=10, ha="right" if w == 0 else "center")
    ax.text(0.1, 0.62, "v_uncond", fontsize=10, ha="right")
    ax.text(0.86, 0.7, "v_cond", fontsize=10, rotation=45)
    ax.text(1.5, 0.86, "v at w = 2", fontsize=10, rotation=33)
    ax.set(xlim=(-0.45, 3.75), ylim=(-0.1, 2.15), aspect="equal", xlabel="first number", ylabel="second number")
    told = guide(torch.tensor(cond), torch.tensor(uncond), 2.0).tolist()
    return Drawing(
        fig,
        "Two arrows from the origin, to v_uncond and to v_cond, and a dotted line through their tips. Dots on the line "
        "are marked with weights: 0 at the tip of v_uncond, 0.5 half way, 1 at the tip of v_cond, 2 and 3 beyond. A third "
        "arrow points to the dot of weight 2.",
        f"Guidance with two numbers. v_uncond = ({uncond[0]:g}, {uncond[1]:g}), v_cond = ({cond[0]:g}, {cond[1]:g}). The "
        "guided velocity lies on the line through both tips; w says how far along. At w = 2 it is "
        f"({told[0]:.1f}, {told[1]:.1f}), as far beyond v_cond as v_uncond is before it.",
    )


def arrow(ax: Axes, end: np.ndarray, colour: str) -> None:
    ax.annotate(
        "", end, (0, 0), arrowprops={"arrowstyle": "-|>", "color": colour, "lw": 2.2, "shrinkA": 0, "shrinkB": 2}
    )


CIRCLE, WIDTH = 1.0, 0.35  # two bumps, at -1 (squares) and +1 (circles)
LOOSE, ALL = 0.8, 0.5  # the share of circles with the caption, and without


def density(z: np.ndarray, share: float) -> np.ndarray:
    """Return the density of two bumps at t = 1."""
    bumps = [np.exp(-((z - m) ** 2) / 2 / WIDTH**2) / WIDTH / np.sqrt(2 * np.pi) for m in (CIRCLE, -CIRCLE)]
    return share * bumps[0] + (1 - share) * bumps[1]


def velocity(z: np.ndarray, t: float, share: float) -> np.ndarray:
    """Return the exact velocity of the flow to two bumps: the mean of both bumps', by how likely each is."""
    variance = t**2 * WIDTH**2 + (1 - t) ** 2
    pull = (t * WIDTH**2 - (1 - t)) / variance
    right, left = (m + pull * (z - t * m) for m in (CIRCLE, -CIRCLE))
    odds = np.log(share / (1 - share)) + 2 * z * t * CIRCLE / variance
    likely = 1 / (1 + np.exp(-odds))
    return likely * right + (1 - likely) * left


def guided_density(weight: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Follow the guided velocity from many noises. Return places, their density, and the share above zero."""
    start = np.linspace(-4.5, 4.5, 6001)
    z, times = start.copy(), np.linspace(0, 1, 2001)
    for t, t_next in pairwise(times):
        v = weight * velocity(z, t, LOOSE) + (1 - weight) * velocity(z, t, ALL)
        middle, half = z + (t_next - t) / 2 * v, (t + t_next) / 2
        z = z + (t_next - t) * (weight * velocity(middle, half, LOOSE) + (1 - weight) * velocity(middle, half, ALL))
    mass = np.exp(-(start**2) / 2) / np.sqrt(2 * np.pi)  # of the noise; each point keeps the mass around it
    return z, mass / np.gradient(z, start), float(mass[z > 0].sum() / mass.sum())


@figure("guidance_density")
def guidance_density() -> Drawing:
    """Where guidance ends, beside the distribution that its formula suggests."""
    grid = np.linspace(-2.6, 2.6, 1001)
    fig = Figure(figsize=(9.2, 3.1), layout="constrained")
    told = {}
    for ax, weight in zip(fig.subplots(1, 3, sharey=True), (1, 2, 4), strict=True):
        power = density(grid, LOOSE) ** weight * density(grid, ALL) ** (1 - weight)
        power /= power.sum() * (grid[1] - grid[0])
        z, flow, share = guided_density(weight)
        ax.plot(grid, power, "--", color=INK, lw=1.5, label="the power")
        ax.plot(z, flow, color=ORANGE, lw=2, label="guided flow")
        step = grid[1] - grid[0]
        told[weight] = (
            power[grid > 0].sum() * step,
            share,
            (power * grid)[grid > 0].sum() / power[grid > 0].sum(),
            np.average(z[z > 0], weights=(flow * np.gradient(z))[z > 0]),
        )
        ax.set(xlim=(-2.6, 2.6), xlabel="z: squares left, circles right", title=f"w = {weight}")
        ax.title.set_fontsize(11)
        if weight == 1:
            ax.set_ylabel("density")
            ax.legend(frameon=False, loc="upper left", fontsize=9)
    return Drawing(
        fig,
        "Three plots of densities with a bump for squares on the left and one for circles on the right. At w = 1 both "
        "curves agree, with a fifth of the mass left. At w = 2 and 4 the left bump is nearly gone; the guided flow's right "
        "bump is farther right and of another shape than the power's.",
        "Two kinds of pictures as bumps on a line. Without a caption half are circles, with the caption 80 % (a loose "
        "network). Dashed: p(z|c)^w p(z)^(1-w). Solid: where exact guided paths end. Share of circles at w = 2: "
        f"{told[2][0]:.3f} by the power, {told[2][1]:.3f} by the flow; at w = 4: {told[4][0]:.3f} and {told[4][1]:.3f}. Mean place "
        f"of the circles at w = 4: {told[4][2]:.2f} by the power, {told[4][3]:.2f} by the flow.",
    )


@figure("guidance_gap")
def guidance_gap() -> Drawing:
    """How much the two velocities differ over t."""
    found = measured("guidance-gap", measure_gap)
    rows = found["rows"]
    fig = Figure(figsize=(6.6, 3.3), layout="constrained")
    ax = fig.subplots()
    t = [row["t"] for row in rows]
    ax.fill_between(t, [row["low"] for row in rows], [row["high"] for row in rows], color=BLUE, alpha=0.2, lw=0)
    ax.plot(t, [row["gap"] for row in rows], "-o", color=BLUE, ms=4)
    ax.set(xlabel="t", ylabel="|v_cond - v_uncond| / |v_cond|", ylim=(0, None))
    first, peak = rows[0], max(rows, key=lambda row: row["gap"])
    late = [row["gap"] for row in rows if row["t"] >= 0.5]
    return Drawing(
        fig,
        "The relative difference of the two velocities against t, with a band. It is high at small t, falls until the "
        "middle of the way, and rises a little at the end.",
        f"The effect of the caption, |v_cond - v_uncond| / |v_cond|: the bundled model, {found['captions']} captions, {found['steps']} Euler "
        f"steps, w = 2. Line: mean; band: from the 10th to the 90th percentile of the pictures. At t = 0 the mean is "
        f"{first['gap']:.2f}, its largest value {peak['gap']:.2f} at t = {peak['t']:.2f}; from t = 0.5 on it is "
        f"{np.mean(late):.2f} on average.",
    )


@figure("guidance_weights")
def guidance_weights() -> Drawing:
    """Obedience, size and colours against the weight."""
    found = measured("guidance-weights", measure_weights)
    fig = Figure(figsize=(9.2, 3.2), layout="constrained")
    panels = (
        ("score", "captions satisfied", "share of pictures"),
        ("norm", "size of latents", "norm / norm of real latents"),
        ("off palette", "wrong colours", "share of pixels"),
    )
    for ax, (key, title, label) in zip(fig.subplots(1, 3), panels, strict=True):
        values = [found[f"{w:g}"][key] for w in WEIGHTS]
        ax.plot(WEIGHTS, values, "-o", color=ORANGE, ms=4)
        ax.axhline(found["real"][key], color=INK, lw=1, ls=(0, (1, 3)))
        ax.set(xlabel="w", ylabel=label, title=title, ylim=(0, None))
        ax.title.set_fontsize(11)
    last = f"{WEIGHTS[-1]:g}"
    best = max(WEIGHTS, key=lambda w: found[f"{w:g}"]["score"])
    return Drawing(
        fig,
        "Three plots against the weight from 0 to 25. The score rises steeply to a high level and later falls. The norm of "
        "latents dips at 0.5 and then grows steadily, above that of real ones. The share of pixels with wrong colours jumps up "
        "and down at small weights and grows at large ones.",
        f"The bundled model, {found['captions']} captions, one noise each, {found['steps']} Euler steps. Dotted: drawn scenes "
        f"after the VAE. The score is {found['0']['score']:.2f} at w = 0, {found['1']['score']:.2f} at 1, "
        f"{found['2']['score']:.2f} at 2 and {found[last]['score']:.2f} at {last} (best: {found[f'{best:g}']['score']:.2f} at "
        f"{best:g}). Latents are {found['2']['norm']:.2f} times as large as real ones at w = 2, {found[last]['norm']:.2f} times at "
        f"{last}. Pixels off the palette: {100 * found['2']['off palette']:.1f} % at w = 2, "
        f"{100 * found[last]['off palette']:.1f} % at {last}, {100 * found['real']['off palette']:.1f} % in real scenes.",
    )


SHOWN = ("three red stars", "a green cross above a yellow square", "four purple circles")


@figure("guidance_pictures")
def guidance_pictures() -> Drawing:
    """The same noise under growing weights."""
    weights = (0.0, 1.0, 2.0, 4.0, 12.0, 25.0)
    pipe = JanusFlowPipeline.from_pretrained("shapes")
    fig = Figure(figsize=(8.2, 4.4), layout="constrained")
    axes = fig.subplots(len(SHOWN), len(weights))
    for column, weight in zip(axes.T, weights, strict=True):
        noises = [torch.Generator().manual_seed(seed) for seed in (3, 4, 5)]
        pictures = pipe(SHOWN, 30, weight, generator=noises, progress=False).images
        for ax, picture in zip(column, pictures, strict=True):
            ax.imshow(np.asarray(picture), interpolation="nearest")
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
        column[0].set_title(f"w = {weight:g}", fontsize=11)
    for ax, caption in zip(axes[:, 0], SHOWN, strict=True):
        ax.set_ylabel(caption.replace(" above", "\nabove"), fontsize=9)
    return Drawing(
        fig,
        "A table of pictures, a row for each of three captions and a column for each weight from 0 to 25. At "
        "0 the things are others than asked for. From 1 to 4 they fit. At 12 there are five circles in place of four. At 25 "
        "the cross and the circles are distorted and have wrong colours, while the three red stars are still right.",
        "One noise for each row, growing weight for each column (30 Euler steps). At w = 0 no word of a caption is read.",
    )


MEASURES = {
    "guidance-weights": measure_weights,
    "guidance-sizes": measure_sizes,
    "guidance-fine": measure_fine,
    "guidance-many": measure_many,
    "guidance-variety": measure_variety,
    "guidance-gap": measure_gap,
    "guidance-intervals": measure_intervals,
}

if __name__ == "__main__":
    main(MEASURES)
