"""The time scales and shifts the residual branch, not the sum.

This block applies scale and shift (FiLM) after the residual sum. Diffusion transformers (DiT) apply them inside the
residual branch, so it is easy to write that from habit. Both forms can be trained, and a checkpoint of one runs in the
other without an error. In the pictures, colours are wrong and edges are deformed.
"""

from museum.plant import Change

CHANGES = [
    Change(
        "uvit:ConvNextBlock.forward",
        right='x = x + rearrange(self.dropout(y), "b h w K -> b K h w")',
        wrong='y = rearrange(self.dropout(y), "b h w K -> b K h w")',
    ),
    Change(
        "uvit:ConvNextBlock.forward",
        right="return x * (1 + scale) + shift",
        wrong="return x + y * (1 + scale) + shift",
    ),
]
