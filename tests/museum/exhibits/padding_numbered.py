"""Positions are counted from the left edge, padding included.

Without position_ids Llama numbers whatever stands there, so a short prompt in a batch begins at position 7, say:
https://github.com/huggingface/transformers/issues/33095. Rotary attention sees only differences of positions, so here
no velocity changes, and only a law about the positions themselves can tell; learned positions would show it.
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
