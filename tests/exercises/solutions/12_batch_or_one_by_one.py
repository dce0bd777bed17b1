"""12. The same velocity in a batch and alone."""

import torch

from janus_minimal import PromptPair


def test_neighbours_make_no_difference(model):
    prompts, z = [torch.arange(3, 12), torch.arange(40, 44)], torch.randn(4, 4, 12, 12)
    together = torch.stack(model.velocity(z, 0.5, PromptPair.from_ids(prompts, images_per_prompt=2)))
    for i in range(4):
        alone = torch.stack(model.velocity(z[i : i + 1], 0.5, PromptPair.from_ids([prompts[i // 2]])))
        torch.testing.assert_close(together[:, i : i + 1], alone, rtol=1e-4, atol=1e-5)
