"""The unconditional rows come first, where the conditional ones are expected.

diffusers puts the unconditional half of the batch first, the official JanusFlow code the conditional half. If the
halves are swapped, guidance pushes away from the prompt: https://github.com/bghira/SimpleTuner/pull/179. The pictures
show other shapes and colours than the caption says.
"""

import torch
from museum.plant import instead_of

from janus_minimal import PromptPair

right = PromptPair.from_ids.__func__


@instead_of("prompt:PromptPair.from_ids")
def from_ids(cls, ids, images_per_prompt=1, pad_id=0):
    rows = right(cls, ids, 1, pad_id).rows
    return cls(rows[torch.arange(2 * len(ids)).roll(len(ids))], images_per_prompt)
