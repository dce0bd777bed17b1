"""2. The mean velocity of two data points."""

import torch

from janus_minimal import interpolate


def test_the_mean_target_is_the_velocity_of_the_flow():
    z_0, z_1 = torch.randn(400_000, 1), torch.randint(2, (400_000, 1)) * 2.0 - 1  # noise, and data: -1 or +1
    t = torch.tensor([0.25, 0.5]).repeat(200_000)
    z_t, target = interpolate(z_0, z_1, t)  # 400000 1 each
    z = torch.tensor(0.5)
    for time in (0.25, 0.5):
        near = (t == time) & ((z_t[:, 0] - z).abs() < 0.05)
        data = torch.tanh(time * z / (1 - time) ** 2)
        torch.testing.assert_close(target[near].mean(), (data - z) / (1 - time), rtol=0, atol=0.1)
