"""Weights of the official directory: safetensors in one file or in shards, read strictly.

Why strict: a loader that skips what it does not recognise leaves random weights in place of missing
ones, and the pictures look merely bad. Here every key of the generation path is used exactly once.
The understanding path's keys are known and skipped. Any other key, a missing key, a wrong shape or
a number that is not finite is a CheckpointError that names the key.

Why not accelerate's `load_checkpoint_in_model`: with strict=True it refuses every official checkpoint,
because of the understanding path's keys. With strict=False it accepts missing weights. In both cases
it accepts NaN. The loader here reads a block of rows at a time, so that loading needs little more
memory than the weights themselves take.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from errno import ENOENT
from math import prod
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from janus_minimal.errors import CheckpointError, InputError
from janus_minimal.loading.atomic import atomic_write
from janus_minimal.loading.json_file import read_json
from janus_minimal.runtime.checks import have_numbers

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
UNDERSTANDING = (
    *("vision_und_enc_model.", "vision_und_enc_aligner.", "beg_of_und_embed"),
    "language_model.lm_head.",
)
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
}
BLOCK = 2**20  # numbers at a time

Shapes = Mapping[str, torch.Size]


def read_weights(
    directory: Path, shapes: Shapes, dtype: torch.dtype, device: torch.device | str
) -> dict[str, Tensor]:
    """Read exactly the tensors of these names and shapes, cast to dtype and placed on device.

    Raises CheckpointError, which names the key, and InputError for a dtype that no model computes in.
    """
    check_dtype(dtype)
    owners = {
        k: path for k, path in weight_files(directory).items() if not k.startswith(UNDERSTANDING)
    }
    return _read_all(directory, owners, shapes, dtype, device)


def check_dtype(dtype: torch.dtype) -> None:
    """Raise InputError unless weights of this dtype can be stored, read again and computed with."""
    if not isinstance(dtype, torch.dtype) or dtype not in DTYPES.values():
        names = ", ".join(map(str, DTYPES.values()))
        raise InputError(f"dtype is {dtype!r}: expected one of {names}")


def check_finite(name: str, tensor: Tensor) -> None:
    """Raise CheckpointError for NaN or infinity. What is finite in float32 need not be in float16."""
    if not tensor.isfinite().all():
        raise CheckpointError(
            f"{name} holds numbers that are not finite in {tensor.dtype}: "
            "such weights make no picture"
        )


def read_safetensors(
    path: Path, shapes: Shapes, dtype: torch.dtype, device: torch.device | str
) -> dict[str, Tensor]:
    """Read one file that holds exactly the tensors of these names and shapes.

    Raises CheckpointError, which names the key.
    """
    return _read_all(path, dict.fromkeys(safetensors_keys(path), path), shapes, dtype, device)


def safetensors_keys(path: Path) -> list[str]:
    """Return the names of the tensors in a file. Raises CheckpointError if it is not intact."""
    with _opened(path) as file:
        return list(file.keys())


def write_weights(
    directory: Path, weights: Mapping[str, Tensor], dtype: torch.dtype = torch.float32
) -> None:
    """Write model.safetensors in this dtype, completely or not at all.

    Raises CheckpointError for weights that could not be loaded again, and InputError for a dtype
    that no model computes in and for weights without numbers.
    """
    check_dtype(dtype)
    have_numbers(weights.values())
    cast = {key: tensor.to("cpu", dtype).contiguous() for key, tensor in weights.items()}
    for key, tensor in cast.items():
        check_finite(key, tensor)
    with atomic_write(directory / WEIGHTS) as unfinished:
        save_file(cast, unfinished, {"format": "pt"})


def _read_all(
    where: Path,
    owners: Mapping[str, Path],
    shapes: Shapes,
    dtype: torch.dtype,
    device: torch.device | str,
) -> dict[str, Tensor]:
    missing, unknown = shapes.keys() - owners.keys(), owners.keys() - shapes.keys()
    _complain(where, "lacks", missing, "every key is needed")
    _complain(where, "has the unknown key", unknown, "no other key may be there")
    with _unchanged({*owners.values()}):
        return {k: _read_tensor(owners[k], k, shape, dtype, device) for k, shape in shapes.items()}


@contextmanager
def _unchanged(paths: set[Path]) -> Iterator[None]:
    """Raise CheckpointError if a file was replaced meanwhile: some tensors would be of another model.

    Each block of rows opens the file anew, and a training that saves replaces it.
    """
    before = _identities(paths)
    yield
    if replaced := sorted(dict(before - _identities(paths))):
        raise CheckpointError(f"{replaced[0]} was replaced while it was read: load it again")


def _identities(paths: set[Path]) -> set[tuple[Path, tuple[int, ...]]]:
    """Return each file with its size and the time when it was written.

    Whatever else the system tells changes without a replacement: by chmod or a hard link, and on
    some network drives by itself.
    """
    stats = {path: path.stat() for path in paths if os.path.exists(path)}
    return {(path, (s.st_size, s.st_mtime_ns)) for path, s in stats.items()}


def weight_files(directory: Path) -> dict[str, Path]:
    """Return which file holds each key: the one file, else the shards that the index names.

    The one file wins, as in transformers. Otherwise, a model that is saved into a folder of shards
    would be read back as the older one. Raises CheckpointError if there is neither, or if there are
    only pickles.
    """
    path = directory / WEIGHTS
    if os.path.isfile(path):  # Path.is_file raises in a folder that may not be entered
        return dict.fromkeys(safetensors_keys(path), path)
    if os.path.isfile(directory / INDEX):
        return _shards(directory)
    pickles = sorted(path.name for pattern in PICKLES for path in directory.glob(pattern))
    if pickles:
        raise CheckpointError(
            f"{directory / pickles[0]} is refused: loading a pickle can run any code; "
            f"convert it to {WEIGHTS}"
        )
    raise CheckpointError(
        f"{directory} holds no weights: expected {WEIGHTS}, or shards with {INDEX}"
    )


def _shards(directory: Path) -> dict[str, Path]:
    """Return which shard holds each key; every shard must hold exactly what the index says."""
    path = directory / INDEX
    index = read_json(path).get("weight_map")
    if not isinstance(index, dict) or not all(isinstance(name, str) for name in index.values()):
        raise CheckpointError(f"{path}: weight_map should map each key to the name of a shard")
    for name in sorted(set(index.values())):
        if Path(name).name != name or not os.path.isfile(directory / name):
            raise CheckpointError(f"{path} names the shard {name}: expected a file beside it")
        told, held = {k for k in index if index[k] == name}, set(safetensors_keys(directory / name))
        _complain(directory / name, "lacks", told - held, f"{INDEX} says that it is there")
        _complain(directory / name, "has", held - told, f"{INDEX} does not say so")
    return {key: directory / name for key, name in index.items()}


@contextmanager
def open_safetensors(path: Path) -> Iterator[safe_open]:
    """Open a plain file of tensors. Raises FileNotFoundError, OSError and SafetensorError."""
    if not os.path.isfile(path):  # opening a pipe would wait for somebody to write into it
        raise FileNotFoundError(ENOENT, "missing, or no plain file")
    path.open("rb").close()  # what may not be read, the library calls missing
    # The library makes tensors on torch's default device, which the caller may have set.
    with torch.device("cpu"), safe_open(path, "pt") as file:
        yield file


@contextmanager
def _opened(path: Path) -> Iterator[safe_open]:
    try:
        with open_safetensors(path) as file:
            yield file
    except FileNotFoundError:
        raise CheckpointError(
            f"{path} is missing, or no plain file: expected a safetensors file"
        ) from None
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be read: {error.strerror or error}; expected a file that you may read"
        ) from None
    except SafetensorError as error:
        raise CheckpointError(
            f"{path} is not a whole safetensors file: {error}; fetch it again"
        ) from None


def _read_tensor(
    path: Path, key: str, shape: torch.Size, dtype: torch.dtype, device: torch.device | str
) -> Tensor:
    """Read one tensor in blocks of rows.

    The file is mapped into memory, and what was read of it counts as this process's memory until it is
    closed. So each block opens it anew.
    """
    rows = max(1, BLOCK // max(1, prod(shape[1:])))
    with _opened(path) as file:
        _check_stored(path, key, file, shape)
        tensor = torch.empty(shape, dtype=dtype, device=device)
        _read_rows(path, key, file, 0, tensor[:rows])
    for first in range(rows, shape[0], rows):
        with _opened(path) as file:
            _read_rows(path, key, file, first, tensor[first : first + rows])
    return tensor


def _check_stored(path: Path, key: str, file: safe_open, shape: torch.Size) -> None:
    stored = file.get_slice(key)
    if tuple(stored.get_shape()) != tuple(shape):
        raise CheckpointError(
            f"{path}: {key} has shape {stored.get_shape()}, not {list(shape)}, which the config asks for"
        )
    if stored.get_dtype() not in DTYPES:
        raise CheckpointError(
            f"{path}: {key} holds {stored.get_dtype()}: expected one of {', '.join(DTYPES)}"
        )


def _read_rows(path: Path, key: str, file: safe_open, first: int, into: Tensor) -> None:
    rows = file.get_slice(key)[first : first + len(into)].to(into.dtype)
    check_finite(f"{path}: {key}", rows)
    into.copy_(rows)


def _complain(where: Path, fault: str, keys: set[str], rule: str) -> None:
    if keys:
        more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
        raise CheckpointError(f"{where} {fault} {min(keys)}{more}: {rule}")
