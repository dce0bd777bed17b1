"""4. The denoised prediction on a straight path.

At each step, `step.denoised` predicts the final latent. On a path that is straight it is exact at every time:

    v = (z_1 - z) / (1 - t)  =>  denoised = z_1

The file makes a latent z at t = 0.3, the end z_1, and the two velocities that the network might give. Compute the v of
the straight path, make a `Step` with it, and state where its prediction must be. The arguments of Step are, in this
order: index, t, t_next, z, v_cond, v_uncond, v, z_next.
"""

import torch
from exercises.start import not_attempted

from janus_minimal import Step


def test_a_straight_path_ends_where_it_points():
    z, z_1, v_cond, v_uncond = torch.randn(4, 1, 4, 2, 2)
    t, t_next = torch.tensor(0.3), torch.tensor(0.4)
    not_attempted()  # replace this line by the law
