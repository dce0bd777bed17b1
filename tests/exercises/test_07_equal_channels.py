"""7. GRN with equal channels.

Law      all channels have the same norm  =>  out = bias + (weight + 1) x.
Hint     If all g are equal, n = g / mean(g) is 1 for every channel. Let all channels be copies of one.
Catches  response_norm_by_the_sum, response_norm_without_residual
"""

import torch
from exercises.start import not_attempted

from janus_minimal.uvit import GlobalResponseNorm


def test_equals_are_scaled_alike():
    norm, x = GlobalResponseNorm(6), torch.randn(2, 4, 4, 1).expand(2, 4, 4, 6)
    norm.weight.data, norm.bias.data = torch.randn(2, 1, 1, 1, 6)
    not_attempted()  # replace this line by the law
