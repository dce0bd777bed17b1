"""14. Find the bug: a training step that ruins guidance."""

import torch
from exercises.broken.training_step import training_loss

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
    expected = pair.rows[torch.tensor([0, 3 + 1, 2])]
    assert torch.equal(network.rows.ids, expected.ids)
