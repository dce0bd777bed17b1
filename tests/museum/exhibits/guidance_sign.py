"""Guidance with the wrong sign.

Twelve places of a widely read annotated implementation say w v_cond + (w - 1) v_uncond, while its code is right:
https://github.com/labmlai/annotated_deep_learning_paper_implementations/issues/177. At w = 1 nothing shows.
"""

from museum.plant import instead_of


@instead_of("flow:guide")
def guide(v_cond, v_uncond, weight):
    return weight * v_cond + (weight - 1) * v_uncond
