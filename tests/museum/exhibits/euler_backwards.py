"""The Euler step has the wrong sign.

Two conventions exist. Flow models in diffusers predict -v, and their noise level sigma = 1 - t falls from 1 to 0. If
you copy one of these two signs without the other, each step goes away from the data. The noise grows, and the pictures
show coloured scraps.
"""

from museum.plant import Change

CHANGES = [
    Change(
        "flow:euler_step",
        right="return z + (t_next - t) * v",
        wrong="return z - (t_next - t) * v",
    ),
]
