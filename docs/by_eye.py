"""Does the scorer agree with the eye? python docs/by_eye.py draws what it refused and some of what it accepted.

The pictures are those of `janus-minimal evaluate`. Somebody has to look at the two sheets. The numbers of the pictures
where that person disagreed stand below, and the counts are written to docs/by-eye.json.
"""

import json
from pathlib import Path
from random import Random
from textwrap import fill

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from janus_minimal import JanusFlowPipeline
from janus_minimal.shapes.caption import CATEGORIES
from janus_minimal.shapes.evaluate import fresh_captions, generator_of
from janus_minimal.shapes.score import satisfies

DOCS = Path(__file__).parent
EACH, ACCEPTED = 100, 50  # captions of a category; accepted pictures that were looked at
COLUMNS, WIDTH, HEIGHT, SIDE, TEXT = 5, 232, 264, 192, 18

# What a person saw on the two sheets.
SHOW_THEIR_CAPTION = (12, 17)  # of the refused: two things whose corners touch; two on a diagonal
DO_NOT_SHOW_IT: tuple[int, ...] = ()  # of the accepted
BENT = (45, 48)  # of the accepted: the right thing, with a dent

Judged = tuple[str, Image.Image]


def judged(pipe: JanusFlowPipeline) -> tuple[list[Judged], list[Judged]]:
    """Return the captions and pictures of an evaluation with seed 0 that the scorer accepts and refuses."""
    accepted: list[Judged] = []
    refused: list[Judged] = []
    for index, category in enumerate(CATEGORIES):
        asked = fresh_captions(category, EACH, 0)
        noises = [generator_of(0, index, i) for i in range(EACH)]
        pictures = pipe([str(caption) for caption in asked], 30, 2.0, generator=noises, progress=False).images
        for caption, picture in zip(asked, pictures, strict=True):
            found = accepted if satisfies(np.asarray(picture), caption) else refused
            found.append((str(caption), picture))
    return accepted, refused


def sheet(pictures: list[Judged]) -> Image.Image:
    """Return the pictures, numbered, each below its caption."""
    rows = -(-len(pictures) // COLUMNS)
    drawn = Image.new("RGB", (COLUMNS * WIDTH, rows * HEIGHT), "white")
    pen = ImageDraw.Draw(drawn)
    for number, (caption, picture) in enumerate(pictures):
        left, top = number % COLUMNS * WIDTH + 8, number // COLUMNS * HEIGHT + 8
        pen.text((left, top), fill(f"{number}: {caption}", 24), fill="black", font=ImageFont.load_default(TEXT))
        drawn.paste(picture.resize((SIDE, SIDE), Image.Resampling.NEAREST), (left, top + 56))
    return drawn


def main() -> None:
    """Write the two sheets and the counts."""
    accepted, refused = judged(JanusFlowPipeline.from_pretrained("shapes"))
    some = Random(0).sample(accepted, ACCEPTED)
    sheet(refused).save(DOCS / "pictures" / "by-eye-refused.png", optimize=True)
    sheet(some).save(DOCS / "pictures" / "by-eye-accepted.png", optimize=True)
    report = {
        "pictures": len(accepted) + len(refused),
        "refused": len(refused),
        "wrongly refused": len(SHOW_THEIR_CAPTION),
        "accepted and looked at": len(some),
        "wrongly accepted": len(DO_NOT_SHOW_IT),
        "accepted with a dent": len(BENT),
    }
    (DOCS / "by-eye.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
