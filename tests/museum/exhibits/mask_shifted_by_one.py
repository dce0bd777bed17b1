"""The mask is shifted by one.

What is built for L tokens is joined to what is built for L + 1: the first token of an unconditional row is hidden, and
its neighbour, which is padding, is seen.
"""

from museum.plant import instead_of

from janus_minimal.prompt import PromptRows

right = PromptRows.mask


@instead_of("prompt:PromptRows.mask")
def mask(self, new):
    return right(self, new).roll(1, dims=1)
