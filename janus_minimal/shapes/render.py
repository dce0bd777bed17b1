"""From a scene to its picture: filled outlines on a plain background, with smooth edges.

Edges are smooth (anti-aliased) because each shape is drawn 12 times too large and averaged down. A
pixel that a shape covers by a third then gets a third of its colour. So centre and area can be
measured to a fraction of a pixel.
"""

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw

from janus_minimal.shapes.outline import OUTLINES
from janus_minimal.shapes.scene import SIDE, Scene

PAPER = (246, 244, 238)  # the background
PALETTE = {
    "red": (208, 40, 44),
    "orange": (244, 140, 32),
    "yellow": (240, 208, 40),
    "green": (44, 150, 72),
    "blue": (44, 96, 200),
    "purple": (136, 64, 160),
}
OVERSAMPLING = 12  # each pixel is the mean of 12 x 12


def coverage(shape: str, x: float, y: float, size: float) -> Float[np.ndarray, "side side"]:
    """Return the fraction of each pixel that the shape covers, in 0..1."""
    canvas = Image.new("L", (SIDE * OVERSAMPLING, SIDE * OVERSAMPLING))
    # Pillow's coordinates have their origin in the centre of the first pixel, ours in its corner.
    points = [
        ((x + size * u) * OVERSAMPLING - 0.5, (y + size * v) * OVERSAMPLING - 0.5)
        for u, v in OUTLINES[shape]
    ]
    ImageDraw.Draw(canvas).polygon(points, fill=255)
    return np.asarray(canvas.reduce(OVERSAMPLING), dtype=np.float64) / 255


def render(scene: Scene) -> UInt8[np.ndarray, "side side 3"]:
    """Return the picture of a scene, RGB in 0..255.

    picture <- (1 - alpha) picture + alpha colour, for each thing, where alpha is its coverage.
    """
    picture = np.full((SIDE, SIDE, 3), PAPER, dtype=np.float64)
    for thing in scene:
        alpha = coverage(thing.shape, thing.x, thing.y, thing.size)[..., None]
        picture = (1 - alpha) * picture + alpha * np.asarray(PALETTE[thing.colour])
    return picture.round().astype(np.uint8)
