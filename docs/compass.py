"""What the guidance compass plays: python docs/compass.py writes docs/compass/, with the bundled model (two minutes).

One sheet of pictures for each caption: a column for each weight, a row for each moment of the run. record.json says,
for each of them, how long the two velocities are and the angle between them. Two vectors and their origin lie in one
plane, so three numbers are all that the compass needs, and nothing is lost by drawing 576 dimensions in two.
"""

import json
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import rearrange
from PIL import Image
from torch import Tensor

from janus_minimal import JanusFlowPipeline, PromptPair, Step, denoise, time_grid
from janus_minimal.loading.atomic import atomic_write
from janus_minimal.pipeline import image_noise
from janus_minimal.shapes.caption import Caption
from janus_minimal.shapes.score import satisfies

FOLDER = Path(__file__).parent / "compass"
RUNS = (
    ("a red circle left of a blue square", 0),
    ("four purple circles", 1),
    ("a yellow cross and a green triangle", 2),
)
WEIGHTS = [k / 2 for k in range(17)]
STEPS = 30
MOMENTS = [*range(0, STEPS, 3), STEPS - 1]


def main() -> None:
    """Write the sheets, and the record of what the velocities were."""
    pipe = JanusFlowPipeline.from_pretrained("shapes")
    FOLDER.mkdir(exist_ok=True)
    runs = [run(pipe, weight) for weight in WEIGHTS]
    for index, _ in enumerate(RUNS):
        with atomic_write(FOLDER / f"{index}.webp") as unfinished:
            sheet(pipe, runs, index).save(unfinished, format="webp", quality=75, method=6)
    record = {
        "weights": WEIGHTS,
        "steps": STEPS,
        "times": [round(k / STEPS, 3) for k in MOMENTS],
        "runs": [told(pipe, runs, index) for index, _ in enumerate(RUNS)],
    }
    with atomic_write(FOLDER / "record.json") as unfinished:
        unfinished.write_text(json.dumps(record) + "\n", encoding="utf-8")


def run(pipe: JanusFlowPipeline, weight: float) -> list[Step]:
    """All captions with this weight, each from its own noise: the steps at the chosen moments."""
    pair = PromptPair.from_text([caption for caption, _ in RUNS], pipe.tokenizer)
    z = image_noise(pipe.latent_shape, len(RUNS), [torch.Generator().manual_seed(seed) for _, seed in RUNS])
    steps = list(denoise(pipe.model, pair, z, time_grid(STEPS), weight))
    return [steps[k] for k in MOMENTS]


def sheet(pipe: JanusFlowPipeline, runs: list[list[Step]], index: int) -> Image.Image:
    """The denoised prediction of one caption, decoded: moments downwards, weights to the right."""
    latents = [runs[w][k].denoised[index] for k, w in product(range(len(MOMENTS)), range(len(WEIGHTS)))]
    pictures = np.stack([np.asarray(picture) for picture in pipe.to_pictures(torch.stack(latents))])
    return Image.fromarray(rearrange(pictures, "(k w) h x rgb -> (k h) (w x) rgb", w=len(WEIGHTS)))


def told(pipe: JanusFlowPipeline, runs: list[list[Step]], index: int) -> dict[str, Any]:
    """What is known of one caption's runs: the velocities, and whether each last picture shows what was asked for."""
    caption, seed = RUNS[index]
    last = pipe.to_pictures(torch.stack([steps[-1].z_next[index] for steps in runs]))
    return {
        "caption": caption,
        "seed": seed,
        "velocities": [[measured(s.v_uncond[index], s.v_cond[index]) for s in steps] for steps in runs],
        "fits": [satisfies(np.asarray(picture), Caption.parse(caption)) for picture in last],
    }


def measured(v_uncond: Tensor, v_cond: Tensor) -> list[float]:
    """The lengths of both, as root mean squares, and the cosine between them."""
    lengths = [v.square().mean().sqrt().item() for v in (v_uncond, v_cond)]
    cosine = torch.cosine_similarity(v_uncond.flatten(), v_cond.flatten(), dim=0).item()
    return [round(number, 4) for number in (*lengths, cosine)]


if __name__ == "__main__":
    main()
