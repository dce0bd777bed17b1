"""5. Global response normalisation of equal channels.

GRN compares channels. If all of them have the same norm, there is nothing to compare, and each is only scaled by its
own learned weight:

    all channels have the same norm  =>  out = bias + (weight + 1) x

The file makes six channels that are copies of one, and a GRN layer with random weight and bias (both [1, 1, 1, 6]).
"""

import torch
from exercises.start import not_attempted

from janus_minimal.uvit import GlobalResponseNorm


def test_equal_channels_are_only_scaled():
    norm, x = GlobalResponseNorm(6), torch.randn(2, 4, 4, 1).expand(2, 4, 4, 6)
    norm.weight.data, norm.bias.data = torch.randn(2, 1, 1, 1, 6)
    not_attempted()  # replace this line by the law
