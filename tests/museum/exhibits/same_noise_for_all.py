"""All images start from the same noise.

This happens if one generator is seeded again for each image, or if one noise is expanded over the batch. Sampling uses
no other random numbers. So you ask for four pictures and get one picture four times. (To draw one picture again, you
must know its seed: https://github.com/huggingface/diffusers/issues/6233.)
"""

import torch
from museum.plant import instead_of


@instead_of("pipeline:image_noise")
def image_noise(shape, images, generator=None):
    first = generator[0] if isinstance(generator, list) else generator
    return torch.randn(1, *shape, generator=first).repeat(images, *[1] * len(shape))
