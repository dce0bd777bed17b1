"""Compiled or not, the same pictures."""

import subprocess
import sys

import pytest
import torch

from janus_minimal.model import JanusFlow
from janus_minimal.runtime.compile import STAGES, compile_stages

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


LENGTHS = """
import torch
from janus_minimal import JanusFlow, PromptPair, denoise, time_grid
from janus_minimal.runtime import compile as stages
graphs, real = [], torch.compile
def backend(graph, inputs):
    graphs.append(graph)
    return graph.forward
torch.compile = lambda function, mode=None, **options: real(function, backend=backend, **options)
model = JanusFlow.from_pretrained("shapes")
stages.STAGES = ("backbone",)
stages.compile_stages(model)
graphs.clear()
def draw(length):
    prompt = PromptPair.from_ids([torch.ones(length, dtype=torch.long)])
    list(denoise(model, prompt, torch.zeros(1, 4, 12, 12), time_grid(1)))
for length in range(4, 17):
    draw(length)
print(len(graphs), torch._dynamo.utils.counters["frames"]["ok"], dict(torch._dynamo.utils.counters["unimplemented"]))
with torch._dynamo.config.patch(error_on_recompile=True):
    draw(40)
"""


@pytest.mark.slow
def test_prompts_of_any_length_share_the_compiled_graphs():
    """graphs(13 prompt lengths) = graphs(2 prompt lengths), and a fourteenth compiles nothing.

    With fixed sizes each length is compiled, and after eight of them torch runs the model uncompiled.
    """
    done = subprocess.run([sys.executable, "-c", LENGTHS], check=True, capture_output=True, text=True)
    assert int(done.stdout.split()[0]) <= 2, done.stdout


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
