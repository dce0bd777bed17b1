"""15. Find the bug: a loop that nobody compared with another one."""

import torch
from exercises.broken.own_loop import draw

from janus_minimal import PromptPair, denoise, time_grid


def test_both_loops_draw_the_same(model):
    prompt, z = PromptPair.from_ids([torch.tensor([1, 5, 6, 7, 9])]), torch.randn(1, 4, 12, 12)
    *_, last = denoise(model, prompt, z, time_grid(7), 2.0)
    torch.testing.assert_close(draw(model, prompt, z, 7, 2.0), last.z_next, rtol=1e-4, atol=1e-4)
