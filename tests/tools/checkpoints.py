"""Copies of the golden checkpoint, for laws that damage them."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from janus_minimal import JanusFlow
from janus_minimal.errors import CheckpointError

GOLDEN = Path(__file__).parent.parent / "golden"
KEYS = sorted(JanusFlow.from_pretrained(GOLDEN).state_dict())  # the file holds more


@contextmanager
def spoiled() -> Iterator[Path]:
    """Make a temporary copy of the golden checkpoint, which the test may damage."""
    with tempfile.TemporaryDirectory() as copy:
        for name in ("config.json", "model.safetensors"):
            shutil.copy(GOLDEN / name, copy)
        yield Path(copy)


def rewrite(directory, change):
    weights = load_file(directory / "model.safetensors")
    change(weights)
    save_file(weights, directory / "model.safetensors")


def edit_config(directory, change):
    config = json.loads((directory / "config.json").read_text())
    change(config)
    (directory / "config.json").write_text(json.dumps(config))


def shard(directory, change=lambda names: None):
    """Split the checkpoint into two shards with an index; `change` may then damage the index."""
    weights = load_file(directory / "model.safetensors")
    (directory / "model.safetensors").unlink()
    names = {key: f"model-{1 + i % 2}-of-2.safetensors" for i, key in enumerate(sorted(weights))}
    for name in set(names.values()):
        save_file({key: weights[key] for key in names if names[key] == name}, directory / name)
    change(names)
    (directory / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))


def refused(directory, *words):
    """Check that loading raises a CheckpointError, and that its message is one line with all these words."""
    with pytest.raises(CheckpointError) as error:
        JanusFlow.from_pretrained(directory)
    message = str(error.value)
    assert "\n" not in message
    for word in words:
        assert word in message
