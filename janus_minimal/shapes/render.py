"""Scene -> picture: filled outlines on paper, anti-aliased by drawing larger and averaging down."""

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw

from janus_minimal.shapes.outline import OUTLINES
from janus_minimal.shapes.scene import SIDE, Scene

PAPER = (246, 244, 238)
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
    """The fraction of each pixel that the shape covers, 0..1."""
    canvas = Image.new("L", (SIDE * OVERSAMPLING, SIDE * OVERSAMPLING))
    # Pillow counts from pixel centres, hence the half.
    points = [((x + size * u) * OVERSAMPLING - 0.5, (y + size * v) * OVERSAMPLING - 0.5) for u, v in OUTLINES[shape]]
    ImageDraw.Draw(canvas).polygon(points, fill=255)
    return np.asarray(canvas.reduce(OVERSAMPLING), dtype=np.float64) / 255


def render(scene: Scene) -> UInt8[np.ndarray, "side side 3"]:
    """The picture of a scene, RGB 0..255."""
    picture = np.full((SIDE, SIDE, 3), PAPER, dtype=np.float64)
    for thing in scene:
        alpha = coverage(thing.shape, thing.x, thing.y, thing.size)[..., None]
        picture = (1 - alpha) * picture + alpha * np.asarray(PALETTE[thing.colour])
    return picture.round().astype(np.uint8)
