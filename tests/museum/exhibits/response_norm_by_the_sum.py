"""GRN divides by the sum over the channels, not by their mean.

Global response normalisation (GRN) divides each channel's norm by the mean over all channels. The paper's formula has
the sum, its code has the mean: https://github.com/facebookresearch/ConvNeXt-V2/issues/76. The two differ by a factor,
the number of channels. A network that is trained with the sum adapts to it, but loaded weights do not fit. In the
pictures, an object can disappear.
"""

import torch
from museum.plant import instead_of


@instead_of("uvit:GlobalResponseNorm.forward")
def forward(self, x):
    g = torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True)
    return self.bias + (self.weight * g / (g.sum(dim=-1, keepdim=True) + 1e-6) + 1) * x
