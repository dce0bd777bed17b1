"""The unconditional row keeps the prompt.

If padding and mask are forgotten in the unconditional row, v_cond = v_uncond. Guidance then does nothing at any weight,
and no error is raised. Every picture is drawn without guidance and is only a little dull, so the bug is hard to see:
https://github.com/QiaoyuHu89/DiffGui/issues/5 reports it of a published model.
"""

import torch
from museum.plant import instead_of

from janus_minimal import PromptPair
from janus_minimal.prompt import PromptRows

right = PromptPair.from_ids.__func__


@instead_of("prompt:PromptPair.from_ids")
def from_ids(cls, ids, images_per_prompt=1, pad_id=0):
    rows = right(cls, ids, 1, pad_id).rows
    cond = torch.arange(len(ids)).repeat(2)
    return cls(PromptRows(rows.ids[cond], rows.attention_mask[cond], rows.positions), images_per_prompt)
