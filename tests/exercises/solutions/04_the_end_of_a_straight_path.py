"""4. The denoised prediction on a straight path."""

import torch

from janus_minimal import Step


def test_a_straight_path_ends_where_it_points():
    z, z_1, v_cond, v_uncond = torch.randn(4, 1, 4, 2, 2)
    t, t_next = torch.tensor(0.3), torch.tensor(0.4)
    v = (z_1 - z) / (1 - t)
    step = Step(0, t, t_next, z, v_cond, v_uncond, v, z + (t_next - t) * v)
    torch.testing.assert_close(step.denoised, z_1)
