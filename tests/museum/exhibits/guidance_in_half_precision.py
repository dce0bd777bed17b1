"""Guidance is computed in the dtype of the network's weights.

The network's output is bfloat16, so it is natural to combine both velocities before the cast to float32. Both are
rounded already, and no later cast can undo this. But here the two products and their difference are rounded once more,
to 8 bits, in every step. No difference can be seen in the pictures.
"""

from museum.plant import Change

CHANGES = [
    Change(
        "flow:guide",
        right="return weight * v_cond - (weight - 1) * v_uncond",
        wrong="return (weight * v_cond.bfloat16() - (weight - 1) * v_uncond.bfloat16()).float()",
    ),
]
