"""The time multiplies by scale, not by 1 + scale.

The original FiLM multiplies by gamma. Many later blocks, and this one, multiply by 1 + gamma, so that zero changes
nothing. Both conventions have the same shapes, so the weights load without an error. The pictures show scraps of colour
instead of objects.
"""

from einops import rearrange
from museum.plant import instead_of
from torch.nn import functional as F


@instead_of("uvit:ConvNextBlock.forward")
def forward(self, x, t_emb):
    y = self.norm(rearrange(self.depthwise(x), "b K h w -> b h w K"))
    y = self.channelwise_linear_2(self.channelwise_norm(F.gelu(self.channelwise_linear_1(y))))
    x = x + rearrange(y, "b h w K -> b K h w")
    scale, shift = rearrange(self.cond_embeds_mapper(F.silu(t_emb)), "b K2 -> b K2 1 1").chunk(2, dim=1)
    return x * scale + shift
