"""10. Each image has its own noise.

Catches  same_noise_for_all
"""

import torch

from janus_minimal.pipeline import image_noise


def test_each_image_has_noise_of_its_own():
    few, many = (image_noise((4, 2, 2), n, torch.Generator().manual_seed(0)) for n in (2, 3))
    assert torch.equal(few, many[:2])
    assert not torch.equal(few[0], few[1])
