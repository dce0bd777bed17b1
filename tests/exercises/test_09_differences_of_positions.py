"""9. RoPE: only differences of positions count.

RoPE rotates each query and key by an angle that is proportional to its position. Attention compares a query with a key,
so only the difference of both positions is left:

    hidden(positions + 7) = hidden(positions)
    hidden(2 positions)  != hidden(positions)

`hidden(positions)` runs the language model on a prompt of five tokens with these position indices [1, 5], and on ten
new tokens after it. It returns their hidden states. The first law holds up to rounding. For the second,
use torch.allclose with rtol=1e-3, atol=1e-3.
"""

import torch
from exercises.start import not_attempted

from janus_minimal.prompt import PromptRows


def test_only_differences_of_positions_count(model):
    ids, tokens = torch.tensor([[1, 5, 6, 7, 8]]), torch.randn(1, 10, 64)
    positions = torch.arange(5)[None]  # 0 1 2 3 4

    def hidden(positions):
        return model.backbone(tokens, PromptRows(ids, torch.ones(1, 5, dtype=torch.bool), positions), None)

    not_attempted()  # replace this line by the law
