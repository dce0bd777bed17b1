"""12. The same velocity in a batch and alone.

Law      velocity(batch)[i] = velocity(member i), for prompts of different lengths and two images of each.
Hint     The images of prompt 0 come first, then those of prompt 1. So member i has prompt i // 2.
Catches  prompts_dealt_in_turn, mask_shifted_by_one
"""

import torch
from exercises.start import not_attempted

from janus_minimal import PromptPair


def test_neighbours_make_no_difference(model):
    prompts, z = [torch.arange(3, 12), torch.arange(40, 44)], torch.randn(4, 4, 12, 12)
    not_attempted()  # replace this line by the law
