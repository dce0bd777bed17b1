"""GRN without its residual connection.

GRN computes bias + (weight n + 1) x. The 1 is a residual connection; ConvNeXt V2 writes it as an addition of x at the
end, and it is easy to forget. Then a new layer, whose weight is zero, outputs only zeros. With trained weights, the
pictures are empty.
"""

from museum.plant import Change

CHANGES = [
    Change(
        "uvit:GlobalResponseNorm.forward",
        right="(self.weight * n + 1) * x",
        wrong="self.weight * n * x",
    ),
]
