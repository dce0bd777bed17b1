"""The images of several prompts are in the wrong order.

Two images each of the prompts a and b should stand as a a b b. With `repeat` in place of `repeat_interleave`, they
stand as a b a b. With one prompt, as in the pictures here, or with one image of each, both are the same, so small tests
pass. With more of both, users get pictures of another prompt.
"""

import torch
from museum.plant import instead_of


@instead_of("prompt:PromptPair.repeat_per_image")
def repeat_per_image(self, x):
    return torch.cat([half.repeat(self.images_per_prompt, *[1] * (x.ndim - 1)) for half in x.chunk(2)])
