"""12. The same velocity in a batch and alone.

Several prompts of different lengths can share a batch, each with several images. Every image must get the velocities
that it would get alone:

    velocity(batch)[i] = velocity(image i alone)

Here are two prompts, with two images of each. The images of one prompt stand together: 0 and 1 belong to the first
prompt, 2 and 3 to the second. `PromptPair.from_ids(prompts, images_per_prompt=2)` makes the pair of the whole batch.
"""

import torch
from exercises.start import not_attempted

from janus_minimal import PromptPair


def test_neighbours_make_no_difference(model):
    prompts, z = [torch.arange(3, 12), torch.arange(40, 44)], torch.randn(4, 4, 12, 12)
    not_attempted()  # replace this line by the law
