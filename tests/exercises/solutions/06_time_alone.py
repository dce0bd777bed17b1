"""6. What the time does to a block whose MLP outputs zero."""

import torch
from torch import nn
from torch.nn import functional as F

from janus_minimal.uvit import ConvNextBlock


def test_the_time_scales_and_shifts_what_comes_in():
    block, x, t_emb = ConvNextBlock(4, 8, 1e-6, 0.0), torch.randn(2, 4, 5, 5), torch.randn(2, 8)
    nn.init.zeros_(block.channelwise_linear_2.weight)
    nn.init.zeros_(block.channelwise_linear_2.bias)
    scale, shift = block.cond_embeds_mapper(F.silu(t_emb))[:, :, None, None].chunk(2, dim=1)
    torch.testing.assert_close(block(x, t_emb), x * (1 + scale) + shift)
