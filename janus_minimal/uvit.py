"""The shallow U-ViT around the language model: a latent becomes image tokens, hidden states become a velocity.

Parameter names are those of the official checkpoint. (JanusFlow, arXiv 2411.07975, section 3.2; ConvNeXt V2,
arXiv 2301.00808; U-ViT, arXiv 2209.12152; official janus/janusflow/models/uvit.py.)

    b  batch rows              c  latent channels (4)        H W  latent height and width (48 48)
    C  UViT channels (768)     D  width of t_emb (2048)      h w  after the 2 x 2 patch (24 24)
    K  channels of one block: C in the encoder, 2C in the decoder
"""

from math import log

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from janus_minimal.config import DecoderConfig, EncoderConfig, UViTConfig


def sinusoids(timestep: Float[Tensor, "b"], channels: int) -> Float[Tensor, "b channels"]:
    """[cos(s f), sin(s f)] of s = 1000 t, with frequencies f_i = 10000^(-i / half) from 1 down. Cosine first."""
    half = channels // 2
    f = torch.exp(-log(10000) * torch.arange(half, dtype=torch.float32, device=timestep.device) / half)
    angles = timestep.float()[:, None] * f
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


class TimeEmbedding(nn.Module):
    """t_emb = linear_2(silu(linear_1(sinusoids))), C -> D -> D."""

    def __init__(self, channels: int, hidden: int):
        super().__init__()
        self.channels = channels
        self.linear_1 = nn.Linear(channels, hidden)
        self.linear_2 = nn.Linear(hidden, hidden)

    def forward(self, timestep: Float[Tensor, "b"]) -> Float[Tensor, "b D"]:
        """Embed 1000 t. The sinusoids are computed in float32 and only then rounded to the weights' dtype."""
        e = sinusoids(timestep, self.channels).to(self.linear_1.weight.dtype)
        return self.linear_2(F.silu(self.linear_1(e)))


class GlobalResponseNorm(nn.Module):
    """Channels compete: each is scaled by its L2 norm over the picture, relative to the mean norm of all channels.

    Starts as the identity (weight and bias are zero). ConvNeXt V2, section 3.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, 1, 1, channels))
        self.bias = nn.Parameter(torch.zeros(1, 1, 1, channels))

    def forward(self, x: Float[Tensor, "b h w K"]) -> Float[Tensor, "b h w K"]:
        """out = bias + (weight n + 1) x, channels last."""
        g = torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True)  # b 1 1 K
        n = g / (g.mean(dim=-1, keepdim=True) + 1e-6)
        return self.bias + (self.weight * n + 1) * x


class ConvNextBlock(nn.Module):
    """Mix over places (7 x 7, each channel alone), mix over channels (an MLP), then let the time scale and shift."""

    def __init__(self, channels: int, hidden: int, eps: float, dropout: float):
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, kernel_size=7, padding=3, groups=channels)
        self.norm = nn.RMSNorm(channels, eps=eps)
        self.channelwise_linear_1 = nn.Linear(channels, 4 * channels)
        self.channelwise_norm = GlobalResponseNorm(4 * channels)
        self.channelwise_linear_2 = nn.Linear(4 * channels, channels)
        self.dropout = nn.Dropout(dropout)
        self.cond_embeds_mapper = nn.Linear(hidden, 2 * channels)

    def forward(self, x: Float[Tensor, "b K h w"], t_emb: Float[Tensor, "b D"]) -> Float[Tensor, "b K h w"]:
        """x -> (x + mlp(norm(depthwise(x)))) (1 + scale) + shift: the time acts after the residual sum."""
        y = rearrange(self.depthwise(x), "b K h w -> b h w K")
        y = self.channelwise_linear_1(self.norm(y))  # b h w 4K
        y = self.channelwise_norm(F.gelu(y))
        y = self.channelwise_linear_2(y)  # b h w K
        x = x + rearrange(self.dropout(y), "b h w K -> b K h w")
        film = rearrange(self.cond_embeds_mapper(F.silu(t_emb)), "b K2 -> b K2 1 1")
        scale, shift = film.chunk(2, dim=1)  # b K 1 1
        return x * (1 + scale) + shift


class MidBlock(nn.Module):
    """ConvNeXt blocks in a row; none at all where the config switches the mid block off."""

    def __init__(self, channels: int, config: UViTConfig):
        super().__init__()
        number = config.layers_in_middle if config.use_mid_block else 0
        block = (channels, config.hidden_size, config.norm_eps, config.dropout)
        self.res_blocks = nn.ModuleList(ConvNextBlock(*block) for _ in range(number))

    def forward(self, x: Float[Tensor, "b K h w"], t_emb: Float[Tensor, "b D"]) -> Float[Tensor, "b K h w"]:
        """All blocks, each told the same time."""
        for block in self.res_blocks:
            x = block(x, t_emb)
        return x


class ShallowUViTEncoder(nn.Module):
    """Latent and time -> a map of image tokens, the time's embedding, and the skip that the decoder will want."""

    def __init__(self, config: EncoderConfig):
        super().__init__()
        self.in_conv = nn.Conv2d(
            config.input_channels,
            config.channels,
            config.kernel_size,
            stride=config.stride,
            padding=config.in_conv_padding,
        )
        self.time_embed = TimeEmbedding(config.channels, config.hidden_size)
        self.mid_block = MidBlock(config.channels, config)

    def forward(
        self, z: Float[Tensor, "b c H W"], timestep: Float[Tensor, "b"]
    ) -> tuple[Float[Tensor, "b C h w"], Float[Tensor, "b D"], Float[Tensor, "b C h w"]]:
        """z and 1000 t -> (x_emb, t_emb, skip). The skip is x_emb itself, handed on as a value."""
        t_emb = self.time_embed(timestep)
        x_emb = self.mid_block(self.in_conv(z), t_emb)
        return x_emb, t_emb, x_emb


