"""The prompt cache: filled once with the prompt's keys and values, then only read.

Attention is causal and the prompt comes first, so its keys and values depend neither on z nor on t: they are the same
in every step. The new tokens see prompt + new, and nothing of them stays behind for the next step to trip over.
"""

from collections.abc import Iterable

import torch
from torch import Tensor
from transformers import DynamicCache


class PromptCache(DynamicCache):
    """Keys and values of the prompt, a pair of [rows, heads, L, head width] for each layer. Read-only once made."""

    def __init__(self, layers: Iterable[tuple[Tensor, Tensor]]):
        super().__init__()
        for index, (keys, values) in enumerate(layers):
            super().update(keys, values, index)  # the only write

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        """What attention asks of a cache: the prompt's keys and values with the new ones after them. Keeps nothing."""
        prompt = self.layers[layer_idx]
        return torch.cat([prompt.keys, key_states], dim=2), torch.cat([prompt.values, value_states], dim=2)
