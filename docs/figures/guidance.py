"""The figures of the chapter on guidance: python docs/figures/guidance.py [NAME ...]

What takes long is measured once and kept in data/: delete a file there to measure it again (one to four minutes each,
one thread).
"""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from canvas import BLUE, DATA, GREEN, INK, ORANGE, PINK, Drawing, figure, main
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from janus_minimal import JanusFlowPipeline, PromptPair, denoise, euler_step, guide, time_grid
from janus_minimal.pipeline import image_noise
from janus_minimal.shapes.caption import CATEGORIES
from janus_minimal.shapes.evaluate import fresh_captions
from janus_minimal.shapes.render import PALETTE, PAPER
from janus_minimal.shapes.score import satisfies
from janus_minimal.shapes.vae import encode_scenes

EACH = 5  # captions of each of the seven categories
SEED = 7  # of captions and noise
STEPS = 30
WEIGHTS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0)
OFF = 40.0  # distance in RGB from every mixture of the paper with one palette colour
STRONG = 6.0  # the weight whose intervals are tried
INTERVALS = ((0.0, 0.2), (0.2, 0.5), (0.5, 1.0), (0.0, 0.5))


def measured(name: str, measure: Callable[[], Any]) -> Any:
    """Return the numbers of data/name.json. Measure them first if they are not there."""
    path = DATA / f"{name}.json"
    if not path.exists():
        DATA.mkdir(exist_ok=True)
        path.write_text(json.dumps(measure(), indent=1) + "\n", encoding="utf-8")
    return json.loads(path.read_text(encoding="utf-8"))


class Sample:
    """The bundled model, a few captions of every category, and one noise for each."""

    def __init__(self) -> None:
        self.pipe = JanusFlowPipeline.from_pretrained("shapes")
        self.captions = [caption for category in CATEGORIES for caption in fresh_captions(category, EACH, SEED)]
        self.pair = PromptPair.from_text([str(caption) for caption in self.captions], self.pipe.tokenizer)
        self.z = image_noise(self.pipe.latent_shape, len(self.captions), torch.Generator().manual_seed(SEED))
        rng = np.random.default_rng(SEED)
        self.real = encode_scenes(self.pipe.vae, [caption.draw(rng) for caption in self.captions])

    def steps(self, weight: float, steps: int = STEPS):
        return denoise(self.pipe.model, self.pair, self.z, time_grid(steps), weight)

    def told(self, z: Tensor) -> dict[str, float]:
        """Return what is measured of latents: obedience, size, range and colours."""
        pictures = [np.asarray(picture) for picture in self.pipe.to_pictures(z)]
        return {
            "score": float(np.mean([satisfies(p, c) for p, c in zip(pictures, self.captions, strict=True)])),
            "rms": z.square().mean().sqrt().item(),
            "norm": (z.flatten(1).norm(dim=1) / self.real.flatten(1).norm(dim=1)).mean().item(),
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
    sample = Sample()
    found: dict[str, Any] = {"captions": len(sample.captions), "steps": STEPS, "real": sample.told(sample.real)}
    for weight in WEIGHTS:
        *_, last = sample.steps(weight)
        found[f"{weight:g}"] = sample.told(last.z_next)
    return found


def measure_fine() -> dict[str, Any]:
    """Ask whether a large weight breaks pictures because the steps are too long: take more of them."""
    sample, found = Sample(), {}
    for steps in (30, 120):
        *_, last = sample.steps(8.0, steps)
        found[str(steps)] = sample.told(last.z_next)
    return {"captions": len(sample.captions), "weight": 8.0, **found}


def measure_gap() -> dict[str, Any]:
    """Compare the two velocities along the way."""
    sample, rows = Sample(), []
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


def in_interval(sample: Sample, low: float, high: float, weight: float) -> Tensor:
    """Follow the conditional velocity, with guidance only where low <= t < high."""
    for step in sample.steps(1.0):
        w = weight if low <= step.t < high else 1.0
        step.v = guide(step.v_cond, step.v_uncond, w)
        step.z_next = euler_step(step.z, step.v, step.t, step.t_next)
    return step.z_next


def measure_intervals() -> dict[str, Any]:
    sample = Sample()
    found: dict[str, Any] = {"captions": len(sample.captions), "steps": STEPS, "weight": STRONG}
    for low, high in INTERVALS:
        found[f"{low:g} to {high:g}"] = sample.told(in_interval(sample, low, high, STRONG))
    return found


MEASURES = {
    "guidance-weights": measure_weights,
    "guidance-fine": measure_fine,
    "guidance-gap": measure_gap,
    "guidance-intervals": measure_intervals,
}

if __name__ == "__main__":
    import sys

    if sys.argv[1:2] == ["measure"]:
        for name in sys.argv[2:]:
            measured(name, MEASURES[name])
    else:
        main()
