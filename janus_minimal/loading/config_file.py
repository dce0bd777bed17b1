"""The official config.json: read into a JanusConfig, and written from one.

A setting that would change the computation and that we do not implement is refused by name. One
that nobody here knows is warned of. Fields that are left out take the released model's values.
"""

import json
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from janus_minimal.config import (
    DecoderConfig,
    EncoderConfig,
    JanusConfig,
    LanguageConfig,
    Width,
    fits,
)
from janus_minimal.errors import CheckpointError
from janus_minimal.loading.atomic import atomic_write
from janus_minimal.loading.json_file import LARGEST_CONFIG, read_json, warn_of_unknown

CONFIG = "config.json"
BOOKKEEPING = {  # fields that stand in official files and do not change the computation
    *("model_type", "cls", "architectures", "torch_dtype", "dtype", "_attn_implementation"),
    *("bos_token_id", "eos_token_id", "pad_token_id", "use_cache", "initializer_range"),
    *("tie_word_embeddings", "transformers_version", "pretraining_tp", "attention_dropout"),
}


def read_config(directory: Path) -> JanusConfig:
    """Read the sizes from a directory's config.json. Raises CheckpointError."""
    return config_from_dict(read_json(directory / CONFIG, LARGEST_CONFIG))


def write_config(directory: Path, config: JanusConfig) -> None:
    """Write config.json, completely or not at all."""
    with atomic_write(directory / CONFIG) as unfinished:
        unfinished.write_text(json.dumps(config_to_dict(config), indent=2) + "\n", encoding="utf-8")


def config_from_dict(raw: dict[str, Any]) -> JanusConfig:
    """Read the content of an official config.json. Raises CheckpointError naming the field."""
    vision = _section(raw, "vision_und_enc_config", "params")
    return JanusConfig(
        encoder=_read(EncoderConfig, _section(raw, "vision_gen_enc_config", "params")),
        decoder=_read(DecoderConfig, _section(raw, "vision_gen_dec_config", "params")),
        language=_read(LanguageConfig, _language(_section(raw, "language_config"))),
        image_size=_read(Width, vision.get("image_size", JanusConfig.image_size)),
    )


def config_to_dict(config: JanusConfig) -> dict[str, Any]:
    """Return the content of the official config.json of this model."""
    return {
        "architectures": ["MultiModalityCausalLM"],
        "model_type": "multi_modality",
        "language_config": {"model_type": "llama", **asdict(config.language)},
        "vision_gen_enc_config": {"cls": "ShallowUViTEncoder", "params": asdict(config.encoder)},
        "vision_gen_dec_config": {"cls": "ShallowUViTDecoder", "params": asdict(config.decoder)},
        "vision_und_enc_config": {"params": {"image_size": config.image_size}},
    }


def _section(raw: Any, *path: str) -> dict[str, Any]:
    """Return the part of config.json at this path; an absent part is empty."""
    for name in path:
        raw = raw.get(name, {}) if isinstance(raw, dict) else raw
    if not isinstance(raw, dict):
        raise CheckpointError(f"config.json: {'.'.join(path)} should be an object, not {raw!r}")
    return raw


def _language(given: dict[str, Any]) -> dict[str, Any]:
    """Return the Llama fields in the form of transformers 4, whichever form the file has.

    transformers 5 writes the rotary settings as an object and the head width outright. A file
    without num_key_value_heads means as many as attention heads, as in the official class.
    """
    rope, head_dim = given.get("rope_parameters"), given.get("head_dim")
    language = {
        key: value for key, value in given.items() if key not in ("rope_parameters", "head_dim")
    }
    if language.get("num_key_value_heads") is None and "num_attention_heads" in language:
        language["num_key_value_heads"] = language["num_attention_heads"]
    if rope is not None:
        language["rope_theta"] = _theta(rope, language)
    if head_dim is not None:
        widths = ("hidden_size", "num_attention_heads")  # all else is read, and warned of, later
        known = _read(LanguageConfig, {key: language[key] for key in widths if key in language})
        expected = known.hidden_size // known.num_attention_heads
        fits(head_dim == expected, f"head_dim is {head_dim!r}: only {expected} is known here")
    return language


def _theta(rope: Any, language: dict[str, Any]) -> Any:
    """Return rope_theta from rope_parameters; refuse every other rotary embedding."""
    fits(isinstance(rope, dict), f"rope_parameters is {rope!r}: expected an object")
    theta = rope.get("rope_theta", language.get("rope_theta", LanguageConfig.rope_theta))
    plain = rope.get("rope_type", "default") == "default" and rope.keys() <= {
        "rope_type",
        "rope_theta",
    }
    fits(
        plain, f"rope_parameters is {rope!r}: only rope_type default and rope_theta are known here"
    )
    fits(
        language.get("rope_theta", theta) == theta,
        f"rope_theta is given twice: {theta!r} and another",
    )
    return theta


def _read(kind: Any, value: Any) -> Any:
    if isinstance(value, dict) and is_dataclass(kind):
        known = {field.name for field in fields(kind)}
        warn_of_unknown(CONFIG, value.keys() - known - BOOKKEEPING)
        value = {key: value[key] for key in value if key in known}
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "image_size"
        message = f"config.json: {where} is {first['input']!r}: {first['msg'].lower()}"
        raise CheckpointError(message) from None
