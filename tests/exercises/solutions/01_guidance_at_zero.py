"""1. Guidance that ignores the prompt.

Catches  guidance_sign, guidance_counted_from_zero
"""

import torch

from janus_minimal import guide


def test_a_weight_of_zero_ignores_the_prompt():
    v_cond, v_uncond = torch.randn(2, 5)
    assert torch.equal(guide(v_cond, v_uncond, 0), v_uncond)
