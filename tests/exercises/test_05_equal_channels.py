"""5. Global response normalisation of channels with equal norms.

GRN compares channels: each one's factor depends on its own norm, divided by the mean norm of all channels. The chapter
has the formula. If all channels have the same norm, there is nothing to compare. What is left of the formula then?

The file makes two pictures x [2, 4, 4, 6] with six channels, and a GRN layer with random weight and bias, both
[1, 1, 1, 6]. First scale the channels so that all six have the same norm, over the 4 x 4 positions of each picture.
They still differ in their values. Then state what norm(x) is, in terms of x, norm.weight and norm.bias, up to rounding.

By hand: a channel that is 0.25 everywhere has the norm 1. If its weight is 0.6 and its bias is 0.1, and the norms of
the others are 1 too, it comes out as 0.5 everywhere.
"""

import torch
from exercises.start import not_attempted

from janus_minimal.uvit import GlobalResponseNorm


def test_equal_channels_are_only_scaled():
    norm, x = GlobalResponseNorm(6), torch.randn(2, 4, 4, 6)
    norm.weight.data, norm.bias.data = torch.randn(2, 1, 1, 1, 6)
    not_attempted()  # replace this line: scale x, and write the law
