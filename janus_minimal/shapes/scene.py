"""Scenes: a few coloured shapes on a plain square, drawn at random from one seed.

Lengths are in pixels. A shape's `size` is the square root of its area, so shapes of one size cover the same
area whatever their outline, and the centre is the centre of gravity. The scorer rests on both facts.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from janus_minimal.shapes.outline import OUTLINES, REACH

SIDE = 48  # of the picture
GAP = 3.5  # least distance between two objects, and from the border
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple")
SHAPES = tuple(OUTLINES)
WIDEST = max(REACH.values())  # things keep the distance of two of these, so that slim ones leave no room for one more
UNSEEN = frozenset({("green", "star"), ("orange", "square"), ("purple", "triangle")})  # never in training
SEEN = tuple((c, s) for c in COLOURS for s in SHAPES if (c, s) not in UNSEEN)
SIZES = {1: (14.0, 19.0), 2: (10.5, 14.0), 3: (9.0, 11.0), 4: (8.0, 9.5)}  # the fewer the objects, the larger
RELATIONS: dict[str, tuple[int, int]] = {"left of": (-1, 0), "right of": (1, 0), "above": (0, -1), "below": (0, 1)}


@dataclass(frozen=True)
class Thing:
    """One object: what it is, where its centre of gravity lies (x right, y down) and how large it is, in pixels."""

    colour: str
    shape: str
    x: float
    y: float
    size: float


Scene = tuple[Thing, ...]


def related(a: Thing, b: Thing, relation: str, clearly: float = 1.0) -> bool:
    """Whether a is `relation` b: its offset points that way more than sideways (`clearly` times more)."""
    ux, uy = RELATIONS[relation]
    dx, dy = a.x - b.x, a.y - b.y
    along, across = ux * dx + uy * dy, uy * dx + ux * dy
    return along > 0 and along >= clearly * abs(across)


def place(
    kinds: list[tuple[str, str]], rng: np.random.Generator, accept: Callable[[Scene], bool] = lambda scene: True
) -> Scene:
    """Sizes and places for things of these (colour, shape) kinds: apart from one another and such that `accept`."""
    while True:
        scene = _scatter(kinds, rng)
        if scene and accept(scene):
            return scene


def _scatter(kinds: list[tuple[str, str]], rng: np.random.Generator) -> Scene | None:
    """One thing after the other where there is room, or None if the first ones left none."""
    scene: Scene = ()
    for kind in kinds:
        tries = (_drop(kind, SIZES[len(kinds)], rng) for _ in range(20))
        thing = next((thing for thing in tries if all(_apart(thing, other) for other in scene)), None)
        if thing is None:
            return None
        scene += (thing,)
    return scene


def _drop(kind: tuple[str, str], sizes: tuple[float, float], rng: np.random.Generator) -> Thing:
    size = rng.uniform(*sizes)
    margin = GAP + REACH[kind[1]] * size
    x, y = rng.uniform(margin, SIDE - margin, size=2)
    return Thing(*kind, float(x), float(y), float(size))


def _apart(a: Thing, b: Thing) -> bool:
    return float(np.hypot(a.x - b.x, a.y - b.y)) >= GAP + WIDEST * (a.size + b.size)
