"""11. The same velocity with the cache, with the cache again, and without it."""

import torch

from janus_minimal import PromptPair


def test_the_cache_changes_nothing_however_often_it_is_used(model):
    prompt, z = PromptPair.from_ids([torch.tensor([1, 5, 6, 7, 8])]), torch.randn(1, 4, 12, 12)
    cache = model.prefill(prompt)
    first, second, without = (torch.stack(model.velocity(z, 0.5, prompt, c)) for c in (cache, cache, None))
    torch.testing.assert_close(first, without, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(second, first, rtol=1e-4, atol=1e-5)
