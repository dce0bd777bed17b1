"""1. Guidance that ignores the prompt.

Law      guide(v_cond, v_uncond, 0) = v_uncond.
Hint     Any two tensors will do. torch.equal compares exactly.
Catches  guidance_sign, guidance_counted_from_zero
"""

import torch
from exercises.start import not_attempted

from janus_minimal import guide


def test_a_weight_of_zero_ignores_the_prompt():
    v_cond, v_uncond = torch.randn(2, 5)
    not_attempted()  # replace this line by the law
