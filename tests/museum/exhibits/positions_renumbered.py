"""Positions are counted from the mask.

cumsum(mask) - 1 is how text generation numbers padded rows (https://github.com/unslothai/unsloth/pull/3795), and is
right for padding. The hidden words of an unconditional row are not padding: its image tokens would move up next to
the first token, where the trained network never saw them.
"""

import torch
from museum.plant import instead_of


@instead_of("prompt:PromptRows.new_positions")
def new_positions(self, new):
    return self.attention_mask.sum(dim=1, keepdim=True) + torch.arange(new)
