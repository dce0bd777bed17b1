"""Patches are read column by column, not row by row.

Both re-layouts agree with each other, so every patch comes back to its own place. But the language model was trained on
rows, and it knows a patch's place only by its number in the sequence. Tensor libraries that store columns first make
this mistake by themselves. A test of going there and back finds nothing. In the pictures, objects are missing, or have
wrong places and colours.
"""

from museum.plant import Change

CHANGES = [
    Change(
        "model:JanusFlow.align_in",
        right='rearrange(x_emb, "r C h w -> r (h w) C")',
        wrong='rearrange(x_emb, "r C h w -> r (w h) C")',
    ),
    Change(
        "model:JanusFlow.align_out",
        right='"r (h w) C -> r C h w"',
        wrong='"r (w h) C -> r C h w"',
    ),
]
