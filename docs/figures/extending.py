"""The figures of the chapter on recipes: python docs/figures/extending.py [NAME ...]

What takes long is measured once and kept in data/: delete a file there to measure it again (one to three minutes each,
one thread).
"""

import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from canvas import BLUE, DATA, GREEN, INK, ORANGE, PINK, Drawing, figure, main
from matplotlib.figure import Figure
from recipes import run_page
from torch import Tensor

from janus_minimal import JanusFlowPipeline, PromptPair, denoise, time_grid
from janus_minimal.pipeline import image_noise
from janus_minimal.shapes.caption import CATEGORIES
from janus_minimal.shapes.evaluate import fresh_captions
from janus_minimal.shapes.score import satisfies
from janus_minimal.shapes.vae import encode_scenes

EACH, SEED, STEPS = 10, 11, 20  # captions of each of the seven categories


def measured(name: str, measure: Callable[[], Any]) -> Any:
    """Return the numbers of data/name.json. Measure them first if they are not there."""
    path = DATA / f"{name}.json"
    if not path.exists():
        DATA.mkdir(exist_ok=True)
        path.write_text(json.dumps(measure(), indent=1) + "\n", encoding="utf-8")
    return json.loads(path.read_text(encoding="utf-8"))


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
STRENGTHS = (2.0, 6.0)


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


def measure_rule(name: str, weight: float) -> dict[str, Any]:
    sample = Sample()
    z = sample.solve(weight, rules()[name])
    return {"captions": len(sample.captions), "steps": STEPS, "hits": sample.hits(z), "spread": z.std().item()}


if __name__ == "__main__":
    if sys.argv[1:2] == ["measure"]:
        print(measured("guidance-none", lambda: measure_rule("plain", 1.0)))
        for w in STRENGTHS:
            for r in RULES:
                print(r, w, measured(f"guidance-{r.replace(' ', '-')}-{w:g}", lambda r=r, w=w: measure_rule(r, w)), flush=True)
    else:
        main()
