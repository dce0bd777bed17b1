"""All images start from the same noise.

This happens if one generator is seeded again for each image, or if one noise is expanded over the batch. Sampling uses
no other random numbers. So you ask for four pictures and get one picture four times. (To draw one picture again, you
must know its seed: https://github.com/huggingface/diffusers/issues/6233.)
"""

from museum.plant import Change

CHANGES = [
    Change(
        "pipeline:image_noise",
        right="[randn_tensor(shape, own, own.device, torch.float32).cpu() for own in generators]",
        wrong="[randn_tensor(shape, generators[0], generators[0].device, torch.float32).cpu()] * num_images",
    ),
]
