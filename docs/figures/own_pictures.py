"""The figure of the chapter on pictures of one's own: python docs/figures/own_pictures.py

What takes long is measured once and kept in data/own-pictures.json (a few minutes of one thread).
"""

import sys
from typing import Any

import numpy as np
import torch
from canvas import Drawing, figure, main
from PIL import Image
from recipes import from_text, measured, run_page, sheet, to_text

from janus_minimal import JanusFlowPipeline, PromptPair, denoise, time_grid
from janus_minimal.pipeline import image_noise
from janus_minimal.shapes.caption import Caption
from janus_minimal.shapes.evaluate import fresh_captions
from janus_minimal.shapes.score import satisfies

SEED, STEPS = 11, 15
SHOWN = {
    "a red circle": 4,
    "a blue circle": 5,
    "a green circle": 6,
    "a red square": 3,
    "a green star": 3,
    "a red circle left of a blue square": 3,
}  # captions, and the seeds of their noise


def others(number: int = 32) -> list[Caption]:
    """Return captions in which no circle occurs."""
    kinds = ("colours", "two objects", "position", "colour attribution")
    found = [c for kind in kinds for c in fresh_captions(kind, 40, SEED)]
    without = [c for c in found if all(shape != "circle" for _, shape in c.kinds)]
    return without[:: len(without) // number][:number]


def right(pipe: JanusFlowPipeline) -> int:
    """Count the pictures of captions without a circle that obey them."""
    captions = others()
    pair = PromptPair.from_text([str(c) for c in captions], pipe.tokenizer)
    z = image_noise(pipe.latent_shape, len(captions), torch.Generator().manual_seed(SEED))
    *_, last = denoise(pipe.model, pair, z, time_grid(STEPS))
    pictures = zip(pipe.to_pictures(last.z_next), captions, strict=True)
    return sum(satisfies(np.asarray(picture), caption) for picture, caption in pictures)


def draw(pipe: JanusFlowPipeline) -> list[str]:
    noises = [torch.Generator().manual_seed(seed) for seed in SHOWN.values()]
    return [to_text(image) for image in pipe(list(SHOWN), STEPS, generator=noises, progress=False).images]


def measure() -> dict[str, Any]:
    """Run the page, and look at what its models draw."""
    page = run_page("own-pictures.md")
    before = JanusFlowPipeline.from_pretrained("shapes")
    models = {
        "before": before,
        "rings only": page["tuned"],
        "with ordinary scenes": page["mixed"],
        "LoRA": page["merged"],
    }
    losses = page["losses"]
    return {
        "source": [to_text(Image.open(file).resize((48, 48), Image.Resampling.LANCZOS)) for file in page["files"][:6]],
        "decoded": [to_text(picture) for picture in page["decoded"][:6]],
        "drawn": {name: draw(pipe) for name, pipe in models.items()},
        "captions": len(others()),
        "right": {name: right(pipe) for name, pipe in models.items()},
        "steps": page["recipe"].steps,
        "pictures": len(page["files"]),
        "spread": page["latents"].std().item(),
        "first losses": float(np.mean(losses[:10])),
        "last losses": float(np.mean(losses[-10:])),
        "trainable": page["trainable"],
    }


def measure_one() -> dict[str, Any]:
    """Run the page as far as its model that has memorised one picture."""
    page = run_page("own-pictures.md", {"steps=60, batch": "steps=1, batch", "steps=120, batch": "steps=1, batch"})
    before, noise = page["pipe"], image_noise(page["pipe"].latent_shape, 4, torch.manual_seed(0))
    asked = {"num_images_per_prompt": 4, "latents": noise, "output_type": "latent", "progress": False}
    drawn, one = before(page["captions"][0], cfg_weight=1.0, **asked).images, page["latents"][:1]
    return {
        "first losses": float(np.mean(page["one_losses"][:10])),
        "last losses": float(np.mean(page["one_losses"][-10:])),
        "off, %": 100 * page["off"],
        "off before, %": 100 * ((drawn - one).flatten(1).norm(dim=1) / one.norm()).mean().item(),
    }


def data() -> dict[str, Any]:
    measured("own-pictures", "one", measure_one)  # the page reads it
    return measured("own-pictures", "rings", measure)


@figure("own_pictures")
def own_pictures() -> Drawing:
    found = data()
    rows = [("drawn by hand", found["source"]), ("after the VAE", found["decoded"]), *found["drawn"].items()]
    pictures = [(name, [from_text(text) for text in row]) for name, row in rows]
    lost, asked = found["right"], ", ".join(f'"{caption}"' for caption in SHOWN)
    return Drawing(
        sheet([""] * len(SHOWN), pictures),
        alt="Six rows of six pictures. Rings, rings with corners, then filled shapes before training, and hollow ones after it.",
        caption=f'Upper two rows: six of {found["pictures"]} training pictures with captions such as "a red circle", as drawn '
        f"and as the VAE decodes them. Lower four rows: pictures of {asked}, from one noise for each column, before and after "
        f"training. Of {found['captions']} captions without a circle, {lost['before']} are right before, {lost['rings only']} "
        f"after {found['steps']} steps on rings only, {lost['with ordinary scenes']} after training on rings and ordinary scenes, "
        f"{lost['LoRA']} with LoRA on both.",
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["measure"]:
        data()
    else:
        main()
