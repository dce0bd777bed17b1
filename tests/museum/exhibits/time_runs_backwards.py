"""The time grid runs from 1 down to 0.

Many codes count sigma = 1 - t, which falls from noise to data; in many others, t rises. Shared solvers meet both
conventions: https://github.com/huggingface/lerobot/pull/4075. If the grid is reversed, the loop begins with pure noise,
tells the network that it is nearly a picture, and steps backwards. The pictures show coloured scraps.
"""

from museum.plant import Change

CHANGES = [
    Change(
        "flow:time_grid",
        right="return u / (u + float(shift) * (1 - u))",
        wrong="return (u / (u + float(shift) * (1 - u))).flip(0)",
    ),
]
