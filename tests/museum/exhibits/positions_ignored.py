"""The position indices are computed and then not passed on.

Without position_ids, Llama counts the tokens that it is given, and the cache's tokens before them. For a single prompt
that is the same. In a batch, a padded prompt begins at a position above 0, which changes nothing, because RoPE depends
only on differences of positions. So the bug can stay for years, until somebody chooses positions of their own. The
pictures here do not change.
"""

from museum.plant import Change

CHANGES = [
    Change(
        "model:JanusFlow._llama",
        right="position_ids=positions,",
        wrong="position_ids=None,",
    ),
]
