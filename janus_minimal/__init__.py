"""JanusFlow's picture making, step by step: a caption and noise in, a picture out."""

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
