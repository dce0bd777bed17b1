"""Compile the five stages of a model with torch.compile. The loop then calls the compiled ones."""

import warnings
from collections.abc import Callable
from typing import Any, NoReturn

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

from janus_minimal.errors import InputError
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
        setattr(model, name, _Compiled(torch.compile(getattr(model, name), mode=mode)))


def _compiler_fault(device: torch.device) -> str | None:
    """Return what stops a small function from being compiled."""
    try:
        torch.compile(lambda x: torch.sin(x) + 1)(torch.zeros(8, device=device))
    except Exception as error:  # compilers fail in many ways, and each means the same here
        return next(filter(str.strip, str(error).splitlines()), type(error).__name__)
    return None


class _Compiled:
    """A compiled stage that returns copies: CUDA graphs write each result over the last one."""

    def __init__(self, stage: Callable[..., Any]) -> None:
        self.stage = stage

    def __call__(self, *inputs: Any) -> Any:
        return tree_map_only(Tensor, torch.clone, self.stage(*inputs))

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        """Refuse to be copied or pickled: a copy would keep the weights of the first model."""
        raise InputError("a compiled model cannot be copied: expected a copy before it is compiled")