class Unpatch(nn.Module):
    """Twice the side: a 1 x 1 convolution to four times the channels, which pixel shuffle deals out to 2 x 2 places."""

    def __init__(self, channels: int, out_channels: int, eps: float):
        super().__init__()
        self.norm = nn.RMSNorm(channels, eps=eps)
        self.unpatch_conv = nn.Conv2d(channels, 4 * out_channels, kernel_size=1)

    def forward(self, x: Float[Tensor, "b K h w"]) -> Float[Tensor, "b out 2*h 2*w"]:
        """Normalise over channels, widen, deal out."""
        return F.pixel_shuffle(self.unpatch_conv(over_channels(self.norm, x)), 2)


class ShallowUViTDecoder(nn.Module):
    """What the language model says of each image token, beside the encoder's skip -> a velocity."""

    def __init__(self, config: DecoderConfig):
        super().__init__()
        channels = config.channels
        widths = [channels] * (config.upsamples - 1) + [config.out_channels]
        self.input_norm = nn.RMSNorm(config.in_channels, eps=config.norm_eps)
        self.mid_block = MidBlock(config.in_channels + channels, config)
        inputs = [config.in_channels + channels, *widths[:-1]]
        self.out_convs = nn.ModuleList(Unpatch(k, out, config.norm_eps) for k, out in zip(inputs, widths, strict=True))

    def forward(
        self, x: Float[Tensor, "b C h w"], t_emb: Float[Tensor, "b D"], skip: Float[Tensor, "b C h w"]
    ) -> Float[Tensor, "b c H W"]:
        """The aligned hidden states, the time and the skip -> dz/dt."""
        x = torch.cat([over_channels(self.input_norm, x), skip], dim=1)  # b 2C h w
        x = self.mid_block(x, t_emb)
        for unpatch in self.out_convs:
            x = unpatch(x)  # b c H W after the last
        return x


def over_channels(norm: nn.RMSNorm, x: Float[Tensor, "b K h w"]) -> Float[Tensor, "b K h w"]:
    """Apply a norm of the last axis to the channel axis."""
    return rearrange(norm(rearrange(x, "b K h w -> b h w K")), "b h w K -> b K h w")
