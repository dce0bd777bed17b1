"""13. Each image has its own noise."""

import torch

from janus_minimal.pipeline import image_noise


def test_each_image_has_noise_of_its_own():
    few, many = (image_noise((4, 3, 3), number, torch.Generator().manual_seed(0)) for number in (2, 3))
    assert torch.equal(few, many[:2])
    assert not torch.equal(few[0], few[1])
