"""The figures of the chapter on solvers: python docs/figures/solvers.py [NAME ...]

What takes long is measured once and kept in data/: delete a file there to measure it again (one to four minutes each,
one thread).
"""

import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from canvas import BLUE, DATA, GREEN, INK, ORANGE, PINK, Drawing, figure, main
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from janus_minimal import JanusFlowPipeline, PromptPair, denoise, euler_step, time_grid
from janus_minimal.pipeline import image_noise
from janus_minimal.shapes.caption import CATEGORIES
from janus_minimal.shapes.evaluate import fresh_captions
from janus_minimal.shapes.score import satisfies
from janus_minimal.solvers import SOLVERS

EACH = 5  # captions of each of the seven categories
SEED = 7  # of captions and noise
METHODS = {"Euler": denoise, "midpoint": SOLVERS["midpoint"], "Heun": SOLVERS["heun"]}
METHODS["Adams-Bashforth"] = SOLVERS["adams-bashforth"]
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

    def solve(self, method: str, steps: int, shift: float = 1.0, weight: float = 2.0) -> Tensor:
        *_, last = METHODS[method](self.pipe.model, self.pair, self.z, time_grid(steps, shift), weight)
        return last.z_next

    def score(self, z: Tensor) -> float:
        """Return the share of pictures of which the caption is true."""
        pictures = self.pipe.to_pictures(z)
        return float(np.mean([satisfies(np.asarray(p), c) for p, c in zip(pictures, self.captions, strict=True)]))


def distances(z: Tensor, reference: Tensor) -> Tensor:
    """Return |z - reference| / |reference| of each picture."""
    return (z - reference).flatten(1).norm(dim=1) / reference.flatten(1).norm(dim=1)


def told(sample: Sample, z: Tensor, reference: Tensor) -> dict[str, float]:
    apart = distances(z, reference)
    return {"mean": apart.mean().item(), "median": apart.median().item(), "score": sample.score(z)}


def measure_reference() -> dict[str, Any]:
    """Solve accurately on two grids: what they disagree on is what the reference may be wrong by."""
    sample = Sample()
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
    sample = Sample()
    reference = sample.solve("midpoint", REFERENCE)
    found: dict[str, Any] = {"captions": len(sample.captions), "score": sample.score(reference)}
    for method, asks in ASKS.items():
        runs = {nfe: sample.solve(method, nfe // asks, shift) for nfe in SHIFTS[shift]}
        found[method] = {str(nfe): told(sample, z, reference) for nfe, z in runs.items()}
    return found


if __name__ == "__main__":
    import sys

    if sys.argv[1:2] == ["measure"]:
        for s in map(int, sys.argv[2:]):
            measured(f"solver-shift-{s}", lambda s=s: measure_shift(s))
    else:
        main()
