"""The five outlines, as polygons of area 1 around their centre of gravity."""

from math import cos, hypot, pi, sin, sqrt

Outline = list[tuple[float, float]]


def _ring(radii: list[float], turn: float) -> Outline:
    """Points around the origin, evenly spaced in angle, the first straight up (turned by `turn` steps)."""
    step = 2 * pi / len(radii)
    return [(r * sin((i + turn) * step), -r * cos((i + turn) * step)) for i, r in enumerate(radii)]


def _unit_area(outline: Outline) -> Outline:
    """The outline scaled to area 1 (shoelace formula); its centre of gravity is the origin already, by symmetry."""
    doubled = sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in zip(outline, outline[1:] + outline[:1], strict=True))
    return [(x / sqrt(abs(doubled) / 2), y / sqrt(abs(doubled) / 2)) for x, y in outline]


OUTLINES = {
    "circle": _unit_area(_ring([1.0] * 48, 0)),
    "square": _unit_area(_ring([1.0] * 4, 0.5)),
    "triangle": _unit_area(_ring([1.0] * 3, 0)),
    "star": _unit_area(_ring([1.0, 0.45] * 5, 0)),
    "cross": _unit_area(
        [(-1, -3), (1, -3), (1, -1), (3, -1), (3, 1), (1, 1), (1, 3), (-1, 3), (-1, 1), (-3, 1), (-3, -1), (-1, -1)]
    ),
}

REACH = {shape: max(hypot(x, y) for x, y in outline) for shape, outline in OUTLINES.items()}  # farthest point
