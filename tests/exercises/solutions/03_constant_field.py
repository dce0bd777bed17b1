"""3. Euler steps through a constant field.

Catches  euler_backwards, half_precision_clock
"""

from itertools import pairwise

import torch

from janus_minimal import euler_step, time_grid


def test_a_constant_field_moves_by_itself():
    z, c = torch.randn(2, 5)
    moved = z
    for t, t_next in pairwise(time_grid(30)):
        moved = euler_step(moved, c, t, t_next)
    torch.testing.assert_close(moved, z + c, rtol=1e-4, atol=1e-5)
