"""The sizes of a JanusFlow model, with the names that the official config.json uses.

The problem. A checkpoint is a heap of named tensors. To build modules that fit them, one must know
the widths, depths and strides. The official file spreads these over three sections, one for each
part of the generation path, and so do the classes here:

    EncoderConfig    vision_gen_enc_config.params    latent -> image tokens
    LanguageConfig   language_config                 the Llama backbone
    DecoderConfig    vision_gen_dec_config.params    hidden states -> velocity

The defaults are the released 1.3B model. How to check the numbers: a picture of 384 pixels gives a
latent of 384 / 8 = 48, because SDXL's VAE shrinks by 8. The encoder's stride makes 48 / 2 = 24, so
24 x 24 = 576 image tokens. The decoder's one upsample makes 24 x 2 = 48 again.

Some fields can have a single value (`Literal`). The official code knows others, but the released
model uses none of them, and another value would be another computation. Such a file is refused, not
silently misread. Each number has an upper bound beyond any real model, so that a damaged file
cannot ask for all memory of the machine. loading/config_file.py reads and writes the official file.

    C  U-ViT channels, block_out_channels[0] (768)       D  language-model width, hidden_size (2048)
"""

from dataclasses import dataclass, field
from math import ceil
from typing import Annotated, Literal

from pydantic import Field

from janus_minimal.errors import CheckpointError

Width = Annotated[int, Field(gt=0, le=2**20)]
Number = Annotated[int, Field(gt=0, le=1000)]
Depth = Annotated[int, Field(ge=0, le=1000)]
Positive = Annotated[float, Field(gt=0, le=1e12, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True)
class UViTConfig:
    """What the shallow encoder and the shallow decoder have in common.

    hidden_size is the width of the time embedding. It equals the language model's width D, because
    the time embedding is also one of the language model's tokens. layers_in_middle counts the
    ConvNeXt blocks, and norm_eps keeps RMSNorm from dividing by zero.
    """

    block_out_channels: tuple[Width] = (768,)
    hidden_size: Width = 2048
    layers_in_middle: Depth = 2
    norm_eps: Positive = 1e-6
    use_mid_block: bool = True
    use_bias: Literal[True] = True
    elementwise_affine: Literal[True] = True
    dropout: Share = 0.0

    @property
    def channels(self) -> int:
        """Return C, the width of the feature maps. The official file has a list of one entry."""
        return self.block_out_channels[0]


@dataclass(frozen=True)
class EncoderConfig(UViTConfig):
    """The encoder: c latent channels become C channels, and each side shrinks by the stride.

    Kernel 2 and stride 2 cut the latent into 2 x 2 patches that do not overlap.
    """

    input_channels: Number = 4
    kernel_size: Number = 2
    stride: Number = 2
    padding: Depth | None = None

    @property
    def in_conv_padding(self) -> int:
        """Return the first convolution's padding: ceil(kernel - stride) where none is given."""
        return ceil(self.kernel_size - self.stride) if self.padding is None else self.padding


@dataclass(frozen=True)
class DecoderConfig(UViTConfig):
    """The decoder: C channels and the skip become c channels; each upsample doubles the sides."""

    in_channels: Width = 768
    out_channels: Number = 4
    upsamples: Number = 1


@dataclass(frozen=True)
class LanguageConfig:
    """The Llama backbone, in transformers' names.

    num_key_value_heads may be smaller than num_attention_heads (grouped-query attention). The
    released model uses as many of both. rope_theta sets the wavelengths of the rotary embedding.
    """

    vocab_size: Width = 102400
    hidden_size: Width = 2048
    intermediate_size: Width = 5632
    num_hidden_layers: Number = 24
    num_attention_heads: Number = 16
    num_key_value_heads: Number = 16
    max_position_embeddings: Width = 16384
    rms_norm_eps: Positive = 1e-6
    rope_theta: Positive = 10000.0
    hidden_act: Literal["silu"] = "silu"
    attention_bias: Literal[False] = False
    mlp_bias: Literal[False] = False
    rope_scaling: None = None


@dataclass(frozen=True)
class JanusConfig:
    """All sizes of one checkpoint's generation path.

    image_size is the side of the picture in pixels. The official file has it once, in the section
    of the understanding encoder, and it holds for both directions.

    >>> released = JanusConfig()
    >>> (released.image_size // 8 // released.encoder.stride) ** 2  # image tokens
    576
    """

    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    language: LanguageConfig = field(default_factory=LanguageConfig)
    image_size: Width = 384

    def __post_init__(self) -> None:
        """Raise CheckpointError unless each part produces what the next part takes."""
        encoder, decoder, language = self.encoder, self.decoder, self.language
        heads, kernel, stride = language.num_attention_heads, encoder.kernel_size, encoder.stride
        widths = {encoder.hidden_size, decoder.hidden_size, language.hidden_size}
        fits(len(widths) == 1, f"hidden_size is {sorted(widths)}: expected one width for all")
        fits(encoder.channels % 2 == 0, "block_out_channels is odd: sine and cosine need halves")
        fits(encoder.channels == decoder.in_channels, "in_channels is not the encoder's width")
        fits(encoder.channels == decoder.channels, "block_out_channels differ: the skip needs one")
        fits(encoder.input_channels == decoder.out_channels, "out_channels is not input_channels")
        fits(stride == 2**decoder.upsamples, "stride is not 2^upsamples: the latent changes size")
        # floor((H + 2 padding - kernel) / stride) + 1 = H / stride exactly under this condition.
        fits(
            kernel - stride <= 2 * encoder.in_conv_padding < kernel,
            "padding does not fit kernel_size",
        )
        fits(
            language.hidden_size % (2 * heads) == 0, "num_attention_heads does not fit hidden_size"
        )
        fits(
            heads % language.num_key_value_heads == 0,
            "num_key_value_heads does not divide the heads",
        )


def fits(true: bool, fault: str) -> None:
    """Raise CheckpointError with this fault unless the condition is true."""
    if not true:
        raise CheckpointError(f"config.json: {fault}")
