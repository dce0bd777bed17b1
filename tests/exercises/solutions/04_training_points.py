"""4. The two ends of training.

Catches  training_time_reversed
"""

import torch

from janus_minimal import interpolate


def test_training_runs_from_noise_to_data():
    z_0, z_1 = torch.randn(2, 2, 5)
    z_t, target = interpolate(z_0, z_1, torch.tensor([0.0, 1.0]))
    assert torch.equal(z_t[0], z_0[0])
    assert torch.equal(z_t[1], z_1[1])
    assert torch.equal(target, z_1 - z_0)
