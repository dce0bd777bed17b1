"""The sizes of everything, as the official config.json names them. The defaults are the released 1.3B model."""

from dataclasses import asdict, dataclass, field
from math import ceil
from typing import Any, Literal

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, TypeAdapter, ValidationError

from janus_minimal.errors import CheckpointError


@dataclass(frozen=True)
class UViTConfig:
    """What the shallow encoder and decoder have in common: C = block_out_channels[0] channels, a time of width D."""

    block_out_channels: tuple[PositiveInt] = (768,)
    hidden_size: PositiveInt = 2048
    layers_in_middle: NonNegativeInt = 2
    norm_eps: PositiveFloat = 1e-6
    use_mid_block: bool = True
    use_bias: Literal[True] = True
    elementwise_affine: Literal[True] = True
    dropout: NonNegativeFloat = 0.0

    @property
    def channels(self) -> int:
        """C, the width of the maps."""
        return self.block_out_channels[0]


@dataclass(frozen=True)
class EncoderConfig(UViTConfig):
    """`vision_gen_enc_config.params`: c channels of latent -> C channels of half the side."""

    input_channels: PositiveInt = 4
    kernel_size: PositiveInt = 2
    stride: PositiveInt = 2
    padding: NonNegativeInt | None = None

    @property
    def in_conv_padding(self) -> int:
        """The padding of the first convolution; left out of the config it means ceil(kernel - stride)."""
        return ceil(self.kernel_size - self.stride) if self.padding is None else self.padding


@dataclass(frozen=True)
class DecoderConfig(UViTConfig):
    """`vision_gen_dec_config.params`: C channels beside the skip -> c channels of latent of twice the side."""

    in_channels: PositiveInt = 768
    out_channels: PositiveInt = 4
    upsamples: PositiveInt = 1


@dataclass(frozen=True)
class LanguageConfig:
    """`language_config`: the Llama backbone, of width D = hidden_size."""

    vocab_size: PositiveInt = 102400
    hidden_size: PositiveInt = 2048
    intermediate_size: PositiveInt = 5632
    num_hidden_layers: PositiveInt = 24
    num_attention_heads: PositiveInt = 16
    num_key_value_heads: PositiveInt = 16
    max_position_embeddings: PositiveInt = 16384
    rms_norm_eps: PositiveFloat = 1e-6
    rope_theta: PositiveFloat = 10000.0


@dataclass(frozen=True)
class JanusConfig:
    """The generation path of one checkpoint. The image size stands in the official config once, for both directions."""

    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    language: LanguageConfig = field(default_factory=LanguageConfig)
    image_size: PositiveInt = 384  # pixels

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> "JanusConfig":
        """Read an official config.json. Missing fields take the defaults; CheckpointError names a wrong one."""
        vision = _section(raw, "vision_und_enc_config", "params")
        return cls(
            encoder=_read(EncoderConfig, _section(raw, "vision_gen_enc_config", "params")),
            decoder=_read(DecoderConfig, _section(raw, "vision_gen_dec_config", "params")),
            language=_read(LanguageConfig, _section(raw, "language_config")),
            image_size=_read(PositiveInt, vision.get("image_size", cls.image_size)),
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


def _read(kind: Any, value: Any) -> Any:
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "image_size"
        raise CheckpointError(f"config.json: {where} is {first['input']!r}: {first['msg'].lower()}") from None
