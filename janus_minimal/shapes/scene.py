"""Scenes: a few coloured shapes on a plain square, placed at random from one seed.

Lengths are in pixels, x to the right and y downwards. The size of a thing is the square root of its
area, so things of one size cover equally many pixels, whatever their shape. Its centre is its centre
of gravity. The scorer rests on both facts: it can measure area and centre without knowing the shape.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import hypot

import numpy as np

from janus_minimal.shapes.outline import OUTLINES, REACH

SIDE = 48  # of the picture
GAP = 3.5  # the least distance between two things, and from the border
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple")
SHAPES = tuple(OUTLINES)
# Every thing keeps the distance that the widest shape would need. Otherwise things of a slim shape
# could stand closer together and leave room for one more, which makes counting harder to learn.
WIDEST = max(REACH.values())
# Pairs that training never shows. Asking for them tests whether colour and shape were learned apart.
UNSEEN = frozenset({("green", "star"), ("orange", "square"), ("purple", "triangle")})
SEEN = tuple((c, s) for c in COLOURS for s in SHAPES if (c, s) not in UNSEEN)
# The least and the greatest size, by the number of things: the fewer they are, the larger.
SIZES = {1: (14.0, 19.0), 2: (10.5, 14.0), 3: (9.0, 11.0), 4: (8.0, 9.5)}
RELATIONS: dict[str, tuple[int, int]] = {
    "left of": (-1, 0),
    "right of": (1, 0),
    "above": (0, -1),
    "below": (0, 1),
}


@dataclass(frozen=True)
class Thing:
    """One coloured shape: what it is, where its centre of gravity lies, and its size, in pixels."""

    colour: str
    shape: str
    x: float
    y: float
    size: float


Scene = tuple[Thing, ...]


def related(a: Thing, b: Thing, relation: str, clearly: float = 1.0) -> bool:
    """Return whether a is, say, "left of" b.

    The offset from b to a must point in the direction of the relation at least `clearly` times as
    much as sideways. With `clearly=1` every pair of things has one relation, or two on a diagonal.
    """
    ux, uy = RELATIONS[relation]
    dx, dy = a.x - b.x, a.y - b.y
    along, across = ux * dx + uy * dy, uy * dx + ux * dy
    return along > 0 and along >= clearly * abs(across)


def place(
    kinds: list[tuple[str, str]],
    rng: np.random.Generator,
    accept: Callable[[Scene], bool] = lambda scene: True,
) -> Scene:
    """Draw sizes and places for things of the given (colour, shape) kinds.

    Things keep their distance from one another and from the border. Whole scenes are drawn until
    `accept` returns True for one (rejection sampling).
    """
    while True:
        scene = _scatter(kinds, rng)
        if scene and accept(scene):
            return scene


def _scatter(kinds: list[tuple[str, str]], rng: np.random.Generator) -> Scene | None:
    """Place one thing after the other. Return None if there is no room left for one of them."""
    scene: Scene = ()
    for kind in kinds:
        thing = _thing_beside(scene, kind, SIZES[len(kinds)], rng)
        if thing is None:
            return None
        scene += (thing,)
    return scene


def _thing_beside(
    scene: Scene, kind: tuple[str, str], sizes: tuple[float, float], rng: np.random.Generator
) -> Thing | None:
    """Draw a size and a place inside the border, up to 20 times, until the thing is far enough from all others.

    A scene of four things takes hundreds of tries, so only numbers are compared in this loop.
    """
    others = [(other.x, other.y, GAP + WIDEST * other.size) for other in scene]
    for _ in range(20):
        size = rng.uniform(*sizes)
        margin = GAP + REACH[kind[1]] * size
        x, y = rng.uniform(margin, SIDE - margin, size=2).tolist()
        if all(hypot(x - a, y - b) >= apart + WIDEST * size for a, b, apart in others):
            return Thing(*kind, x, y, size)
    return None
