"""GRN divides by the sum over the channels, not by their mean.

Global response normalisation (GRN) divides each channel's norm by the mean over all channels. The paper's formula has
the sum, its code has the mean: https://github.com/facebookresearch/ConvNeXt-V2/issues/76. The two differ by a factor,
the number of channels. A network that is trained with the sum adapts to it, but loaded weights do not fit. In the
pictures, an object can disappear.
"""

from museum.plant import Change

CHANGES = [
    Change(
        "uvit:GlobalResponseNorm.forward",
        right="g.mean(dim=-1, keepdim=True)",
        wrong="g.sum(dim=-1, keepdim=True)",
    ),
]
