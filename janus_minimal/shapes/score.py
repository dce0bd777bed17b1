"""The scorer: which things does a picture show, and is its caption true? It looks at pixels only.

A connected component of pixels that differ from the background is one thing. Its properties are
measured one after the other:

    colour           the colour of the palette that is nearest to the component's inside
    area, centre     moments of its coverage, which counts a pixel at the edge by its fraction
    shape            each of the five outlines is drawn with this area and centre; the one that
                     overlaps best is the shape

A trained classifier would be simpler to call, but its rules cannot be read. Those of this scorer can,
and it is tested on drawn scenes, whose truth is known.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float, UInt8
from scipy import ndimage

from janus_minimal.shapes.caption import Caption
from janus_minimal.shapes.outline import OUTLINES
from janus_minimal.shapes.render import PALETTE, PAPER, coverage
from janus_minimal.shapes.scene import Scene, Thing

INK = 45.0  # a pixel differs from the background if it is this far from it in RGB (the palette: 140 and more)
SPECK = 8  # pixels: smaller components are noise, the smallest thing has 64
OFF_COLOUR = (
    70.0  # distance in RGB from the nearest palette colour; beyond it the colour is unknown
)
POOR_MATCH = 0.8  # intersection over union with the best outline; below it the shape is unknown
UNKNOWN = "unknown"  # a colour or a shape that no caption names
EIGHT_NEIGHBOURS = np.ones((3, 3))  # pixels that touch at a corner are connected too


def detect(picture: UInt8[np.ndarray, "side side 3"]) -> Scene:
    """Return the things in a picture (RGB in 0..255), with colour, shape, centre and size as measured."""
    ink = np.linalg.norm(picture - np.array(PAPER, dtype=np.float64), axis=-1) > INK
    components, number = ndimage.label(ink, EIGHT_NEIGHBOURS)
    found = [components == i for i in range(1, number + 1)]
    return tuple(_measure(picture, component) for component in found if component.sum() > SPECK)


def satisfies(picture: UInt8[np.ndarray, "side side 3"], caption: Caption) -> bool:
    """Return whether the picture shows exactly what the caption says: nothing missing, nothing more."""
    return caption.holds(detect(picture))


def _measure(
    picture: UInt8[np.ndarray, "side side 3"], component: Bool[np.ndarray, "side side"]
) -> Thing:
    """Return one component as a thing."""
    colour, rgb = _colour(picture, component)
    alpha = _coverage(picture, component, rgb)
    # The centre of pixel 0 lies at 0.5: our coordinates have their origin in a corner.
    y, x = (float(centre) + 0.5 for centre in ndimage.center_of_mass(alpha))
    thing = Thing(colour, UNKNOWN, x, y, float(np.sqrt(alpha.sum())))
    matches = {
        shape: _overlap(alpha, coverage(shape, thing.x, thing.y, thing.size)) for shape in OUTLINES
    }
    best = max(matches, key=lambda shape: matches[shape])
    return replace(thing, shape=best) if matches[best] >= POOR_MATCH else thing


def _colour(
    picture: UInt8[np.ndarray, "side side 3"], component: Bool[np.ndarray, "side side"]
) -> tuple[str, Float[np.ndarray, "3"]]:
    """Return the name of the nearest palette colour, and the median RGB of the component's inside.

    The inside is the component without its edge, because pixels at the edge are mixed with the
    background.
    """
    inside = ndimage.binary_erosion(component)
    rgb = np.median(picture[inside if inside.any() else component], axis=0)
    distances = {name: float(np.linalg.norm(rgb - entry)) for name, entry in PALETTE.items()}
    nearest = min(distances, key=lambda name: distances[name])
    return (nearest if distances[nearest] <= OFF_COLOUR else UNKNOWN), rgb


def _coverage(
    picture: UInt8[np.ndarray, "side side 3"],
    component: Bool[np.ndarray, "side side"],
    rgb: Float[np.ndarray, "3"],
) -> Float[np.ndarray, "side side"]:
    """Return the fraction of each pixel that the thing covers.

    A pixel is a mixture (1 - alpha) PAPER + alpha rgb, and alpha is found by projection on the line
    between the two colours. The component is widened by one pixel, to take in the faint edge.
    """
    ink = rgb - PAPER
    alpha = ((picture - np.array(PAPER, dtype=np.float64)) @ ink / (ink @ ink)).clip(0, 1)
    return alpha * ndimage.binary_dilation(component)


def _overlap(a: Float[np.ndarray, "side side"], b: Float[np.ndarray, "side side"]) -> float:
    """Return the intersection over union of two coverages: 1 if they are equal, 0 if disjoint."""
    return float(np.minimum(a, b).sum() / np.maximum(a, b).sum())
