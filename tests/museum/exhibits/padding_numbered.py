"""Positions are counted from the left edge, padding included.

If no position_ids are given, Llama counts every token of a row. A short prompt in a batch then begins at position 7,
say, instead of 0: https://github.com/huggingface/transformers/issues/33095. RoPE depends only on differences of
positions, so no velocity and no picture changes here. Only a law about the positions themselves finds the bug. In a
model with learned position embeddings, the results would be wrong.
"""

import torch
from museum.plant import instead_of

from janus_minimal import PromptPair
from janus_minimal.prompt import PromptRows

right = PromptPair.from_ids.__func__


@instead_of("prompt:PromptPair.from_ids")
def from_ids(cls, ids, images_per_prompt=1, pad_id=0):
    rows = right(cls, ids, 1, pad_id).rows
    positions = torch.arange(rows.ids.shape[1]).expand_as(rows.ids)
    return cls(PromptRows(rows.ids, rows.attention_mask, positions), images_per_prompt)
