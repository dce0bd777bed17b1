"""19. Write the piece: a cache that is only read.

transformers calls `update` in every layer of every step. An ordinary cache appends the new keys and values and returns
the whole. This one returns the prompt's keys and values followed by the new ones, and keeps nothing, because the new
tokens are other ones at the next step.

`self.layers[layer_idx]` has the prompt's `keys` and `values`, each [rows, heads, L, width]. The new ones have the shape
[rows, heads, n, width]. Return the pair (keys, values), each [rows, heads, L + n, width]. Replace the line
`not_attempted()`. The grader puts your function into the package and runs the package's laws.
"""

from types import SimpleNamespace

import torch
from exercises.start import not_attempted


def update(self, key_states, value_states, layer_idx, *args, **kwargs):
    not_attempted()


def test_by_hand():
    prompt, new = torch.zeros(1, 1, 3, 2), torch.ones(1, 1, 2, 2)
    cache = SimpleNamespace(layers=[SimpleNamespace(keys=prompt, values=prompt)])
    for _ in range(2):  # a second time gives the same
        keys, values = update(cache, new, new, 0)
        assert keys[0, 0, :, 0].tolist() == values[0, 0, :, 0].tolist() == [0, 0, 0, 1, 1]
