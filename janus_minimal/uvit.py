"""The shallow U-ViT: convolutions before and after the language model.

The problem. A language model reads a sequence of vectors. A latent is a picture of c channels,
noisy to a degree that depends on t. The encoder turns the latent into image tokens for the language
model; the decoder turns the language model's hidden states into a velocity of the latent's shape.

    z [c, H, W] --encoder--> x_emb [C, h, w] --language model--> [C, h, w] --decoder--> v [c, H, W]
                                 \\-------------- skip ---------------------/

Why not one linear layer on either side: the language model sees 2 x 2 patches in raster order.
Convolutions add what it lacks, namely the neighbourhood of each patch in all directions. They are
small (72 M parameters beside 1.3 B), hence "shallow".

Why the skip: fine detail and the exact noise level need not pass through the language model. The
encoder's map goes straight to the decoder, as in a U-Net.

Why the time enters every block: the same network must remove much noise at t = 0.1 and little at
t = 0.9. The embedded time scales and shifts the channels of each block.

    b  rows of the batch       c  latent channels (4)         H W  latent height and width (48 48)
    C  U-ViT channels (768)    D  width of the time embedding and of the language model (2048)
    K  channels of one block: C in the encoder, 2C in the decoder
    h w  after the 2 x 2 patch (24 24)

The attribute names are those of the official checkpoint, so that its weights load without renaming.

Sources: JanusFlow (arXiv 2411.07975), section 3.2; U-ViT (arXiv 2209.12152); ConvNeXt V2
(arXiv 2301.00808); FiLM (arXiv 1709.07871); official janus/janusflow/models/uvit.py.
"""

from math import log

import torch
from einops import einsum, rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from janus_minimal.config import DecoderConfig, EncoderConfig, UViTConfig


def sinusoids(timestep: Float[Tensor, "b"], channels: int) -> Float[Tensor, "b channels"]:
    """Describe a time by waves of many lengths: [cos(s f_0), ..., sin(s f_0), ...] of s = 1000 t.

        f_i = 10000^(-i / half),    half = channels / 2,    i = 0 .. half - 1

    Why: a network distinguishes t = 0.50 from t = 0.51 poorly if it is given one number. Fast waves
    tell close times apart, slow waves tell early from late.

    Two traps for those who port weights. Cosine comes first here; in the original transformer the
    sine does. And the exponent's denominator is half; some libraries write half - 1.

    Args:
        timestep: 1000 t. The factor 1000 dates from diffusion models with 1000 discrete steps.
        channels: an even number.

    >>> sinusoids(torch.tensor([0.0]), 4)  # at t = 0 every cosine is 1 and every sine is 0
    tensor([[1., 1., 0., 0.]])
    """
    half = channels // 2
    exponents = torch.arange(half, dtype=torch.float32, device=timestep.device) / half
    angles = einsum(timestep.float(), torch.exp(-log(10000) * exponents), "b, half -> b half")
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


class TimeEmbedding(nn.Module):
    """A learned embedding of the time: t_emb = linear_2(silu(linear_1(sinusoids(1000 t)))).

    The result is used twice. It becomes one token of the language model's sequence, and it sets
    scale and shift in every ConvNeXt block. Both uses need width D.
    """

    def __init__(self, channels: int, hidden: int):
        super().__init__()
        self.channels = channels
        self.linear_1 = nn.Linear(channels, hidden)
        self.linear_2 = nn.Linear(hidden, hidden)

    def forward(self, timestep: Float[Tensor, "b"]) -> Float[Tensor, "b D"]:
        """Embed 1000 t, given in float32 whatever the dtype of the weights.

        The waves are computed in float32 and only then rounded to the weights' dtype. In bfloat16
        the number 966.67 itself would become 968, a different time.
        """
        waves = sinusoids(timestep, self.channels)  # b C
        return self.linear_2(F.silu(self.linear_1(waves.to(self.linear_1.weight.dtype))))


