"""The sizes of everything, as the official config.json names them. The defaults are the released 1.3B model.

Each has a bound far beyond any model's, so that a hostile file cannot ask for a machine's whole memory.
"""

import warnings
from dataclasses import asdict, dataclass, field, fields
from math import ceil
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from janus_minimal.errors import CheckpointError

Width = Annotated[int, Field(gt=0, le=2**20)]
Number = Annotated[int, Field(gt=0, le=1000)]
Depth = Annotated[int, Field(ge=0, le=1000)]
Positive = Annotated[float, Field(gt=0, le=1e12, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True)
class UViTConfig:
    """What the shallow encoder and decoder have in common: C = block_out_channels[0] channels, a time of width D."""

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
        """C, the width of the maps."""
        return self.block_out_channels[0]


@dataclass(frozen=True)
class EncoderConfig(UViTConfig):
    """`vision_gen_enc_config.params`: c channels of latent -> C channels of half the side."""

    input_channels: Number = 4
    kernel_size: Number = 2
    stride: Number = 2
    padding: Depth | None = None

    @property
    def in_conv_padding(self) -> int:
        """The padding of the first convolution; left out of the config it means ceil(kernel - stride)."""
        return ceil(self.kernel_size - self.stride) if self.padding is None else self.padding


@dataclass(frozen=True)
class DecoderConfig(UViTConfig):
    """`vision_gen_dec_config.params`: C channels beside the skip -> c channels of latent of twice the side."""

    in_channels: Width = 768
    out_channels: Number = 4
    upsamples: Number = 1


@dataclass(frozen=True)
class LanguageConfig:
    """`language_config`: the Llama backbone, of width D = hidden_size."""

    vocab_size: Width = 102400
    hidden_size: Width = 2048
    intermediate_size: Width = 5632
    num_hidden_layers: Number = 24
    num_attention_heads: Number = 16
    num_key_value_heads: Number = 16
    max_position_embeddings: Width = 16384
    rms_norm_eps: Positive = 1e-6
    rope_theta: Positive = 10000.0


@dataclass(frozen=True)
class JanusConfig:
    """The generation path of one checkpoint. The image size stands in the official config once, for both directions."""

    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    language: LanguageConfig = field(default_factory=LanguageConfig)
    image_size: Width = 384  # pixels

    def __post_init__(self) -> None:
        """What one part gives the next must be what that takes. Raises CheckpointError."""
        language, heads = self.language, self.language.num_attention_heads
        widths = {self.encoder.hidden_size, self.decoder.hidden_size, language.hidden_size}
        _fits(len(widths) == 1, f"three hidden_size of {sorted(widths)}: right would be one width for all")
        _fits(self.encoder.channels % 2 == 0, "block_out_channels is odd: the time takes a cosine and a sine each")
        _fits(self.encoder.channels == self.decoder.in_channels, "in_channels is not the encoder's block_out_channels")
        _fits(self.encoder.input_channels == self.decoder.out_channels, "out_channels is not input_channels")
        _fits(language.hidden_size % (2 * heads) == 0, "hidden_size is no even multiple of num_attention_heads")
        _fits(heads % language.num_key_value_heads == 0, "num_attention_heads is no multiple of num_key_value_heads")

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> "JanusConfig":
        """Read an official config.json. Missing fields take the defaults, unknown ones are warned of.

        Raises CheckpointError, which names the field.
        """
        vision = _section(raw, "vision_und_enc_config", "params")
        return cls(
            encoder=_read(EncoderConfig, _section(raw, "vision_gen_enc_config", "params")),
            decoder=_read(DecoderConfig, _section(raw, "vision_gen_dec_config", "params")),
            language=_read(LanguageConfig, _section(raw, "language_config")),
            image_size=_read(Width, vision.get("image_size", cls.image_size)),
        )

    def to_dict(self) -> dict[str, Any]:
        """The official config.json of this model."""
        return {
            "architectures": ["MultiModalityCausalLM"],
            "model_type": "multi_modality",
            "language_config": {"model_type": "llama", **asdict(self.language)},
            "vision_gen_enc_config": {"cls": "ShallowUViTEncoder", "params": asdict(self.encoder)},
            "vision_gen_dec_config": {"cls": "ShallowUViTDecoder", "params": asdict(self.decoder)},
            "vision_und_enc_config": {"params": {"image_size": self.image_size}},
        }


def _section(raw: Any, *path: str) -> dict[str, Any]:
    """The part of config.json at this path; an absent part is empty."""
    for name in path:
        raw = raw.get(name, {}) if isinstance(raw, dict) else raw
    if not isinstance(raw, dict):
        raise CheckpointError(f"config.json: {'.'.join(path)} should be an object, not {raw!r}")
    return raw


# Llama has settings that the released model leaves at these values; another value would be another computation.
HELD = {"hidden_act": "silu", "attention_bias": False, "mlp_bias": False, "rope_scaling": None}
BOOKKEEPING = {
    *("model_type", "cls", "architectures", "torch_dtype", "dtype", "_attn_implementation", "transformers_version"),
    *("bos_token_id", "eos_token_id", "pad_token_id", "use_cache", "initializer_range", "tie_word_embeddings"),
}


def _check_unknown(kind: Any, given: dict[str, Any]) -> None:
    """A setting that would change the computation is refused, one that nobody here knows is warned of."""
    for name in sorted(given.keys() - {known.name for known in fields(kind)} - BOOKKEEPING):
        held = HELD.get(name)
        _fits(name not in HELD or given[name] == held, f"{name} is {given[name]!r}: only {held!r} is known here")
        if name not in HELD:
            warnings.warn(f"config.json: {name} is not known here and changes nothing", stacklevel=2)


def _fits(true: bool, fault: str) -> None:
    if not true:
        raise CheckpointError(f"config.json: {fault}")


def _read(kind: Any, value: Any) -> Any:
    if isinstance(value, dict):
        _check_unknown(kind, value)
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "image_size"
        raise CheckpointError(f"config.json: {where} is {first['input']!r}: {first['msg'].lower()}") from None
