"""The moving picture of the landing page: python docs/figures/landing.py (half a minute)

It shows the denoised prediction of four captions at each of the 30 steps, with a bar for the time t. Writes
docs/pictures/denoising.webp, which plays a few times and stops at the finished pictures;
docs/pictures/denoising-still.png, the finished pictures, for readers who ask for less motion; and data/landing.json,
how far each prediction is from the finished picture. Stops with an error unless every finished picture obeys its
caption.
"""

import json
from pathlib import Path

import numpy as np
import torch
from canvas import DATA
from PIL import Image, ImageDraw

from janus_minimal import JanusFlowPipeline, PromptPair, denoise, time_grid
from janus_minimal.pipeline import image_noise
from janus_minimal.shapes.caption import Caption
from janus_minimal.shapes.score import satisfies

PICTURES = Path(__file__).parent.parent / "pictures"
CAPTIONS = (
    "a red circle left of a blue square",
    "three purple stars",
    "a yellow cross and a green triangle",
    "a green star",  # a pair of colour and shape that training never shows
)
SEED, STEPS = 0, 30
SCALE, GAP, BAR = 4, 12, 6  # pixels of the screen for one of the picture, between pictures, and the bar's height
MOVING, RESTING = 120, 3000  # milliseconds: each frame, and the last one
TIMES_PLAYED = 10
VISIBLE = 25  # of 255, in any of the three colours
EMPTY, FULL = (160, 160, 160, 110), (86, 180, 233, 255)  # the bar: legible on white and on black


def predictions() -> list[list[Image.Image]]:
    """Return four decoded pictures for each step."""
    pipe = JanusFlowPipeline.from_pretrained("shapes")
    pair = PromptPair.from_text(CAPTIONS, pipe.tokenizer)
    z = image_noise(pipe.latent_shape, len(CAPTIONS), torch.Generator().manual_seed(SEED))
    steps = denoise(pipe.model, pair, z, time_grid(STEPS))
    return [pipe.to_pictures(step.denoised) for step in steps]


def frame(pictures: list[Image.Image], done: float) -> Image.Image:
    """Lay the pictures side by side, enlarged without smoothing, above a bar that is `done` full."""
    side = SCALE * pictures[0].width
    width = len(pictures) * side + (len(pictures) - 1) * GAP
    sheet = Image.new("RGBA", (width, side + GAP + BAR))
    for index, picture in enumerate(pictures):
        sheet.paste(picture.resize((side, side), Image.Resampling.NEAREST), (index * (side + GAP), 0))
    draw = ImageDraw.Draw(sheet)
    draw.rectangle((0, side + GAP, width - 1, sheet.height - 1), fill=EMPTY)
    draw.rectangle((0, side + GAP, round(done * (width - 1)), sheet.height - 1), fill=FULL)
    return sheet


def distances(shown: list[list[Image.Image]]) -> list[float]:
    """Return for each step the percentage of pixels that differ visibly from the finished pictures."""
    last = np.stack(shown[-1]).astype(int)
    return [100 * float((np.abs(np.stack(some) - last).max(axis=-1) > VISIBLE).mean()) for some in shown]


def main() -> None:
    shown = predictions()
    for caption, picture in zip(CAPTIONS, shown[-1], strict=True):
        if not satisfies(np.asarray(picture), Caption.parse(caption)):
            raise SystemExit(f"the picture does not show {caption}: choose another seed")
    # Frame k shows what the network predicts at t = k / STEPS; the last one is the picture at t = 1.
    frames = [frame(pictures, index / STEPS) for index, pictures in enumerate(shown)]
    frames.append(frame(shown[-1], 1.0))
    durations = [MOVING] * STEPS + [RESTING]
    first, *rest = frames
    first.save(
        PICTURES / "denoising.webp",
        save_all=True,
        append_images=rest,
        duration=durations,
        loop=TIMES_PLAYED,
        lossless=True,
        quality=100,
        method=6,
    )
    frames[-1].save(PICTURES / "denoising-still.png", optimize=True)
    far = distances(shown)
    told = {"steps": STEPS, "differ": {f"{index / STEPS:.2f}": share for index, share in enumerate(far)}}
    (DATA / "landing.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    for name in ("denoising.webp", "denoising-still.png"):
        print(f"{name}: {(PICTURES / name).stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
