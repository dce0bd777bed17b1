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

What is checked where: the bounds when a file is read, and that the parts fit each other whenever a
JanusConfig is made. The weights are checked last: they must have the shapes that follow from here.

Why frozen: the modules are built from these numbers once. A number that changed later would no
longer describe the weights, and `save_pretrained` would write it beside them.

    C  U-ViT channels, block_out_channels[0] (768)       D  language-model width, hidden_size (2048)
"""

from dataclasses import dataclass, field
from math import ceil
from typing import Annotated, Literal

from pydantic import Field

from janus_minimal.errors import CheckpointError

WIDEST = 2**20  # of all widths, and of the vocabulary
Width = Annotated[int, Field(gt=0, le=WIDEST)]  # the largest here is the vocabulary, 102400
Number = Annotated[int, Field(gt=0, le=1000)]
Depth = Annotated[int, Field(ge=0, le=1000)]  # like Number, but none is possible: no blocks
# Python's JSON reader accepts NaN and Infinity. Neither is a setting.
Positive = Annotated[float, Field(gt=0, le=1e12, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True)
class UViTConfig:
    """What the shallow encoder and the shallow decoder have in common.

    The file has these fields twice, once for each part. `JanusConfig` compares those that must
    agree. The others may differ: a decoder may have more blocks than its encoder, for example.
    """

    # C. A tuple, because a deeper U-Net has one width for each of its resolutions. This one has a
    # single resolution, 24 x 24, and a file that lists a second one is refused.
    block_out_channels: tuple[Width] = (768,)
    # The width of the time embedding. It equals the language model's width D, because the time
    # embedding is also one of the language model's tokens.
    hidden_size: Width = 2048
    # The number of ConvNeXt blocks. Each looks three patches far in every direction (7 x 7), so two
    # look six patches far. What is farther apart meets in the language model.
    layers_in_middle: Depth = 2
    # Keeps RMSNorm from dividing by zero.
    norm_eps: Positive = 1e-6
    # False means no blocks at all, whatever layers_in_middle says.
    use_mid_block: bool = True
    # Our layers always have a bias and our norms always have a learned weight. A checkpoint without
    # them could not fill them, so it is refused here, where the reason can be named.
    use_bias: Literal[True] = True
    elementwise_affine: Literal[True] = True
    # Acts in training only: a model from `from_pretrained` is in evaluation mode.
    dropout: Share = 0.0

    @property
    def channels(self) -> int:
        """Return C, the width of the feature maps. The official file has a list of one entry."""
        return self.block_out_channels[0]


@dataclass(frozen=True)
class EncoderConfig(UViTConfig):
    """The encoder: c latent channels become C channels, and each side shrinks by the stride.

    Kernel 2 and stride 2 cut the latent into 2 x 2 patches that do not overlap. One patch holds
    4 x 2 x 2 = 16 numbers of the latent and stands for 16 x 16 pixels of the picture.

    A kernel that is larger than the stride makes the patches overlap. It then needs a border of
    zeros, or the map would come out too small:

    >>> EncoderConfig(kernel_size=3, stride=2).in_conv_padding
    1
    """

    # c. The VAE decides it: SDXL's has 4 channels. A VAE with another number is refused.
    input_channels: Number = 4
    kernel_size: Number = 2
    # The number of image tokens falls with its square. Stride 1 would give 48 x 48 = 2304 tokens.
    stride: Number = 2
    # None is not 0: it means the official code's default, see in_conv_padding.
    padding: Depth | None = None

    @property
    def in_conv_padding(self) -> int:
        """Return the first convolution's padding: ceil(kernel - stride) where none is given."""
        return ceil(self.kernel_size - self.stride) if self.padding is None else self.padding


@dataclass(frozen=True)
class DecoderConfig(UViTConfig):
    """The decoder: C channels and the skip become c channels; each upsample doubles the sides.

    It mirrors the encoder. What comes out is a velocity, one number for each number of the latent,
    so channels, height and width must be the latent's.
    """

    # C, the width to which the second aligner brings the hidden states. With the skip's C channels
    # beside them, the decoder's blocks work on 2C = 1536 channels.
    in_channels: Width = 768
    out_channels: Number = 4
    # One doubling undoes a stride of 2, two undo a stride of 4.
    upsamples: Number = 1


