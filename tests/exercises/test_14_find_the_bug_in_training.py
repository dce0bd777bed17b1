"""14. Find the bug: a training step that ruins guidance.

`exercises/broken/training_step.py` is a training step as somebody might write it, with one wrong line. The loss falls
as it should. But guidance makes the pictures worse, whatever the weight. Read the file, and write the law that the
wrong line breaks. Your law must fail on the file as it is, and pass once the line is repaired. (You need not repair
it. The grader does.)

The file brings a network that answers 0 and keeps the rows of prompts that it was given in `network.rows`. Each of the
three prompts has a conditional row (number i of `pair.rows`) and an unconditional one (number 3 + i). State which rows
the network must be given; compare their `ids`.
"""

import torch
from exercises.broken.training_step import training_loss
from exercises.start import not_attempted

from janus_minimal import PromptPair


class Network:
    def __call__(self, z_t, t, rows):
        self.rows = rows
        return torch.zeros_like(z_t)


def test_training_shows_each_example_the_right_row():
    network, pair = Network(), PromptPair.from_ids([torch.tensor([1, 5, 6, 7, 9]) + i for i in range(3)])
    z_0, z_1, t = torch.randn(3, 4, 2, 2), torch.randn(3, 4, 2, 2), torch.rand(3)
    dropped = torch.tensor([False, True, False])
    training_loss(network, pair, z_0, z_1, t, dropped)
    not_attempted()  # write the law that the wrong line breaks
