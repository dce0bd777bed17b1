"""JanusFlow's picture making, step by step: a caption and noise in, a picture out.

A public name is imported when it is first used, so that importing the package alone loads no heavy library.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from janus_minimal.denoise import Step, denoise
    from janus_minimal.flow import euler_step, guide, interpolate, time_grid
    from janus_minimal.model import JanusFlow
    from janus_minimal.pipeline import JanusFlowPipeline
    from janus_minimal.prompt import PromptPair

__all__ = [
    "JanusFlow",
    "JanusFlowPipeline",
    "PromptPair",
    "Step",
    "denoise",
    "euler_step",
    "guide",
    "interpolate",
    "time_grid",
]

ROOMS = {
    **dict.fromkeys(("euler_step", "guide", "interpolate", "time_grid"), "flow"),
    **dict.fromkeys(("Step", "denoise"), "denoise"),
    **{"PromptPair": "prompt", "JanusFlow": "model", "JanusFlowPipeline": "pipeline"},
}


def __getattr__(name: str) -> Any:
    if name not in ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{ROOMS[name]}"), name)


class _Package(ModuleType):
    """The loop has the name of its file: `janus_minimal.denoise` is the function, whoever imports the file first."""

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value.denoise if name == "denoise" and isinstance(value, ModuleType) else value)


sys.modules[__name__].__class__ = _Package
