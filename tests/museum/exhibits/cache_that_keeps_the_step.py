"""The step's own keys stay in the cache.

What every cache of transformers does, even where use_cache=False is passed with one
(https://github.com/huggingface/transformers/issues/37078). The second step then attends to the first step's image;
stored caches grow with each use: https://github.com/MemTensor/MemOS/issues/2301.
"""

from museum.plant import instead_of
from transformers import DynamicCache


@instead_of("cache:PromptCache.update")
def update(self, key_states, value_states, layer_idx, *args, **kwargs):
    return DynamicCache.update(self, key_states, value_states, layer_idx)
