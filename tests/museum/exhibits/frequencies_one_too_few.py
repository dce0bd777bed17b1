"""Frequencies spread over half - 1 gaps, not over half.

The first diffusion code divides by half - 1, and so do its many descendants; diffusers has an option for it:
https://github.com/hojonathanho/diffusion/issues/15.
"""

import torch
from museum.plant import instead_of


@instead_of("uvit:sinusoids")
def sinusoids(timestep, channels):
    half = channels // 2
    f = 10000 ** (-torch.arange(half) / max(half - 1, 1))
    angles = timestep.float()[:, None] * f
    return torch.cat([angles.cos(), angles.sin()], dim=-1)
