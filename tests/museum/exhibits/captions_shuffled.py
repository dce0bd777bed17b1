"""Captions and pictures of a batch are in different orders.

Sorting by length is a common way to save padding. If only the captions are sorted, each picture is trained with the
caption of another. The loss still falls to almost the same value, because most of it does not depend on the caption.
The pictures then show anything. Those here do not change, because the bundled model is already trained.
"""

from museum.plant import Change

CHANGES = [
    Change(
        "training.batch:draw_batch",
        right="ids=[ids[i] for i in chosen]",
        wrong="ids=[ids[i] for i in chosen.sort().values]",
    ),
]