@dataclass(frozen=True)
class LanguageConfig:
    """The Llama backbone, in transformers' names. The released one is DeepSeek-LLM 1.3B.

    Where its size comes from: a block has four D x D matrices for attention, three D x 5632
    matrices for the MLP, and two norms.

    >>> llama = LanguageConfig()
    >>> width, inside = llama.hidden_size, llama.intermediate_size
    >>> block = 4 * width * width + 3 * width * inside + 2 * width
    >>> f"{llama.num_hidden_layers * block:,}"  # the word table is not counted
    '1,233,223,680'
    """

    # Rows of the word table: 102400 x 2048 = 210 million weights. The pipeline checks that the
    # tokenizer makes no id beyond it.
    vocab_size: Width = 102400
    # D, the width of every token in the sequence, be it word, time or patch.
    hidden_size: Width = 2048
    # The width inside the MLP. Transformers often take 4 D and two matrices. Llama has a third one,
    # a gate, and takes about 8/3 D, which costs about the same.
    intermediate_size: Width = 5632
    num_hidden_layers: Number = 24
    # Each head attends by its own D / 16 = 128 channels.
    num_attention_heads: Number = 16
    # Fewer heads for keys and values than for queries (grouped-query attention) make the prompt
    # cache smaller. The released model has as many of both.
    num_key_value_heads: Number = 16
    # Prompt, time token and image tokens must fit: L + 1 + 576 <= 16384. The paper's training
    # sequences were packed to 4096 tokens.
    max_position_embeddings: Width = 16384
    rms_norm_eps: Positive = 1e-6
    # RoPE turns pair i of a head's channels by theta^(-2i / 128) radians per position: one full
    # turn takes 6 positions for the fastest pair and about 54 000 for the slowest.
    rope_theta: Positive = 10000.0
    # What makes it a plain Llama: SiLU in the MLP, no biases, no stretched positions.
    hidden_act: Literal["silu"] = "silu"
    attention_bias: Literal[False] = False
    mlp_bias: Literal[False] = False
    rope_scaling: None = None


@dataclass(frozen=True)
class JanusConfig:
    """All sizes of one checkpoint's generation path.

    image_size is the side of the picture in pixels. The official file has it once, in the section
    of the understanding encoder, and it holds for both directions. It cannot be chosen freely: the
    language model has learned that the patch below a patch stands 24 positions later.

    >>> released = JanusConfig()
    >>> (released.image_size // 8 // released.encoder.stride) ** 2  # image tokens
    576

    Parts that do not fit are refused before anything is built. Here the velocity would have three
    channels and the latent four, so the Euler step could not add them:

    >>> JanusConfig(decoder=DecoderConfig(out_channels=3))
    Traceback (most recent call last):
    janus_minimal.errors.CheckpointError: config.json: out_channels is not input_channels
    """

    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    language: LanguageConfig = field(default_factory=LanguageConfig)
    image_size: Width = 384

    def __post_init__(self) -> None:
        """Raise CheckpointError unless each part produces what the next part takes.

        Without these checks the fault would show much later: as an error about shapes from inside a
        layer, or as a latent of another size. The messages use the names of the official file.
        """
        encoder, decoder, language = self.encoder, self.decoder, self.language
        heads, kernel, stride = language.num_attention_heads, encoder.kernel_size, encoder.stride
        widths = {encoder.hidden_size, decoder.hidden_size, language.hidden_size}
        # t_emb is a token of the language model and sets scale and shift in both U-ViT parts.
        fits(len(widths) == 1, f"hidden_size is {sorted(widths)}: expected one width for all")
        fits(encoder.channels % 2 == 0, "block_out_channels is odd: sine and cosine need halves")
        # The decoder puts the language model's C channels beside the C channels of the skip.
        fits(encoder.channels == decoder.in_channels, "in_channels is not the encoder's width")
        fits(encoder.channels == decoder.channels, "block_out_channels differ: the skip needs one")
        fits(encoder.input_channels == decoder.out_channels, "out_channels is not input_channels")
        fits(stride == 2**decoder.upsamples, "stride is not 2^upsamples: the latent changes size")
        # floor((H + 2 padding - kernel) / stride) + 1 = H / stride exactly under this condition.
        fits(
            kernel - stride <= 2 * encoder.in_conv_padding < kernel,
            "padding does not fit kernel_size",
        )
        # A head has hidden_size / heads channels, an even number, because RoPE turns pairs of them.
        fits(
            heads > 0 and language.hidden_size % (2 * heads) == 0,
            "num_attention_heads does not fit hidden_size",
        )
        # Each key-value head serves the same number of query heads.
        fits(
            language.num_key_value_heads > 0 and heads % language.num_key_value_heads == 0,
            "num_key_value_heads does not divide the heads",
        )


def fits(true: bool, fault: str) -> None:
    """Raise CheckpointError with this fault unless the condition is true."""
    if not true:
        raise CheckpointError(f"config.json: {fault}")
