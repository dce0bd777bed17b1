"""GRN computes the norm over one axis of the picture, not over both.

The norm of a channel must run over height and width. If one axis is forgotten in `dim`, the result still broadcasts,
and no error is raised. The dense and the sparse version of the original code differ in this way:
https://github.com/facebookresearch/ConvNeXt-V2/issues/86. In the pictures, only the edges change a little.
"""

import torch
from museum.plant import instead_of


@instead_of("uvit:GlobalResponseNorm.forward")
def forward(self, x):
    g = torch.linalg.vector_norm(x, dim=1, keepdim=True)
    return self.bias + (self.weight * g / (g.mean(dim=-1, keepdim=True) + 1e-6) + 1) * x
