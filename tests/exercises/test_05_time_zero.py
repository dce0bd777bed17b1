"""5. The embedding of time zero.

Law      sinusoids(0) = [1 ... 1, 0 ... 0].
Hint     cos 0 = 1 and sin 0 = 0. Which half of the embedding is which?
Catches  cosine_and_sine_swapped
"""

import torch
from exercises.start import not_attempted

from janus_minimal.uvit import sinusoids


def test_time_zero_is_ones_then_zeros():
    e = sinusoids(torch.zeros(1), 8)[0]
    not_attempted()  # replace this line by the law
