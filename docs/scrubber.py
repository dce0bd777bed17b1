"""The frames of the lab's film: python docs/scrubber.py writes docs/scrubber/, with the bundled model.

A sheet for each prompt, seed and weight: a column for each step, a row for each of ROWS.
"""

import json
from itertools import product
from pathlib import Path

import numpy as np
import torch
from einops import rearrange, repeat
from matplotlib import colormaps
from PIL import Image

from janus_minimal import JanusFlowPipeline, PromptPair, Step, denoise, time_grid
from janus_minimal.loading.atomic import atomic_write
from janus_minimal.pipeline import image_noise

FOLDER = Path(__file__).parent / "scrubber"
PROMPTS = (
    "a red circle left of a blue square",
    "three purple stars",
    "a yellow cross and a green triangle",
    "a green star",
)
SEEDS = (0, 1, 2)
WEIGHTS = (1.0, 2.0, 5.0)
STEPS = 30
ROWS = ("z", "v_cond", "v_uncond", "v", "denoised")
LIMIT = 4.0  # of the velocities' colour scale, the same in all sheets


def main() -> None:
    """Write all sheets, and the choices that there are."""
    pipe = JanusFlowPipeline.from_pretrained("shapes")
    FOLDER.mkdir(exist_ok=True)
    for weight in WEIGHTS:
        steps = run(pipe, weight)
        for image, (prompt, seed) in enumerate(product(range(len(PROMPTS)), SEEDS)):
            with atomic_write(FOLDER / f"{prompt}-{seed}-{weight:g}.webp") as unfinished:
                sheet(pipe, steps, image).save(unfinished, format="webp", quality=60, method=6)
    choices = {"prompts": PROMPTS, "seeds": SEEDS, "weights": WEIGHTS, "steps": STEPS, "rows": ROWS, "limit": LIMIT}
    with atomic_write(FOLDER / "choices.json") as unfinished:
        unfinished.write_text(json.dumps(choices, indent=1), encoding="utf-8")


def run(pipe: JanusFlowPipeline, weight: float) -> list[Step]:
    """All steps of all images: every prompt with every seed, in one batch."""
    pair = PromptPair.from_text(PROMPTS, pipe.tokenizer, images_per_prompt=len(SEEDS))
    generators = [torch.Generator().manual_seed(seed) for _, seed in product(PROMPTS, SEEDS)]
    z = image_noise(pipe.latent_shape, pair.num_images, generators)
    return list(denoise(pipe.model, pair, z, time_grid(STEPS), weight))


def sheet(pipe: JanusFlowPipeline, steps: list[Step], image: int) -> Image.Image:
    """One image's way: latent and denoised prediction decoded, velocities as their four channels."""
    rows = {name: torch.stack([getattr(step, name)[image] for step in steps]) for name in ROWS}
    frames = [decoded(pipe, z) if name in ("z", "denoised") else coloured(z) for name, z in rows.items()]
    return Image.fromarray(rearrange(np.stack(frames), "row step h w rgb -> (row h) (step w) rgb"))


def decoded(pipe: JanusFlowPipeline, latents: torch.Tensor) -> np.ndarray:
    """What the VAE makes of each latent."""
    return np.stack([np.asarray(picture) for picture in pipe.to_pictures(latents)])


def coloured(v: torch.Tensor) -> np.ndarray:
    """Each velocity's four channels as a square of squares: orange below zero, purple above."""
    squares = repeat(v, "s (a b) h w -> s (a h two) (b w deux)", a=2, two=2, deux=2)
    return (colormaps["PuOr"]((squares.numpy() / LIMIT + 1) / 2)[..., :3] * 255).round().astype(np.uint8)


if __name__ == "__main__":
    main()
