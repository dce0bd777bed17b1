"""1. Guidance goes beyond the prompt.

A guidance weight above 1 does not mix two velocities, it extrapolates: the result lies beyond the conditional velocity,
on the line that comes from the unconditional one. State where.

    guide(v_cond, v_uncond, w) = v_cond + (w - 1) (v_cond - v_uncond)

The law holds for every w, to the precision of float32. Test at least one w that is greater than 1.
"""

import torch
from exercises.start import not_attempted

from janus_minimal import guide


def test_guidance_goes_beyond_the_conditional_velocity():
    v_cond, v_uncond = torch.randn(2, 1000)
    not_attempted()  # replace this line by the law
