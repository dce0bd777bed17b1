"""6. What the time does to a block whose MLP outputs zero.

A ConvNeXt block adds its branch to x, and then scales and shifts the sum by the time. The file sets the branch's last
layer to zero, so only the time is left:

    block(x, t_emb) = x (1 + scale) + shift,    [scale, shift] = cond_embeds_mapper(silu(t_emb))

The layer `block.cond_embeds_mapper` gives [2, 8] numbers here: for each of two pictures four scales, then four shifts.
They must be given two axes more to be multiplied with x [2, 4, 5, 5].
"""

import torch
from exercises.start import not_attempted
from torch import nn
from torch.nn import functional as F

from janus_minimal.uvit import ConvNextBlock


def test_the_time_scales_and_shifts_what_comes_in():
    block, x, t_emb = ConvNextBlock(4, 8, 1e-6, 0.0), torch.randn(2, 4, 5, 5), torch.randn(2, 8)
    nn.init.zeros_(block.channelwise_linear_2.weight)
    nn.init.zeros_(block.channelwise_linear_2.bias)
    not_attempted()  # replace this line by the law
