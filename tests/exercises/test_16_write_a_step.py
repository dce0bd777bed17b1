"""16. Write the piece: guidance and the Euler step.

These two functions stand at the end of every step of the loop: combine the two velocities, then follow the result.

    v = w v_cond - (w - 1) v_uncond
    z(t_next) = z + (t_next - t) v

Replace both lines `not_attempted()`. The test below is an example by hand. The grader puts your functions into the
package in place of its own, and runs the package's laws.
"""

import torch
from exercises.start import not_attempted


def guide(v_cond, v_uncond, weight):
    not_attempted()


def euler_step(z, v, t, t_next):
    not_attempted()


def test_by_hand():
    assert guide(torch.tensor([3.0]), torch.tensor([1.0]), 2.0).tolist() == [5.0]
    assert euler_step(torch.tensor(1.0), torch.tensor(2.0), torch.tensor(0.25), torch.tensor(0.75)).item() == 2.0
