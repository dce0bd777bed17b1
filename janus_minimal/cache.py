"""The prompt cache: keys and values of the prompt, computed once and only read afterwards.

The problem. Each of the S steps runs the language model on [prompt ; time token ; image tokens].
The prompt is the same in every step, so most of the work on it is repeated S times. (In text
generation the same thought leads to the usual KV cache.)

Why the prompt's keys and values may be kept: attention is causal, and the prompt comes first. A
prompt token attends only to earlier prompt tokens. Nothing of the latent z or of the time t reaches
it, in any layer. So its keys and values are equal in all steps.

Why those of the other tokens may NOT be kept: time token and image tokens depend on t and z, which
change at every step. This is the difference from text generation, where past tokens never change.
A cache that also keeps a step's own keys makes the next step attend to outdated image tokens.

transformers' caches always append. Published JanusFlow loops fight this by cropping the cache after
each step, and most of them get it wrong: one crops an empty list, another feeds the prompt again
beside its cache. The class below cannot be wrong in this way: `update` returns prefix + new and
stores nothing. There is no state between steps.

What it costs: for each layer, keys and values of shape [rows, heads, L, head width]. The released
model has 24 layers and 16 heads of width 128. With L = 20 and 4-byte numbers that is
2 x 24 x 16 x 20 x 128 x 4 = 7.9 MB for each row. What it saves: the language model runs on 1 + N
tokens instead of L + 1 + N, a factor of 1.03 at L = 20 and of 1.35 at L = 200 (N = 576).

Sources: official demo/app_janusflow.py, whose cache is never filled; transformers' cache_utils.
"""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import DynamicCache

from janus_minimal.errors import InputError
from janus_minimal.prompt import PromptPair

KeysValues = tuple[Float[Tensor, "rows heads L width"], Float[Tensor, "rows heads L width"]]


class PromptCache(DynamicCache):
    """The keys and values of the prompt, one pair for each layer. Written once, at construction.

    It is a DynamicCache only so that transformers' LlamaModel accepts it. `JanusFlow.prefill` makes
    one; `JanusFlow.velocity` and the loop read it.

    >>> keys, new = torch.zeros(1, 1, 3, 2), torch.ones(1, 1, 2, 2)  # 3 prompt tokens, 2 new tokens
    >>> cache = PromptCache([(keys, keys)])
    >>> cache.update(new, new, 0)[0].shape  # attention sees 3 + 2 tokens
    torch.Size([1, 1, 5, 2])
    >>> cache.get_seq_length()  # and the cache still holds 3
    3
    """

    def __init__(self, layers: Iterable[KeysValues], prompt: PromptPair | None = None):
        super().__init__()
        self.prompt = prompt  # None where only a part of its rows was cached: nothing to compare
        for index, (keys, values) in enumerate(layers):
            super().update(keys, values, index)  # the only write

    def update(
        self,
        key_states: Tensor,
        value_states: Tensor,
        layer_idx: int,
        *args: object,
        **kwargs: object,
    ) -> tuple[Tensor, Tensor]:
        """Return the prompt's keys and values followed by the new ones. Store nothing.

        transformers calls this in each layer's attention; its other caches append here, even when
        the model is called with use_cache=False.
        """
        prompt = self.layers[layer_idx]
        keys = torch.cat([prompt.keys, key_states], dim=2)  # rows heads L+n width
        values = torch.cat([prompt.values, value_states], dim=2)
        return keys, values

    def check_prompt(self, prompt: PromptPair) -> None:
        """Raise InputError if the cache was filled with another prompt than this one.

        If both have the same length, nothing else would notice: the picture would follow the cached
        prompt. The same object is not compared again, because a GPU would have to be waited for.
        """
        if self.prompt is not None and self.prompt is not prompt and not self.prompt.equals(prompt):
            raise InputError("the cache holds another prompt: expected prefill(prompt) of this one")
