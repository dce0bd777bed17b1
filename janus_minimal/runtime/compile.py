"""Compile the five stages of a model with torch.compile. The loop then calls the compiled ones."""

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

from janus_minimal.model import JanusFlow

STAGES = ("encode", "align_in", "backbone", "align_out", "decode")


def compile_stages(model: JanusFlow) -> None:
    """Replace each stage of this model by its compiled form; on CUDA, by CUDA graphs.

    The first step compiles, which takes a minute or more. A prompt of another length compiles the
    language model once more, this time for every length: torch makes a size dynamic when it sees it
    change. If sizes were fixed, each length would be compiled, and after eight of them torch would
    give up and run the model uncompiled without a word. Where no compiler works, the model stays as
    it is, and a warning says so.
    """
    mode = "reduce-overhead" if model.device.type == "cuda" else "default"
    if fault := _compiler_fault(model.device):
        warnings.warn(f"no compiler works here ({fault}): the model runs as it is", stacklevel=2)
        return
    for name in STAGES:
        setattr(model, name, _with_own_results(torch.compile(getattr(model, name), mode=mode)))


def _compiler_fault(device: torch.device) -> str | None:
    """Return what stops a small function from being compiled."""
    try:
        torch.compile(lambda x: torch.sin(x) + 1)(torch.zeros(8, device=device))
    except Exception as error:  # compilers fail in many ways, and each means the same here
        return next(filter(str.strip, str(error).splitlines()), type(error).__name__)
    return None


def _with_own_results(stage: Callable[..., Any]) -> Callable[..., Any]:
    """Copy what a stage returns: CUDA graphs write each result over the last one."""

    def run(*inputs: Any) -> Any:
        return tree_map_only(Tensor, torch.clone, stage(*inputs))

    return run
