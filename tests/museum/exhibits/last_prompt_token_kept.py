"""The prompt's last token is kept, and the time token follows it.

In training, the time token takes the place of <begin_of_image>. It is easy to append the time token instead, because
the tokenised prompt ends with <begin_of_image>. Then every position after the prompt is one too high. The pictures
change so little that nobody notices.
"""

import torch
from museum.plant import instead_of

from janus_minimal import PromptPair

right = PromptPair.from_ids.__func__


@instead_of("prompt:PromptPair.from_ids")
def from_ids(cls, ids, images_per_prompt=1, pad_id=0):
    return right(cls, [torch.cat([row, row[-1:]]) for row in ids], images_per_prompt, pad_id)
