"""9. RoPE: only differences of positions count."""

import torch

from janus_minimal.prompt import PromptRows


def test_only_differences_of_positions_count(model):
    ids, tokens = torch.tensor([[1, 5, 6, 7, 8]]), torch.randn(1, 10, 64)
    positions = torch.arange(5)[None]  # 0 1 2 3 4

    def hidden(positions):
        return model.backbone(tokens, PromptRows(ids, torch.ones(1, 5, dtype=torch.bool), positions), None)

    torch.testing.assert_close(hidden(positions + 7), hidden(positions), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(hidden(2 * positions), hidden(positions), rtol=1e-3, atol=1e-3)
