"""GRN without its residual connection.

GRN computes bias + (weight n + 1) x. The 1 is a residual connection; ConvNeXt V2 writes it as an addition of x at the
end, and it is easy to forget. Then a new layer, whose weight is zero, outputs only zeros. With trained weights, the
pictures are empty.
"""

import torch
from museum.plant import instead_of


@instead_of("uvit:GlobalResponseNorm.forward")
def forward(self, x):
    g = torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True)
    return self.bias + self.weight * g / (g.mean(dim=-1, keepdim=True) + 1e-6) * x
