"""A view turns the map into tokens without moving the channels last.

The map `b C h w` must become tokens `b (h w) C`. A view gives the right shape and the wrong tokens: each is a strip of
one channel. A network that is trained with this bug learns around it
(https://github.com/jsbaan/transformer-from-scratch/pull/6), so the bug can stay for years:
https://github.com/lucidrains/vector-quantize-pytorch/issues/70. With loaded weights, the pictures are almost empty,
with a few smears.
"""

from museum.plant import Change

CHANGES = [
    Change(
        "model:JanusFlow.align_in",
        right='rearrange(x_emb, "r C h w -> r (h w) C")',
        wrong="x_emb.reshape(len(x_emb), -1, x_emb.shape[1])",
    ),
]
