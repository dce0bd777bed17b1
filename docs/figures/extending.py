"""The figures of the chapter on recipes: python docs/figures/extending.py [NAME ...]

What takes long is measured once and kept in data/: delete a file there to measure it again (one to three minutes each,
one thread).
"""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from canvas import main
from recipes import measured, run_page
from torch import Tensor

from janus_minimal import JanusFlowPipeline, PromptPair, denoise, time_grid
from janus_minimal.pipeline import image_noise
from janus_minimal.shapes.caption import CATEGORIES
from janus_minimal.shapes.evaluate import fresh_captions
from janus_minimal.shapes.score import detect, satisfies
from janus_minimal.shapes.vae import encode_scenes
from janus_minimal.solvers import midpoint

EACH, SEED, STEPS = 10, 11, 20  # captions of each of the seven categories


class Sample:
    """The bundled model, a few captions of every category, and one noise for each."""

    def __init__(self, each: int = EACH) -> None:
        self.pipe = JanusFlowPipeline.from_pretrained("shapes")
        self.captions = [caption for category in CATEGORIES for caption in fresh_captions(category, each, SEED)]
        self.pair = PromptPair.from_text([str(caption) for caption in self.captions], self.pipe.tokenizer)
        self.z = image_noise(self.pipe.latent_shape, len(self.captions), torch.Generator().manual_seed(SEED))

    def solve(self, weight: float, solver: Callable = denoise, times: Tensor | None = None) -> Tensor:
        *_, last = solver(self.pipe.model, self.pair, self.z, time_grid(STEPS) if times is None else times, weight)
        return last.z_next

    def hits(self, z: Tensor) -> str:
        """Return 1 for each picture of which the caption is true, and 0 for the others."""
        pictures = zip(self.pipe.to_pictures(z), self.captions, strict=True)
        return "".join(str(int(satisfies(np.asarray(picture), caption))) for picture, caption in pictures)

    def real(self) -> Tensor:
        rng = np.random.default_rng(SEED)
        return encode_scenes(self.pipe.vae, [caption.draw(rng) for caption in self.captions])


RULES = ("plain", "interval", "rescaled", "projected", "zero star")
STRENGTHS = (2.0, 6.0, 10.0)


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
    sample = Sample()
    z = sample.solve(weight, rules()[name])
    return {**counted(sample.hits(z)), "steps": STEPS, "spread": z.std().item()}


def apart(z: Tensor, reference: Tensor) -> float:
    """Return the median over the images of |z - reference| / |reference|."""
    return ((z - reference).flatten(1).norm(dim=1) / reference.flatten(1).norm(dim=1)).median().item()


def measure_grids() -> dict[str, Any]:
    """Compare grids of few Euler steps, and solvers of the same cost, with an accurate solution."""
    sample, page = Sample(each=3), run_page("extending.md")
    reference = sample.solve(2.0, midpoint, time_grid(50))
    found: dict[str, Any] = {"captions": len(sample.captions), "steps": 8, "error": {}}
    for name, times in page["grids"].items():
        found["error"][name] = apart(sample.solve(2.0, denoise, times), reference)
    for name, solver, steps in (("Euler", denoise, 16), ("midpoint", midpoint, 8), ("Runge-Kutta 4", page["runge_kutta_4"], 4)):
        found["error"][f"{name}, 16 evaluations"] = apart(sample.solve(2.0, solver, time_grid(steps)), reference)
    return found


def measure_adaptive() -> dict[str, Any]:
    """Let scipy choose the steps, at several tolerances, for one caption of each of six categories."""
    sample, page = Sample(each=1), run_page("extending.md")
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


def measure_stirred() -> dict[str, Any]:
    sample = Sample()
    solver = run_page("extending.md")["stirred"](1.0, torch.Generator().manual_seed(SEED))
    return {**counted(sample.hits(sample.solve(2.0, solver))), "steps": STEPS}


def measure_real() -> float:
    return Sample().real().std().item()


TASKS = {
    "guidance": {
        "plain 1": lambda: measure_rule("plain", 1.0),
        **{f"{r} {w:g}": lambda r=r, w=w: measure_rule(r, w) for w in STRENGTHS for r in RULES},
        "real spread": measure_real,
    },
    "solvers": {
        "grids": measure_grids,
        "adaptive": measure_adaptive,
        "negative": measure_negative,
        "stirred": measure_stirred,
    },
}


def data(file: str) -> dict[str, Any]:
    return {key: measured(f"extending-{file}", key, measure) for key, measure in TASKS[file].items()}


if __name__ == "__main__":
    if sys.argv[1:2] == ["measure"]:
        for file in sys.argv[2:] or TASKS:
            data(file)
    else:
        main()
