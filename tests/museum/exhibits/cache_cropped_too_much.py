"""The cache is cropped by one token too many.

The prompt's last token was dropped before, so its length is easily taken off by one again; crop(0) and crop(-n) have
had surprises of their own: https://github.com/huggingface/transformers/issues/47433.
"""

from museum.plant import instead_of

from janus_minimal.cache import PromptCache

right = PromptCache.__init__


@instead_of("cache:PromptCache.__init__")
def init(self, layers):
    right(self, [(keys[:, :, :-1], values[:, :, :-1]) for keys, values in layers])