class GlobalResponseNorm(nn.Module):
    """Global response normalisation (GRN): amplify the channels that respond more than the average.

        g_k = L2 norm of channel k over all positions of the picture
        n_k = g_k / (mean of g over the channels + 1e-6)
        out = bias + (weight n + 1) x

    Why: wide layers tend to collapse, so that many channels compute the same feature or nothing.
    GRN tells each channel how strongly it responds compared with the others, and lets it react:
    with a positive weight, channels above the average (n > 1) grow most, with a negative weight
    they are damped most. Either way channels come to differ, and they can specialise.

    Example: three channels with norms 1, 2 and 3 have the mean 2, so n = 0.5, 1 and 1.5.

    weight and bias start at zero, so the untrained layer is the identity. The norm runs over one
    picture's positions: pictures of a batch do not influence each other. ConvNeXt V2, section 4.

    >>> GlobalResponseNorm(2)(torch.ones(1, 1, 1, 2)).tolist()  # untrained: nothing changes
    [[[[1.0, 1.0]]]]
    """

    def __init__(self, channels: int):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, 1, 1, channels))
        self.bias = nn.Parameter(torch.zeros(1, 1, 1, channels))

    def forward(self, x: Float[Tensor, "b h w K"]) -> Float[Tensor, "b h w K"]:
        """Normalise channels that stand last: the linear layers around this one need them there."""
        g = torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True)  # b 1 1 K
        n = g / (g.mean(dim=-1, keepdim=True) + 1e-6)
        return self.bias + (self.weight * n + 1) * x


class ConvNextBlock(nn.Module):
    """One block of the U-ViT: mix over positions, mix over channels, then adapt to the time.

        x <- x + linear_2(GRN(gelu(linear_1(RMSNorm(depthwise(x))))))
        x <- x (1 + scale) + shift,    [scale, shift] = cond_embeds_mapper(silu(t_emb))

    Why two kinds of mixing: a full 7 x 7 convolution of K channels needs 49 K^2 weights. A
    depthwise one treats each channel alone and needs 49 K. The two linear layers, K -> 4K -> K at
    each position, then combine the channels. Together they are far cheaper and work as well.

    The last line is FiLM: the time scales and shifts each channel. It acts AFTER the residual sum,
    so it also changes the residual path. Diffusion transformers (DiT) modulate inside the branch.
    The released weights were trained this way, so we keep it.
    """

    def __init__(self, channels: int, hidden: int, eps: float, dropout: float):
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, kernel_size=7, padding=3, groups=channels)
        self.norm = nn.RMSNorm(channels, eps=eps)
        self.channelwise_linear_1 = nn.Linear(channels, 4 * channels)
        self.channelwise_norm = GlobalResponseNorm(4 * channels)
        self.channelwise_linear_2 = nn.Linear(4 * channels, channels)
        self.dropout = nn.Dropout(dropout)
        self.cond_embeds_mapper = nn.Linear(hidden, 2 * channels)

    def forward(
        self, x: Float[Tensor, "b K h w"], t_emb: Float[Tensor, "b D"]
    ) -> Float[Tensor, "b K h w"]:
        """Apply the block. 7 x 7 with padding 3 keeps the size, so blocks can be stacked freely.

        The GELU is the exact one, with erf. The tanh approximation differs by up to 0.0005.
        """
        y = rearrange(self.depthwise(x), "b K h w -> b h w K")
        y = self.channelwise_linear_1(self.norm(y))  # b h w 4K
        y = self.channelwise_norm(F.gelu(y))
        y = self.channelwise_linear_2(y)  # b h w K
        x = x + rearrange(self.dropout(y), "b h w K -> b K h w")
        film = self.cond_embeds_mapper(F.silu(t_emb))  # b 2K
        scale, shift = rearrange(film, "b (two K) -> two b K 1 1", two=2)
        return x * (1 + scale) + shift


class MidBlock(nn.Module):
    """ConvNeXt blocks in a row, each given the same time. The released model has two on each side.

    A configuration may switch them off (use_mid_block: false); then x passes unchanged.
    """

    def __init__(self, channels: int, config: UViTConfig):
        super().__init__()
        number = config.layers_in_middle if config.use_mid_block else 0
        block = (channels, config.hidden_size, config.norm_eps, config.dropout)
        self.res_blocks = nn.ModuleList(ConvNextBlock(*block) for _ in range(number))

    def forward(
        self, x: Float[Tensor, "b K h w"], t_emb: Float[Tensor, "b D"]
    ) -> Float[Tensor, "b K h w"]:
        """Apply all blocks in order."""
        for block in self.res_blocks:
            x = block(x, t_emb)
        return x


