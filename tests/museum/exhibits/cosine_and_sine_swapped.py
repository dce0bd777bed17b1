"""Sine comes first in the embedding of the time, and cosine second.

The original transformer begins with the sine, JanusFlow with the cosine, so code that is copied can have the wrong
order. The numbers are the same, but a trained network reads them as another time. A port that swapped the halves was
off by 37 % and drew a crowd of tiled cats: https://github.com/flashinfer-ai/flashinfer/pull/3819. In the pictures here,
objects have wrong colours or stand in wrong places.
"""

from museum.plant import Change

CHANGES = [
    Change(
        "uvit:sinusoids",
        right="torch.cat([angles.cos(), angles.sin()], dim=-1)",
        wrong="torch.cat([angles.sin(), angles.cos()], dim=-1)",
    ),
]
