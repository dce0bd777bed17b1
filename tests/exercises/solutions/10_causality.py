"""10. No token attends to a later one."""

import torch

from janus_minimal import PromptPair


def test_later_tokens_are_not_seen(model):
    rows = PromptPair.from_ids([torch.tensor([1, 5, 6, 7, 8])]).rows[torch.tensor([0])]  # the conditional row alone
    tokens = torch.randn(1, 37, 64)
    changed = torch.cat([tokens[:, :9], torch.randn(1, 28, 64)], dim=1)
    before, after = (model.backbone(x, rows, None)[:, :9] for x in (tokens, changed))
    torch.testing.assert_close(before, after)
