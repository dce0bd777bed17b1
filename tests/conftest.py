"""What the laws are tested on: the golden checkpoint, and what the official modules compute with it.

The large libraries are imported where a fixture needs them. So what runs no law begins at once: `pytest --grade`, a
name that does not exist, and the process that hands out the tests to the others.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

# One thread for each process: the tensors are small, and the processes share the cores. torch reads this at import.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import jaxtyping
import pytest
from hypothesis import Phase, settings

if TYPE_CHECKING:
    from torch import Tensor

    from janus_minimal import JanusFlow, JanusFlowPipeline, PromptPair

pytest_plugins = ["museum.plugin"]

settings.register_profile("dev", max_examples=25, deadline=None)
settings.register_profile("ci", max_examples=25, deadline=None, derandomize=True)
FAST = (Phase.explicit, Phase.generate)  # do not search for the simplest failing example: any failure is enough
settings.register_profile("tour", max_examples=10, deadline=None, derandomize=True, database=None, phases=FAST)
settings.register_profile("thorough", max_examples=1000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev"))


@pytest.fixture(scope="session")
def golden() -> dict[str, "Tensor"]:
    from safetensors.torch import load_file
    from tools.checkpoints import GOLDEN

    return load_file(GOLDEN / "golden.safetensors")


@pytest.fixture(scope="session")
def model() -> "JanusFlow":
    from tools.checkpoints import GOLDEN

    from janus_minimal import JanusFlow

    return JanusFlow.from_pretrained(GOLDEN)


@pytest.fixture(scope="session")
def half() -> "JanusFlow":
    """The same weights, rounded to bfloat16."""
    import torch
    from tools.checkpoints import GOLDEN

    from janus_minimal import JanusFlow

    return JanusFlow.from_pretrained(GOLDEN, dtype=torch.bfloat16)


@pytest.fixture(scope="session")
def prompt(golden) -> "PromptPair":
    from janus_minimal import PromptPair

    return PromptPair.from_ids([golden["input_ids"]], images_per_prompt=2, pad_id=0)


@pytest.fixture
def directory() -> Iterator[Path]:
    """A copy of the golden checkpoint that a test may damage."""
    from tools.checkpoints import spoiled

    with spoiled() as copy:
        yield copy


@pytest.fixture
def surroundings() -> Iterator[Callable[..., None]]:
    """Set torch's default dtype and device, until the test ends."""
    import torch

    def set_defaults(dtype: "torch.dtype", device: str | None = None) -> None:
        torch.set_default_dtype(dtype)
        torch.set_default_device(device)

    yield set_defaults
    set_defaults(torch.float32)


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package as users run it, without the shape checks of the tests."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.fixture
def precision() -> Iterator[Callable[[str], None]]:
    """Set torch's precision of matrix products; afterwards it is as before."""
    import torch

    yield torch.set_float32_matmul_precision
    torch.set_float32_matmul_precision("highest")


@pytest.fixture(scope="session")
def pipe() -> "JanusFlowPipeline":
    from janus_minimal import JanusFlowPipeline

    return JanusFlowPipeline.from_pretrained("shapes")
