"""The same stages, compiled: the loop calls what torch.compile made of them."""

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

from janus_minimal.model import JanusFlow

STAGES = ("encode", "align_in", "think", "align_out", "decode")


def compile_stages(model: JanusFlow) -> None:
    """Have torch.compile make each stage of the loop anew, for the shapes that it meets; on a GPU as CUDA graphs.

    The first step of a new shape compiles, which takes a minute or more; the others are then faster. Where no
    compiler works, the model stays as it is and a warning says so.
    """
    mode = "reduce-overhead" if model.device.type == "cuda" else "default"
    if fault := _compiler_fault(model.device):
        warnings.warn(f"no compiler works here ({fault}): the model runs as it is", stacklevel=2)
        return
    for name in STAGES:
        setattr(model, name, _kept(torch.compile(getattr(model, name), mode=mode, dynamic=False)))


def _compiler_fault(device: torch.device) -> str | None:
    """What stops a small function from being compiled."""
    try:
        torch.compile(lambda x: torch.sin(x) + 1)(torch.zeros(8, device=device))
    except Exception as error:  # compilers fail in many ways, and each of them means the same here
        return str(error).splitlines()[0]
    return None


def _kept(stage: Callable[..., Any]) -> Callable[..., Any]:
    """CUDA graphs write each result over the last one: hand out copies, which may be kept."""

    def run(*inputs: Any) -> Any:
        return tree_map_only(Tensor, torch.clone, stage(*inputs))

    return run
