"""1. Guidance goes beyond the prompt."""

import torch

from janus_minimal import guide


def test_guidance_goes_beyond_the_conditional_velocity():
    v_cond, v_uncond = torch.randn(2, 1000)
    torch.testing.assert_close(guide(v_cond, v_uncond, 3.0), v_cond + 2 * (v_cond - v_uncond))
