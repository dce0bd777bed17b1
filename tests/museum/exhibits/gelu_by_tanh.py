"""GELU is computed by its tanh approximation.

The approximation differs from the exact GELU by at most 0.0005, and some libraries have only one of the two. A port
then runs weights that were trained with the other: https://github.com/huggingface/candle/pull/900. The error passes
through the whole network, but it cannot be seen in the pictures.
"""

from museum.plant import Change

CHANGES = [
    Change(
        "uvit:ConvNextBlock.forward",
        right="F.gelu(y)",
        wrong='F.gelu(y, approximate="tanh")',
    ),
]
