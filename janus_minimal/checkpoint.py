"""The official checkpoint directory, read strictly: config.json, and safetensors in one file or in shards.

The generation path's keys are all used, each once. The understanding path's keys are known and left out. Any other
key, a missing key or a wrong shape is a CheckpointError that names the key.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from janus_minimal.config import JanusConfig
from janus_minimal.errors import CheckpointError
from janus_minimal.files import whole

BUNDLED = Path(__file__).parent / "checkpoints"
WEIGHTS, INDEX, CONFIG = "model.safetensors", "model.safetensors.index.json", "config.json"
UNDERSTANDING = ("vision_und_enc_model.", "vision_und_enc_aligner.", "beg_of_und_embed", "language_model.lm_head.")
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")


def find_checkpoint(name: str | Path) -> Path:
    """The directory of a checkpoint: a bundled one by its name ("shapes"), any other by its path."""
    bundled = BUNDLED / name
    directory = bundled if bundled.parent == BUNDLED and bundled.is_dir() else Path(name)
    if not directory.is_dir():
        names = ", ".join(sorted(path.name for path in BUNDLED.iterdir() if path.is_dir()))
        raise CheckpointError(
            f"no checkpoint {name}: right would be a directory with {CONFIG}, or a bundled one: {names}"
        )
    return directory


def read_config(directory: Path) -> JanusConfig:
    """The sizes that config.json tells. Raises CheckpointError."""
    raw = _read_json(directory / CONFIG)
    return JanusConfig.from_dict(raw)


def read_weights(
    directory: Path, shapes: Mapping[str, torch.Size], dtype: torch.dtype, device: torch.device | str
) -> dict[str, Tensor]:
    """Exactly the tensors of these names and shapes, cast and placed. Raises CheckpointError, which names the key."""
    files = _weight_files(directory)
    found = {key: path for path in files for key in _keys(path) if not key.startswith(UNDERSTANDING)}
    _complain(directory, "lacks", shapes.keys() - found.keys(), "every key of the generation path is needed")
    _complain(directory, "has the unknown key", found.keys() - shapes.keys(), "only official keys may stand there")
    weights: dict[str, Tensor] = {}
    for path in files:
        with _opened(path) as file:
            for key in (key for key in shapes if found[key] == path):
                weights[key] = _read_tensor(file, path, key, shapes[key]).to(device, dtype)
    return weights


def write_checkpoint(directory: Path, config: JanusConfig, weights: Mapping[str, Tensor]) -> None:
    """The same layout, each file whole or absent."""
    with whole(directory / WEIGHTS) as unfinished:
        save_file({key: tensor.contiguous() for key, tensor in weights.items()}, unfinished, {"format": "pt"})
    with whole(directory / CONFIG) as unfinished:
        unfinished.write_text(json.dumps(config.to_dict(), indent=2) + "\n")


def _weight_files(directory: Path) -> list[Path]:
    """The one file, or the shards that the index names."""
    if (directory / INDEX).is_file():
        shards = _read_json(directory / INDEX).get("weight_map", {})
        return [directory / name for name in sorted(set(shards.values()))]
    if (directory / WEIGHTS).is_file():
        return [directory / WEIGHTS]
    pickles = sorted(path.name for pattern in PICKLES for path in directory.glob(pattern))
    if pickles:
        raise CheckpointError(
            f"{directory / pickles[0]} is refused: loading a pickle can run any code; convert it to {WEIGHTS}"
        )
    raise CheckpointError(f"{directory} holds no weights: right would be {WEIGHTS}, or shards with {INDEX}")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}; right would be the official JSON file") from None
    if not isinstance(raw, dict):
        raise CheckpointError(f"{path} should hold a JSON object, not {type(raw).__name__}")
    return raw


@contextmanager
def _opened(path: Path) -> Iterator[safe_open]:
    try:
        with safe_open(path, "pt") as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is not a whole safetensors file: {error}; fetch it again") from None


def _keys(path: Path) -> list[str]:
    with _opened(path) as file:
        return list(file.keys())


def _read_tensor(file: safe_open, path: Path, key: str, shape: torch.Size) -> Tensor:
    stored = tuple(file.get_slice(key).get_shape())
    if stored != tuple(shape):
        raise CheckpointError(f"{path}: {key} has shape {list(stored)}, but config.json makes it {list(shape)}")
    return file.get_tensor(key)


def _complain(directory: Path, fault: str, keys: set[str], rule: str) -> None:
    if keys:
        more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
        raise CheckpointError(f"{directory} {fault} {min(keys)}{more}: {rule}")
