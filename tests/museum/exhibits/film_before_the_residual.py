"""The time scales and shifts the residual branch, not the sum.

This block applies scale and shift (FiLM) after the residual sum. Diffusion transformers (DiT) apply them inside the
residual branch, so it is easy to write that from habit. Both forms can be trained, and a checkpoint of one runs in the
other without an error. In the pictures, colours are wrong and edges are deformed.
"""

from einops import rearrange
from museum.plant import instead_of
from torch.nn import functional as F


@instead_of("uvit:ConvNextBlock.forward")
def forward(self, x, t_emb):
    y = self.norm(rearrange(self.depthwise(x), "b K h w -> b h w K"))
    y = self.channelwise_linear_2(self.channelwise_norm(F.gelu(self.channelwise_linear_1(y))))
    scale, shift = rearrange(self.cond_embeds_mapper(F.silu(t_emb)), "b K2 -> b K2 1 1").chunk(2, dim=1)
    return x + rearrange(y, "b h w K -> b K h w") * (1 + scale) + shift
