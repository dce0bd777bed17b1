"""The frequencies are spread over half - 1 gaps, not over half.

The exponent of the frequencies is divided by half in JanusFlow. The first diffusion code divides by half - 1, and many
later codes copied it; diffusers has an option for this: https://github.com/hojonathanho/diffusion/issues/15. All shapes
fit, and the pictures look almost the same. Only a comparison of numbers shows the bug.
"""

import torch
from museum.plant import instead_of


@instead_of("uvit:sinusoids")
def sinusoids(timestep, channels):
    half = channels // 2
    f = 10000 ** (-torch.arange(half) / max(half - 1, 1))
    angles = timestep.float()[:, None] * f
    return torch.cat([angles.cos(), angles.sin()], dim=-1)
