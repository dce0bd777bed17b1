"""17. Write the piece: the sinusoids of a time.

A time is described by waves of many lengths. With half = channels / 2 and the timestep s = 1000 t, row by row:

    [cos(s f_0), ..., cos(s f_{half-1}), sin(s f_0), ..., sin(s f_{half-1})],    f_i = 10000^(-i / half)

timestep has the shape [b], the result [b, channels]. Compute in float32 whatever the dtype of timestep. Replace the
line `not_attempted()`. The grader puts your function into the package and runs the package's laws.
"""

import torch
from exercises.start import not_attempted


def sinusoids(timestep, channels):
    not_attempted()


def test_by_hand():
    waves = sinusoids(torch.tensor([0.0, 1.0]), 4)
    expected = torch.tensor([[1.0, 1.0, 0.0, 0.0], [0.5403, 0.99995, 0.8415, 0.0100]])  # f = 1, 0.01
    torch.testing.assert_close(waves, expected, rtol=0, atol=1e-4)
