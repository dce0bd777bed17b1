"""One token of every step stays in the cache: the time token.

After each step the cache is cropped to the L + 1 tokens that stood before the image, as if the time belonged to the
prompt. The next step then sees two times.
"""

from museum.plant import instead_of
from transformers import DynamicCache


@instead_of("cache:PromptCache.update")
def update(self, key_states, value_states, layer_idx, *args, **kwargs):
    layer, length = self.layers[layer_idx], self.layers[layer_idx].keys.shape[2]
    keys, values = DynamicCache.update(self, key_states, value_states, layer_idx)
    layer.keys, layer.values = keys[:, :, : length + 1], values[:, :, : length + 1]
    return keys, values
