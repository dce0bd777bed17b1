"""The time multiplies by scale, not by 1 + scale.

The original FiLM multiplies by gamma. Many later blocks, and this one, multiply by 1 + gamma, so that zero changes
nothing. Both conventions have the same shapes, so the weights load without an error. The pictures show scraps of colour
instead of objects.
"""

from museum.plant import Change

CHANGES = [
    Change(
        "uvit:ConvNextBlock.forward",
        right="return x * (1 + scale) + shift",
        wrong="return x * scale + shift",
    ),
]
