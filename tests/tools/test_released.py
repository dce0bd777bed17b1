"""A model of the released sizes, from loading to pixels, with random weights."""

from pathlib import Path

import pytest
from tools.standin import child, write


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("released")
    write(folder)
    return folder


@pytest.mark.slow
@pytest.mark.released
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_loading_takes_little_more_memory_than_the_weights(directory, dtype):
    """Loading reads the file block by block, so the peak memory is at most 1.2 times the size of the weights."""
    assert child("load", directory, dtype)["ratio"] <= 1.2


@pytest.mark.slow
@pytest.mark.released
def test_two_steps_and_a_picture(directory):
    """With 29 prompt tokens and 48 x 48 latents: cached = uncached, and 384 x 384 finite pixels within 9 GB."""
    found = child("steps", directory)
    assert found["cached and uncached apart"] < 1e-5
    assert found["picture"] == [1, 3, 384, 384]
    assert found["finite"]
    assert found["peak"] < 9e9
