"""Positions are counted from the attention mask.

Text generation numbers padded rows with cumsum(mask) - 1 (https://github.com/unslothai/unsloth/pull/3795), and for
padding this is right. But the masked words of an unconditional row still count: they keep their position indices, as in
training. With this bug, the image tokens move up next to the first token, to positions that the network never saw in
training. No difference can be seen in the pictures.
"""

from museum.plant import Change

CHANGES = [
    Change(
        "prompt:PromptRows.new_positions",
        right="self.positions[:, -1:] + 1 + torch.arange(",
        wrong="self.attention_mask.sum(dim=1, keepdim=True) + torch.arange(",
    ),
]
