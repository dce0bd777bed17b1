"""The scorer accepts a picture that shows more than the caption says.

It only checks that everything in the caption is there. This is easy to write, because a caption does not list what must
be absent. Then a picture full of everything satisfies every caption, and "two circles" is true of five. The pictures do
not change; only the scores are too high.
"""

from museum.plant import Change

CHANGES = [
    Change(
        "shapes.caption:Caption.holds",
        right="""len(scene) == len(wanted) and any(
            self._fits(wanted, order) for order in permutations(scene)
        )""",
        wrong="""any(
            self._fits(wanted, order) for order in permutations(scene, len(wanted))
        )""",
    ),
]
