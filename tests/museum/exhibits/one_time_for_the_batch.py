"""All examples of a batch are mixed at the first one's time.

A time of shape [b] does not broadcast with latents of shape [b, c, H, W], and t[0] makes the error message disappear.
The network is still told each example's own time, so for all examples but the first it is told a wrong one. The loss
falls, but not as far. The pictures here do not change, because the bundled model is already trained.
"""

from museum.plant import Change

CHANGES = [
    Change(
        "flow:interpolate",
        right="z_t = einsum(",
        wrong="""t = t[:1].expand(len(t))
    z_t = einsum(""",
    ),
]
