"""10. No token attends to a later one.

The language model is causal, also among image tokens. This is the reason why the prompt's keys and values may be kept:
nothing that comes after the prompt can change them. For the hidden states of the new tokens it says:

    tokens and changed are equal before token j  =>  their hidden states are equal before token j

The file replaces all tokens from the tenth on. `model.backbone(tokens, rows, None)` gives hidden states [1, 37, 64].
"""

import torch
from exercises.start import not_attempted

from janus_minimal import PromptPair


def test_later_tokens_are_not_seen(model):
    rows = PromptPair.from_ids([torch.tensor([1, 5, 6, 7, 8])]).rows[torch.tensor([0])]  # the conditional row alone
    tokens = torch.randn(1, 37, 64)
    changed = torch.cat([tokens[:, :9], torch.randn(1, 28, 64)], dim=1)
    not_attempted()  # replace this line by the law
