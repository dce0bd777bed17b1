"""15. Find the bug: a loop that nobody compared with another one.

`exercises/broken/own_loop.py` is a sampling loop as somebody might write it, with one wrong line. Its pictures look
good. Read the file, and write the law that the wrong line breaks. Your law must fail on the file as it is, and pass
once the line is repaired.

A second implementation is the best law there is: `denoise(model, prompt, z, times, cfg_weight)` yields one Step after
the other, and the last one's `z_next` is the final latent. Choose the number of steps with care. With some numbers, the
bug changes nothing. Two loops that are right agree up to rounding, about 1e-4 here.
"""

import torch
from exercises.broken.own_loop import draw
from exercises.start import not_attempted

from janus_minimal import PromptPair, denoise, time_grid


def test_both_loops_draw_the_same(model):
    prompt, z = PromptPair.from_ids([torch.tensor([1, 5, 6, 7, 9])]), torch.randn(1, 4, 12, 12)
    not_attempted()  # write the law that the wrong line breaks
