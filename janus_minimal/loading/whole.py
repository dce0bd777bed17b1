"""A whole checkpoint from a fine-tuned part: a copy of the source, in which only what was trained differs.

The problem. This package loads the generation path alone. The official checkpoint also holds the
understanding path: the SigLIP encoder, its aligner, the head that predicts words. Whoever fine-tunes
the generation path and saves only that gets a checkpoint that can no longer look at pictures, and that
the official code refuses to load.

The solution. The source's files are copied as they are, and in the copy the bytes of the trained
weights are overwritten. In a safetensors file each tensor has a fixed place, and a tensor of the same
shape and dtype fits exactly. So the layout stays (one file, or the same shards with the same index),
every other key is equal bit for bit, and no more than one trained tensor is held in memory. A file
that is rewritten with safetensors' `save_file` would be held whole, 4 GB for the released model.

    bytes of a file:    n (8 bytes)  |  header: n bytes of JSON  |  data
    header:             {"some.key": {"dtype": "BF16", "shape": [3], "data_offsets": [0, 6]}, ...}

Source: https://github.com/huggingface/safetensors#format
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from janus_minimal.errors import CheckpointError, InputError
from janus_minimal.loading.atomic import atomic_directory
from janus_minimal.loading.weights import DTYPES, WEIGHTS, check_finite, weight_files

OTHER_FILES = (  # what this and other programs read beside the weights
    *("config.json", "*_config.json", "*.index.json", "tokenizer*", "special_tokens_map.json"),
    *("chat_template*", "LICENSE*"),
)


def write_whole(directory: Path, source: Path, trained: Mapping[str, Tensor]) -> None:
    """Write a copy of the checkpoint `source` in which these weights have new values.

    Args:
        directory: where the copy is written, each file completely or not at all.
        source: a directory in the official layout. It is only read.
        trained: the new values, by key, in any floating dtype. They are cast to the dtype that the
            source stores.

    Raises:
        CheckpointError: if the source has no such key, or with another shape, or if a new value is
            not finite in the dtype that the source stores.
        InputError: if `directory` is the source itself, cannot be written, or holds a file of weights
            that would be read in place of the copy's shards.
    """
    if directory.exists() and directory.samefile(source):
        raise InputError(
            f"{directory} is the checkpoint that training began with: expected another"
        )
    places = weight_files(source)
    if (directory / WEIGHTS).exists() and source / WEIGHTS not in places.values():
        raise InputError(
            f"{directory} holds {WEIGHTS}, which would be read in place of the shards: expected another"
        )
    if lost := sorted(trained.keys() - places.keys()):
        raise CheckpointError(f"{source} lacks {lost[0]}, which was trained: expected its source")
    others = {path for pattern in OTHER_FILES for path in source.glob(pattern) if path.is_file()}
    with atomic_directory(directory) as unfinished:
        for path in sorted({*others, *places.values()}):
            shutil.copyfile(path, unfinished / path.name)
        for path in sorted(set(places.values())):
            mine = {key: trained[key] for key in trained if places[key] == path}
            _overwrite(unfinished / path.name, mine)


def _overwrite(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Put new values in the place of tensors of a safetensors file."""
    with path.open("r+b") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        for key, tensor in tensors.items():
            file.seek(8 + length + header[key]["data_offsets"][0])
            file.write(_bytes(tensor, key, header[key]))


def _bytes(tensor: Tensor, key: str, stored: Mapping[str, Any]) -> bytes:
    """Return the bytes of a tensor as the file stores it, which is little-endian as all our machines are."""
    if list(tensor.shape) != stored["shape"]:
        raise CheckpointError(
            f"{key} was trained with shape {list(tensor.shape)}, but its source has {stored['shape']}"
        )
    flat = tensor.detach().to("cpu", DTYPES[stored["dtype"]]).contiguous().flatten()
    check_finite(key, flat)
    return flat.view(torch.uint8).numpy().tobytes()
