"""11. The same velocity with the cache, with the cache again, and without it.

Law      velocity(z, t, prompt, cache) is the same at the first call, at the second call, and with cache = None.
Hint     model.prefill(prompt) makes the cache. torch.stack turns (v_cond, v_uncond) into one tensor to compare.
Catches  prompt_fed_beside_its_cache, cache_that_keeps_the_step, cache_cropped_too_little, cache_cropped_too_much
"""

import torch
from exercises.start import not_attempted

from janus_minimal import PromptPair


def test_the_cache_changes_nothing_however_often_it_is_asked(model):
    prompt, z = PromptPair.from_ids([torch.tensor([1, 5, 6, 7, 8])]), torch.randn(1, 4, 12, 12)
    not_attempted()  # replace this line by the law
