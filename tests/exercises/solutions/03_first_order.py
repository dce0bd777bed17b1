"""3. Euler's method: S evaluations, and an error of first order."""

from itertools import pairwise

import torch

from janus_minimal import euler_step, time_grid


def follow(field, z, steps):
    times = []
    for t, t_next in pairwise(time_grid(steps)):
        times.append(t)
        z = euler_step(z, field(z, t), t, t_next)
    return z, torch.stack(times)


def test_euler_is_of_first_order():
    z, times = follow(lambda z, t: -z, torch.tensor(1.0), 50)
    torch.testing.assert_close(times, torch.arange(50) / 50)
    twice, _ = follow(lambda z, t: -z, torch.tensor(1.0), 100)
    end = torch.tensor(-1.0).exp()
    torch.testing.assert_close((z - end) / (twice - end), torch.tensor(2.0), rtol=0.05, atol=0)
