"""The five shapes, as polygons of area 1 around their centre of gravity.

Why area 1: a shape is later scaled to the area that the scene asks for, so a circle and a star of
one size cover equally many pixels. The scorer can then measure the size without knowing the shape.
"""

from math import cos, hypot, pi, sin, sqrt

Outline = list[tuple[float, float]]


def _ring(radii: list[float], turn: float) -> Outline:
    """Return points around the origin, evenly spaced in angle.

    The first point lies straight up, turned clockwise by `turn` times the angle between two points.
    """
    step = 2 * pi / len(radii)
    return [(r * sin((i + turn) * step), -r * cos((i + turn) * step)) for i, r in enumerate(radii)]


def _unit_area(outline: Outline) -> Outline:
    """Return the outline scaled to area 1.

    The shoelace formula gives twice the area. All five outlines are symmetric, so their centre of
    gravity is the origin already.
    """
    ends = outline[1:] + outline[:1]
    doubled = sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in zip(outline, ends, strict=True))
    return [(x / sqrt(abs(doubled) / 2), y / sqrt(abs(doubled) / 2)) for x, y in outline]


OUTLINES = {
    "circle": _unit_area(_ring([1.0] * 48, 0)),
    "square": _unit_area(_ring([1.0] * 4, 0.5)),
    "triangle": _unit_area(_ring([1.0] * 3, 0)),
    "star": _unit_area(_ring([1.0, 0.45] * 5, 0)),
    "cross": _unit_area(
        [
            (-1, -3),
            (1, -3),
            (1, -1),
            (3, -1),
            (3, 1),
            (1, 1),
            (1, 3),
            (-1, 3),
            (-1, 1),
            (-3, 1),
            (-3, -1),
            (-1, -1),
        ]
    ),
}

# The distance from the centre to the farthest point, for a shape of size 1: 0.56 for the circle.
REACH = {shape: max(hypot(x, y) for x, y in outline) for shape, outline in OUTLINES.items()}
