"""Guidance is computed in the dtype of the network's weights.

The network's output is bfloat16, so it is natural to combine both velocities before the cast to float32. But guidance
subtracts two numbers that are nearly equal, and multiplies the difference: their common part cancels, and the rounding
error of both stays. In bfloat16, each velocity is rounded to 8 bits first. No difference can be seen in the pictures.
"""

from museum.plant import Change

CHANGES = [
    Change(
        "flow:guide",
        right="return weight * v_cond - (weight - 1) * v_uncond",
        wrong="return (weight * v_cond.bfloat16() - (weight - 1) * v_uncond.bfloat16()).float()",
    ),
]
