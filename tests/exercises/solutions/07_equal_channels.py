"""7. GRN with equal channels.

Catches  response_norm_by_the_sum, response_norm_without_residual
"""

import torch

from janus_minimal.uvit import GlobalResponseNorm


def test_equals_are_scaled_alike():
    norm, x = GlobalResponseNorm(6), torch.randn(2, 4, 4, 1).expand(2, 4, 4, 6)
    norm.weight.data, norm.bias.data = torch.randn(2, 1, 1, 1, 6)
    torch.testing.assert_close(norm(x), norm.bias + (norm.weight + 1) * x)
