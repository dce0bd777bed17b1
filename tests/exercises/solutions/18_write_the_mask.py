"""18. Write the piece: the mask and the positions of the new tokens."""

import torch


def mask(self, new):
    rows = len(self.attention_mask)
    return torch.cat([self.attention_mask, torch.ones(rows, new, dtype=torch.bool)], dim=1)


def new_positions(self, new):
    return self.positions[:, -1:] + torch.arange(1, new + 1)
