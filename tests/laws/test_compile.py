"""Compiled stages: they draw the same pictures as the uncompiled ones."""

import pickle
from copy import deepcopy
from unittest.mock import Mock

import pytest
import torch
from tools.checkpoints import GOLDEN
from tools.launched import printed

from janus_minimal import JanusFlow, JanusFlowPipeline
from janus_minimal.errors import InputError
from janus_minimal.runtime.compile import STAGES, compile_stages

# Run in a separate process without the shape checks of the tests: functions with such checks cannot be compiled. The
# backend traces and lowers the stages as the default one does, and stops before C++, whose compiler takes a minute.
COMPARED = """
import torch
real = torch.compile
torch.compile = lambda function, mode=None: real(function, backend="aot_eager")
from janus_minimal import JanusFlow, PromptPair, denoise, time_grid
from janus_minimal.runtime.compile import compile_stages
plain, compiled = (JanusFlow.from_pretrained("CHECKPOINT") for _ in range(2))
compile_stages(compiled)
prompt = PromptPair.from_ids([torch.arange(2, 9)], images_per_prompt=2)
noise = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
drawn, redrawn = (list(denoise(model, prompt, noise, time_grid(3)))[-1].z_next for model in (plain, compiled))
print(float((drawn - redrawn).abs().max()))
"""


@pytest.mark.slow
def test_the_compiled_loop_draws_the_same_pictures():
    """|latents(compiled) - latents| < 1e-4.

    The compiler traces each stage into a graph and splits it into basic operations. They compute the same, and only
    rounding may differ. What remains, turning graphs into machine code, is torch's own work.
    """
    assert float(printed(COMPARED.replace("CHECKPOINT", str(GOLDEN)))) < 1e-4


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

    A graph with a fixed prompt length would have to be compiled again for each length. After eight compilations, torch
    would give up and run the model uncompiled.
    """
    said = printed(LENGTHS)
    assert int(said.split()[0]) <= 2, said


@pytest.mark.parametrize("copied", [deepcopy, pickle.dumps])
def test_a_compiled_model_is_not_copied(model, monkeypatch, copied):
    """copy(compiled model), pickle(compiled model)  =>  InputError; of a model as it is, they work.

    The compiled stages are bound to the first model. A copy that was trained would draw with the first one's weights.
    """
    monkeypatch.setattr(torch, "compile", lambda function, mode=None: function)
    compiled = deepcopy(model)
    compile_stages(compiled)
    with pytest.raises(InputError, match="cannot be copied: expected a copy before it is compiled"):
        copied(compiled)
    copied(model)


FAULTS = {
    RuntimeError("no compiler found\nand more lines"): "no compiler found",
    RuntimeError("\nno compiler found"): "no compiler found",
    AssertionError(): "AssertionError",
    **{kind("no compiler found"): "no compiler found" for kind in (ImportError, OSError, FileNotFoundError)},
}


@pytest.mark.parametrize(("error", "said"), FAULTS.items())
@pytest.mark.parametrize("late", [False, True], ids=["at once", "when it is called"])
def test_without_a_compiler_the_model_stays_as_it_is(model, monkeypatch, error, said, late):
    """compile and no compiler  =>  a warning with the error's first line, and the stages stay uncompiled.

    The uncompiled model draws the same pictures, only more slowly. So a missing compiler is no reason to stop. torch
    compiles a function when it is first called, and without a C++ compiler or Triton fails in many ways.
    """
    own, broken = deepcopy(model), Mock(side_effect=error)
    monkeypatch.setattr(torch, "compile", (lambda *_, **__: broken) if late else broken)
    with pytest.warns(UserWarning, match=rf"no compiler works here \({said}\): the model runs as it is"):
        compile_stages(own)
    assert not [name for name in STAGES if name in vars(own)]


def test_a_pipeline_asks_for_a_compiler_if_it_is_told_to(monkeypatch):
    """from_pretrained(compile=True) compiles the stages of its model; without it, nobody asks for a compiler.

    Compiling takes a minute, and so nobody does it unasked.
    """
    asked = Mock()
    monkeypatch.setattr("janus_minimal.pipeline.compile_stages", asked)
    JanusFlowPipeline.from_pretrained("shapes")
    assert not asked.called
    pipe = JanusFlowPipeline.from_pretrained("shapes", compile=True)
    asked.assert_called_once_with(pipe.model)


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_the_compiler_is_tried_on_the_models_own_device(model, monkeypatch, device):
    """compile_stages(model on a device): a small function is compiled and called there.

    Each kind of device has a compiler of its own.
    """
    tried, own = [], deepcopy(model)
    monkeypatch.setattr(JanusFlow, "device", torch.device(device))
    monkeypatch.setattr(torch, "compile", lambda function, **_: lambda x: tried.append(x.device.type))
    compile_stages(own)
    assert tried == [device]


@pytest.mark.parametrize(
    ("device", "mode"),
    [("cpu", "default"), ("mps:0", "default"), ("cuda", "reduce-overhead"), ("cuda:1", "reduce-overhead")],
)
def test_all_five_stages_are_compiled_and_return_copies(monkeypatch, device, mode):
    """compile(encode, align_in, backbone, align_out, decode), by CUDA graphs on CUDA alone; results are copies.

    CUDA graphs write each result over the last one. The compiler here does nothing, and always returns one tensor.
    """
    asked, tried, buffer = [], [], torch.zeros(1)

    def compiler(function, mode):
        asked.append((function.__name__, mode))
        return lambda: (buffer, {"again": buffer})

    model = JanusFlow.from_pretrained("shapes")
    monkeypatch.setattr(JanusFlow, "device", torch.device(device))
    monkeypatch.setattr("janus_minimal.runtime.compile._compiler_fault", tried.append)
    monkeypatch.setattr(torch, "compile", compiler)
    compile_stages(model)
    names = ("encode", "align_in", "backbone", "align_out", "decode")
    assert asked == [(name, mode) for name in names]
    assert tried == [torch.device(device)]
    for name in names:
        first, rest = getattr(model, name)()
        assert torch.equal(first, buffer)
        assert buffer.data_ptr() not in (first.data_ptr(), rest["again"].data_ptr())
