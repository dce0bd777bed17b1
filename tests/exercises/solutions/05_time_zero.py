"""5. The embedding of time zero.

Catches  cosine_and_sine_swapped
"""

import torch

from janus_minimal.uvit import sinusoids


def test_time_zero_is_ones_then_zeros():
    e = sinusoids(torch.zeros(1), 8)[0]
    assert e.tolist() == [1, 1, 1, 1, 0, 0, 0, 0]
