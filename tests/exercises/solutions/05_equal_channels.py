"""5. Global response normalisation of equal channels."""

import torch

from janus_minimal.uvit import GlobalResponseNorm


def test_equal_channels_are_only_scaled():
    norm, x = GlobalResponseNorm(6), torch.randn(2, 4, 4, 6)
    norm.weight.data, norm.bias.data = torch.randn(2, 1, 1, 1, 6)
    x = x / torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True)
    torch.testing.assert_close(norm(x), norm.bias + (norm.weight + 1) * x)
