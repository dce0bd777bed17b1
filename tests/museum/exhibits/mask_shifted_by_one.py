"""The attention mask is shifted by one token.

This happens if a mask for L tokens is joined to tokens that were counted as L + 1. In an unconditional row, a padding
token can then be attended to, and the time token is masked. A row without masked tokens does not change, so a test with
one conditional row finds nothing. No difference can be seen in the pictures.
"""

from museum.plant import instead_of

from janus_minimal.prompt import PromptRows

right = PromptRows.mask


@instead_of("prompt:PromptRows.mask")
def mask(self, new):
    return right(self, new).roll(1, dims=1)
