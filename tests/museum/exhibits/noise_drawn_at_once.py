"""The noise of all images is drawn at once, from one generator.

It is one call instead of a loop. But then an image's noise depends on how many images were asked for, and a picture
cannot be drawn again alone: https://github.com/huggingface/diffusers/issues/6233 asks for that. Code that gives each
image its own generator avoids it. The pictures show the caption, but are others than those of the same seeds.
"""

from museum.plant import Change

CHANGES = [
    Change(
        "pipeline:image_noise",
        right="[randn_tensor(shape, own, own.device, torch.float32).cpu() for own in generators]",
        wrong="randn_tensor((num_images, *shape), generators[-1], dtype=torch.float32).cpu().unbind()",
    ),
]
