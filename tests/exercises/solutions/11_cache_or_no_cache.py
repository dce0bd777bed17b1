"""11. The same velocity with the cache, with the cache again, and without it.

Catches  prompt_fed_beside_its_cache, cache_that_keeps_the_step, cache_cropped_too_little, cache_cropped_too_much
"""

import torch

from janus_minimal import PromptPair


def test_the_cache_changes_nothing_however_often_it_is_asked(model):
    prompt, z = PromptPair.from_ids([torch.tensor([1, 5, 6, 7, 8])]), torch.randn(1, 4, 12, 12)
    cache = model.prefill(prompt)
    with torch.no_grad():
        first, second, plain = (torch.stack(model.velocity(z, 0.3, prompt, c)) for c in (cache, cache, None))
    torch.testing.assert_close(first, plain, rtol=0, atol=1e-5)
    torch.testing.assert_close(second, plain, rtol=0, atol=1e-5)