class ShallowUViTEncoder(nn.Module):
    """Turn a latent into image tokens: `vision_gen_enc_model` of the official checkpoint.

    A convolution of kernel 2 and stride 2 cuts the latent into 2 x 2 patches, one token each, and
    ConvNeXt blocks let neighbouring patches exchange information. A 48 x 48 latent gives 24 x 24 =
    576 tokens. Without patches the language model would read 2304 tokens, four times as many.
    """

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
        """Encode latents z at times 1000 t. Return (x_emb, t_emb, skip).

        x_emb goes to the language model, t_emb to the language model and to the decoder, skip to
        the decoder alone. skip is the same tensor as x_emb. It is returned by name because the
        official code hands it over in a list that the decoder empties, which is easy to overlook.
        """
        t_emb = self.time_embed(timestep)  # b D
        x_emb = self.mid_block(self.in_conv(z), t_emb)  # b C h w
        return x_emb, t_emb, x_emb


class Unpatch(nn.Module):
    """Double the height and the width: the inverse of cutting into 2 x 2 patches (pixel shuffle).

    A 1 x 1 convolution computes four values for each output channel, and these become the four
    positions of a 2 x 2 square. A transposed convolution of kernel 2 and stride 2 computes the
    same; larger kernels overlap unevenly, which is known to leave checkerboard patterns.

    By hand: one position with the four values [a, b, c, d] becomes the square [[a, b], [c, d]].
    """

    def __init__(self, channels: int, out_channels: int, eps: float):
        super().__init__()
        self.norm = nn.RMSNorm(channels, eps=eps)
        self.unpatch_conv = nn.Conv2d(channels, 4 * out_channels, kernel_size=1)

    def forward(self, x: Float[Tensor, "b K h w"]) -> Float[Tensor, "b out 2*h 2*w"]:
        """Normalise the channels, compute four values per output channel, and lay them out."""
        y = self.unpatch_conv(norm_over_channels(self.norm, x))  # b 4*out h w
        return rearrange(y, "b (out p q) h w -> b out (h p) (w q)", p=2, q=2)


class ShallowUViTDecoder(nn.Module):
    """Turn hidden states and skip into a velocity: `vision_gen_dec_model` of the checkpoint.

    The two inputs are concatenated along the channels, so the blocks here have 2C channels and hold
    more than two thirds of the U-ViT's parameters. The language model's part is normalised first;
    the skip is not, because its magnitude carries information: it tells how noisy the latent is.
    """

    def __init__(self, config: DecoderConfig):
        super().__init__()
        channels = config.channels
        widths = [channels] * (config.upsamples - 1) + [config.out_channels]
        self.input_norm = nn.RMSNorm(config.in_channels, eps=config.norm_eps)
        self.mid_block = MidBlock(config.in_channels + channels, config)
        inputs = [config.in_channels + channels, *widths[:-1]]
        self.out_convs = nn.ModuleList(
            Unpatch(k, out, config.norm_eps) for k, out in zip(inputs, widths, strict=True)
        )

    def forward(
        self,
        x: Float[Tensor, "b C h w"],
        t_emb: Float[Tensor, "b D"],
        skip: Float[Tensor, "b C h w"],
    ) -> Float[Tensor, "b c H W"]:
        """Decode the hidden states x (already aligned to C channels) into dz/dt.

        There is no activation at the end: a velocity may have any sign and size.
        """
        x = torch.cat([norm_over_channels(self.input_norm, x), skip], dim=1)  # b 2C h w
        x = self.mid_block(x, t_emb)
        for unpatch in self.out_convs:
            x = unpatch(x)  # doubles h and w; b c H W after the last
        return x


def norm_over_channels(norm: nn.RMSNorm, x: Float[Tensor, "b K h w"]) -> Float[Tensor, "b K h w"]:
    """Normalise the channel vector at each position. RMSNorm works on the last axis, so move it.

    RMSNorm divides a vector by the root of its mean square and multiplies by a learned weight. It
    keeps the direction and fixes the length: [3, 4] has the mean square 12.5 and becomes
    [0.849, 1.131].
    """
    return rearrange(norm(rearrange(x, "b K h w -> b h w K")), "b h w K -> b K h w")
