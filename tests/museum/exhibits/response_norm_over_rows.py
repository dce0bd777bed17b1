"""GRN computes the norm over one axis of the picture, not over both.

The norm of a channel must run over height and width. If one axis is forgotten in `dim`, the result still broadcasts,
and no error is raised. The dense and the sparse version of the original code differ in this way:
https://github.com/facebookresearch/ConvNeXt-V2/issues/86. In the pictures, only the edges change a little.
"""

from museum.plant import Change

CHANGES = [
    Change(
        "uvit:GlobalResponseNorm.forward",
        right="dim=(1, 2)",
        wrong="dim=1",
    ),
]
