"""Compiled or not, the same pictures."""

import subprocess
import sys

import pytest
import torch

from janus_minimal.compiled import STAGES, compile_stages
from janus_minimal.model import JanusFlow

# In a process of its own, for functions whose shapes are checked cannot be compiled.
COMPARED = """
import torch
from janus_minimal import JanusFlowPipeline
asked = dict(num_inference_steps=3, output_type="latent", progress=False)
def drawn(pipe, prompt):
    return pipe(prompt, generator=torch.Generator().manual_seed(0), **asked).images
plain, compiled = (JanusFlowPipeline.from_pretrained("shapes", compile=c) for c in (False, True))
for prompt in ("a red circle", "a red circle left of a blue square"):
    print(float((drawn(plain, prompt) - drawn(compiled, prompt)).abs().max()))
"""


@pytest.mark.slow
def test_the_compiled_loop_draws_the_same_pictures():
    """|latents(compiled) - latents| < 1e-4, for each of two prompts of different lengths.

    The same operations, some of them fused: only rounding may differ.
    """
    said = subprocess.run([sys.executable, "-c", COMPARED], check=True, capture_output=True, text=True).stdout
    differences = [float(line) for line in said.splitlines()]
    assert len(differences) == 2
    assert max(differences) < 1e-4


def test_without_a_compiler_the_model_stays_as_it_is(monkeypatch):
    """no compiler  =>  a warning, and the stages as they were.

    A picture that takes longer is better than none.
    """

    def broken(*args, **kwargs):
        raise RuntimeError("no compiler found\nand more lines")

    model = JanusFlow.from_pretrained("shapes")
    monkeypatch.setattr(torch, "compile", broken)
    with pytest.warns(UserWarning, match=r"no compiler works here \(no compiler found\): the model runs as it is"):
        compile_stages(model)
    assert not [name for name in STAGES if name in vars(model)]
