"""The time token of every step stays in the cache.

An ordinary KV cache must be cropped after each step, back to the L prompt tokens. It is easy to count the time token as
part of the prompt and to crop to one token more. Then each step leaves its time token behind, and the next step attends
to this outdated time. In the pictures, an object can disappear.
"""

from museum.plant import instead_of
from transformers import DynamicCache


@instead_of("cache:PromptCache.update")
def update(self, key_states, value_states, layer_idx, *args, **kwargs):
    layer, length = self.layers[layer_idx], self.layers[layer_idx].keys.shape[2]
    keys, values = DynamicCache.update(self, key_states, value_states, layer_idx)
    layer.keys, layer.values = keys[:, :, : length + 1], values[:, :, : length + 1]
    return keys, values
