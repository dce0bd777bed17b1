"""The scorer and the world take left for right.

"a left of b" is checked as if it said "b left of a". Drawing and scoring make the same mistake, so scores stay high,
and every caption with a relation is drawn mirrored. The pictures here do not change, because the bundled model is
already trained.
"""

from museum.plant import Change

CHANGES = [
    Change(
        "shapes.scene:related",
        right="dx, dy = a.x - b.x, a.y - b.y",
        wrong="dx, dy = b.x - a.x, b.y - a.y",
    ),
]
