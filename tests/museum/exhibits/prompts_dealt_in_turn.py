"""Two images each of prompts a and b, as a b a b where a a b b is meant.

`repeat` for `repeat_interleave`: with one prompt, or one image of each, there is no difference, and with more of both
everybody gets somebody else's picture.
"""

import torch
from museum.plant import instead_of


@instead_of("prompt:PromptPair.repeat_per_image")
def repeat_per_image(self, x):
    return torch.cat([half.repeat(self.images_per_prompt, *[1] * (x.ndim - 1)) for half in x.chunk(2)])
