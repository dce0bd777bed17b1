"""Guidance with the wrong sign.

Guidance is w v_cond - (w - 1) v_uncond. Twelve places of a widely read annotated implementation write a plus in place
of the minus, while its code is right:
https://github.com/labmlai/annotated_deep_learning_paper_implementations/issues/177. At w = 1 both formulas agree, so a
test without guidance does not find the bug. At w = 2 the velocity is about three times too large, and the pictures have
wrong colours.
"""

from museum.plant import Change

CHANGES = [
    Change(
        "flow:guide",
        right="return weight * v_cond - (weight - 1) * v_uncond",
        wrong="return weight * v_cond + (weight - 1) * v_uncond",
    ),
]
