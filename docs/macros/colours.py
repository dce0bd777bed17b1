"""{{ shifted_colours() }}: what becomes of the six colours when pixels from 0 to 1 are encoded as they are."""

import base64
import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

from janus_minimal.shapes.render import PALETTE

RECORD = Path(__file__).parent.parent / "figures" / "data" / "latents.json"
RIGHT, WRONG = "right", "encoded from 0..1"


def shifted_colours() -> str:
    """A row for each colour: the middle pixel of its circle, decoded rightly and after the mistake."""
    found = json.loads(RECORD.read_text(encoding="utf-8"))["colours"]
    rows = [
        f"| {colour} | {_numbers(_middle(right))} | {_numbers(_middle(wrong))} | {_nearest(_middle(wrong))} |"
        for colour, right, wrong in zip(PALETTE, found[RIGHT], found[WRONG], strict=True)
    ]
    head = "| circle | decoded rightly | encoded from 0..1, then decoded | nearest colour of the palette |"
    return "\n".join([head, "| --- | ---: | ---: | --- |", *rows])


def _middle(picture: str) -> np.ndarray:
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(picture))).convert("RGB"), dtype=float)
    return pixels[pixels.shape[0] // 2, pixels.shape[1] // 2]


def _numbers(pixel: np.ndarray) -> str:
    return ", ".join(f"{number:.0f}" for number in pixel)


def _nearest(pixel: np.ndarray) -> str:
    return min(PALETTE, key=lambda colour: np.linalg.norm(pixel - PALETTE[colour]))
