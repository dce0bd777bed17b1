"""6. Twice the channels: the same frequencies, and new ones between them.

Catches  frequencies_one_too_few
"""

import torch

from janus_minimal.uvit import sinusoids


def test_more_channels_fill_the_gaps():
    s = torch.tensor([123.0])
    fine, coarse = sinusoids(s, 32)[:, :16], sinusoids(s, 16)[:, :8]
    torch.testing.assert_close(fine[:, ::2], coarse)
