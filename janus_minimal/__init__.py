"""JanusFlow's image generation, step by step: a caption and noise in, a picture out.

Read the core in this order: flow, uvit, prompt, cache, model, sampling, pipeline, config.

The public names are imported when they are first used, so that `import janus_minimal` alone loads no
heavy library and the command line answers at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from janus_minimal.flow import euler_step, guide, interpolate, time_grid
    from janus_minimal.model import JanusFlow
    from janus_minimal.pipeline import JanusFlowPipeline
    from janus_minimal.prompt import PromptPair
    from janus_minimal.sampling import Step, denoise

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

MODULES = {
    **dict.fromkeys(("euler_step", "guide", "interpolate", "time_grid"), "flow"),
    **dict.fromkeys(("Step", "denoise"), "sampling"),
    **{"PromptPair": "prompt", "JanusFlow": "model", "JanusFlowPipeline": "pipeline"},
}


def __getattr__(name: str) -> Any:
    if name not in MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
