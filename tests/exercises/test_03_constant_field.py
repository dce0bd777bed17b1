"""3. Euler steps through a constant field.

Law      dz/dt = c  =>  z(1) = z(0) + c, for any number of steps.
Hint     Loop over itertools.pairwise(time_grid(30)) with v = c. torch.testing.assert_close allows for rounding.
Catches  euler_backwards, half_precision_clock
"""

from itertools import pairwise

import torch
from exercises.start import not_attempted

from janus_minimal import euler_step, time_grid


def test_a_constant_field_moves_by_itself():
    z, c = torch.randn(2, 5)
    not_attempted()  # replace this line by the law
