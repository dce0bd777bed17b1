"""The official checkpoint directory, read strictly: config.json, and safetensors in one file or in shards.

The generation path's keys are all used, each once. The understanding path's keys are known and left out. Any other
key, a missing key or a wrong shape is a CheckpointError that names the key.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import prod
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from janus_minimal.config import JanusConfig
from janus_minimal.errors import CheckpointError
from janus_minimal.files import whole
from janus_minimal.json_file import read_json

WEIGHTS, INDEX, CONFIG = "model.safetensors", "model.safetensors.index.json", "config.json"
UNDERSTANDING = ("vision_und_enc_model.", "vision_und_enc_aligner.", "beg_of_und_embed", "language_model.lm_head.")
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
FLOATS = ("F64", "F32", "F16", "BF16")
BLOCK = 2**20  # numbers at a time


def read_config(directory: Path) -> JanusConfig:
    """The sizes that config.json tells. Raises CheckpointError."""
    raw = read_json(directory / CONFIG)
    return JanusConfig.from_dict(raw)


def read_weights(
    directory: Path, shapes: Mapping[str, torch.Size], dtype: torch.dtype, device: torch.device | str
) -> dict[str, Tensor]:
    """Exactly the tensors of these names and shapes, cast and placed. Raises CheckpointError, which names the key."""
    owners = {key: path for key, path in _owners(directory).items() if not key.startswith(UNDERSTANDING)}
    _complain(directory, "lacks", shapes.keys() - owners.keys(), "every key of the generation path is needed")
    _complain(directory, "has the unknown key", owners.keys() - shapes.keys(), "only official keys may stand there")
    return {key: _read_tensor(owners[key], key, shape, dtype, device) for key, shape in shapes.items()}


def check_floats(path: Path) -> None:
    """Raise CheckpointError unless a safetensors file is whole and every tensor in it is of floats."""
    keys = _keys(path)
    with _opened(path) as file:
        for key in keys:
            _check_dtype(path, key, file.get_slice(key).get_dtype())


def write_checkpoint(directory: Path, config: JanusConfig, weights: Mapping[str, Tensor]) -> None:
    """The same layout, each file whole or absent."""
    with whole(directory / WEIGHTS) as unfinished:
        save_file({key: tensor.contiguous() for key, tensor in weights.items()}, unfinished, {"format": "pt"})
    with whole(directory / CONFIG) as unfinished:
        unfinished.write_text(json.dumps(config.to_dict(), indent=2) + "\n")


def _owners(directory: Path) -> dict[str, Path]:
    """Which file holds each key: the one file, or the shards, each of which must hold what the index says."""
    if (directory / INDEX).is_file():
        return _shards(directory)
    path = directory / WEIGHTS
    if path.is_file():
        return dict.fromkeys(_keys(path), path)
    pickles = sorted(path.name for pattern in PICKLES for path in directory.glob(pattern))
    if pickles:
        raise CheckpointError(
            f"{directory / pickles[0]} is refused: loading a pickle can run any code; convert it to {WEIGHTS}"
        )
    raise CheckpointError(f"{directory} holds no weights: right would be {WEIGHTS}, or shards with {INDEX}")


def _shards(directory: Path) -> dict[str, Path]:
    path = directory / INDEX
    index = read_json(path).get("weight_map")
    if not isinstance(index, dict) or not all(isinstance(name, str) for name in index.values()):
        raise CheckpointError(f"{path}: weight_map should map each key to the name of a shard")
    for name in sorted(set(index.values())):
        if Path(name).name != name or not (directory / name).is_file():
            raise CheckpointError(f"{path} names the shard {name}: right would be a file beside it")
        told = {key for key in index if index[key] == name}
        _complain(directory / name, "lacks", told - set(_keys(directory / name)), f"{INDEX} says that it is there")
        _complain(directory / name, "has", set(_keys(directory / name)) - told, f"{INDEX} does not say so")
    return {key: directory / name for key, name in index.items()}


@contextmanager
def _opened(path: Path) -> Iterator[safe_open]:
    if not path.is_file():  # a pipe that nobody fills would be waited for
        raise CheckpointError(f"{path} is missing, or no plain file: right would be a safetensors file")
    try:
        with safe_open(path, "pt") as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is not a whole safetensors file: {error}; fetch it again") from None


def _keys(path: Path) -> list[str]:
    with _opened(path) as file:
        return list(file.keys())


def _read_tensor(path: Path, key: str, shape: torch.Size, dtype: torch.dtype, device: torch.device | str) -> Tensor:
    """One tensor, read in blocks of rows: the file's pages of a block are let go before the next one is read."""
    _check_stored(path, key, shape)
    tensor = torch.empty(shape, dtype=dtype, device=device)
    rows = max(1, BLOCK // max(1, prod(shape[1:])))
    for first in range(0, shape[0], rows):
        _read_rows(path, key, first, tensor[first : first + rows])
    return tensor


def _check_stored(path: Path, key: str, shape: torch.Size) -> None:
    with _opened(path) as file:
        stored = file.get_slice(key)
        if tuple(stored.get_shape()) != tuple(shape):
            raise CheckpointError(
                f"{path}: {key} has shape {stored.get_shape()}, but config.json makes it {list(shape)}"
            )
        _check_dtype(path, key, stored.get_dtype())


def _check_dtype(path: Path, key: str, dtype: str) -> None:
    if dtype not in FLOATS:
        raise CheckpointError(f"{path}: {key} holds {dtype}: right would be one of {', '.join(FLOATS)}")


def _read_rows(path: Path, key: str, first: int, into: Tensor) -> None:
    with _opened(path) as file:
        rows = file.get_slice(key)[first : first + len(into)]
        if not rows.isfinite().all():
            raise CheckpointError(f"{path}: {key} holds numbers that are not finite: such weights make no picture")
        into.copy_(rows)


def _complain(directory: Path, fault: str, keys: set[str], rule: str) -> None:
    if keys:
        more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
        raise CheckpointError(f"{directory} {fault} {min(keys)}{more}: {rule}")
