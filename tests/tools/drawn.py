"""Random inputs of the laws: strategies for hypothesis, and numbers that are drawn from a seed."""

import torch
from hypothesis import strategies as st

from janus_minimal import PromptPair

SEEDS = st.integers(0, 2**32 - 1)
WEIGHTS = st.floats(-3, 8)  # guidance weights
TIMES = st.floats(0, 1)
PROMPTS = st.lists(st.lists(st.integers(3, 90), min_size=2, max_size=24), min_size=1, max_size=3)  # token ids


def normal(seed: int, *shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Return standard normal numbers; the same seed gives the same numbers."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def pair(prompts: list[list[int]], images: int = 1, pad_id: int = 0) -> PromptPair:
    """Return the prompt pair of these token ids."""
    return PromptPair.from_ids([torch.tensor(ids) for ids in prompts], images, pad_id)
