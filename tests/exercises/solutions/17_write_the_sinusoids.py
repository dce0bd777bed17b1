"""17. Write the piece: the sinusoids of a time."""

import torch


def sinusoids(timestep, channels):
    half = channels // 2
    f = 10000.0 ** (-torch.arange(half, dtype=torch.float32) / half)
    angles = timestep.float()[:, None] * f
    return torch.cat([angles.cos(), angles.sin()], dim=1)
