"""The prompt's last token stays, and the time token follows it.

In training the time took the place of <begin_of_image>; at use it is easily appended instead, and every position
after it is one too high.
"""

import torch
from museum.plant import instead_of

from janus_minimal import PromptPair

right = PromptPair.from_ids.__func__


@instead_of("prompt:PromptPair.from_ids")
def from_ids(cls, ids, images_per_prompt=1, pad_id=0):
    return right(cls, [torch.cat([row, row[-1:]]) for row in ids], images_per_prompt, pad_id)
