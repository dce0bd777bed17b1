"""The response norm divided by the sum over channels, as the paper has it, not by the mean, as its code does.

They differ by a factor of the number of channels, which a fresh network learns around, and a loaded one does not: https://github.com/facebookresearch/ConvNeXt-V2/issues/76.
"""

import torch
from museum.plant import instead_of


@instead_of("uvit:GlobalResponseNorm.forward")
def forward(self, x):
    g = torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True)
    return self.bias + (self.weight * g / (g.sum(dim=-1, keepdim=True) + 1e-6) + 1) * x
