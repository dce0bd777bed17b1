"""The scorer: what things does a picture show, and does its caption hold? From pixels alone.

Objects are the connected components that differ from the paper. A component's colour is the palette's nearest to its
inside; its area and centre of gravity are moments of its coverage; its shape is the outline that, drawn with that very
area and centre, overlaps best.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float, UInt8
from scipy import ndimage
from skimage.measure import label

from janus_minimal.shapes.caption import Caption
from janus_minimal.shapes.render import PALETTE, PAPER, coverage
from janus_minimal.shapes.scene import SHAPES, Scene, Thing

INK = 45.0  # a pixel differs from the paper when it is at least this far from it in RGB (the palette: 140 and more)
SPECK = 8  # pixels: smaller components are noise, the smallest object has 64
OFF_COLOUR = 70.0  # from the nearest palette colour: further off is no colour of this world
POOR_MATCH = 0.8  # intersection over union with the best outline: below, it is no shape of this world
STRANGE = "unknown"  # a colour or a shape that no caption names


def detect(picture: UInt8[np.ndarray, "side side 3"]) -> Scene:
    """The things in a picture, RGB 0..255, each with its colour, shape, centre and size as measured."""
    ink = np.linalg.norm(picture - np.array(PAPER, dtype=np.float64), axis=-1) > INK
    components = label(ink, connectivity=2)
    found = [components == i for i in range(1, components.max() + 1)]
    return tuple(_measure(picture, component) for component in found if component.sum() > SPECK)


def satisfies(picture: UInt8[np.ndarray, "side side 3"], caption: Caption) -> bool:
    """Whether the picture shows exactly what the caption says."""
    return caption.holds(detect(picture))


def _measure(picture: UInt8[np.ndarray, "side side 3"], component: Bool[np.ndarray, "side side"]) -> Thing:
    colour, rgb = _colour(picture, component)
    alpha = _coverage(picture, component, rgb)
    y, x = (float(centre) + 0.5 for centre in ndimage.center_of_mass(alpha))
    thing = Thing(colour, STRANGE, x, y, float(np.sqrt(alpha.sum())))
    matches = {shape: _overlap(alpha, coverage(shape, thing.x, thing.y, thing.size)) for shape in SHAPES}
    best = max(matches, key=lambda shape: matches[shape])
    return replace(thing, shape=best) if matches[best] >= POOR_MATCH else thing


def _colour(
    picture: UInt8[np.ndarray, "side side 3"], component: Bool[np.ndarray, "side side"]
) -> tuple[str, Float[np.ndarray, "3"]]:
    """The palette's nearest name to the component's inside, and the inside's own RGB."""
    inside = ndimage.binary_erosion(component)
    rgb = np.median(picture[inside if inside.any() else component], axis=0)
    distances = {name: float(np.linalg.norm(rgb - entry)) for name, entry in PALETTE.items()}
    nearest = min(distances, key=lambda name: distances[name])
    return (nearest if distances[nearest] <= OFF_COLOUR else STRANGE), rgb


def _coverage(
    picture: UInt8[np.ndarray, "side side 3"],
    component: Bool[np.ndarray, "side side"],
    rgb: Float[np.ndarray, "3"],
) -> Float[np.ndarray, "side side"]:
    """How much of each pixel is the object's: 0 for paper, 1 for its inside, in between along the edge."""
    ink = rgb - PAPER
    alpha = ((picture - np.array(PAPER, dtype=np.float64)) @ ink / (ink @ ink)).clip(0, 1)
    return alpha * ndimage.binary_dilation(component)


def _overlap(a: Float[np.ndarray, "side side"], b: Float[np.ndarray, "side side"]) -> float:
    """Intersection over union of two coverages."""
    return float(np.minimum(a, b).sum() / np.maximum(a, b).sum())
