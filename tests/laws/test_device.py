"""The device: the accelerator of the machine where there is one, and one line where a device is not here."""

import warnings
from contextlib import nullcontext
from copy import copy
from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from janus_minimal import PromptPair
from janus_minimal.bench import clock
from janus_minimal.errors import InputError
from janus_minimal.jobs.request import Request
from janus_minimal.loading.vae import encode_picture, to_pictures
from janus_minimal.runtime.device import device_name, devices, known_device, pick_device
from janus_minimal.solvers import SOLVERS

# One name for each way in which `torch.device` accepts or refuses a name. Tensors on "meta" have no values to read.
ABSENT = ["warp", "", ":", "cuda:x", "cuda:99", "mps:9", "xpu:9", "meta", "hpu", "xla", "vulkan", "privateuseone"]
ABSENT += ["mkldnn"]  # PyTorch warns of it


def pretend(monkeypatch, kind: str | None, count: int = 1) -> None:
    """Let PyTorch report an accelerator of this kind, or none."""
    device = kind and torch.device(kind)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available=False: device)
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: kind is not None)
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: count if kind else 0)


@pytest.mark.parametrize("kind", ["cuda", "mps", "xpu"])
def test_the_accelerator_is_picked(monkeypatch, kind):
    """pick_device() = torch.accelerator.current_accelerator().

    A check for CUDA alone would leave every Apple and Intel machine on its CPU. This is the question that people ask
    most often about the original code.
    """
    pretend(monkeypatch, kind)
    assert pick_device() == torch.device(kind)


def test_without_an_accelerator_the_cpu_is_picked(monkeypatch):
    """no accelerator  =>  pick_device() = cpu.

    A build of PyTorch for CUDA also runs on machines without a GPU, so only the machine itself can tell.
    """
    pretend(monkeypatch, None)
    assert pick_device() == torch.device("cpu")


def test_an_accelerator_that_is_not_available_is_not_picked(monkeypatch):
    """current_accelerator(check_available=True) = None  =>  pick_device() = cpu.

    Without the check, PyTorch names the kind that it was built for, even where the machine has none.
    """

    def built_for_cuda(check_available=False):
        return None if check_available else torch.device("cuda")

    monkeypatch.setattr(torch.accelerator, "current_accelerator", built_for_cuda)
    assert pick_device() == torch.device("cpu")


def test_a_name_wins_over_the_accelerator(monkeypatch):
    """pick_device("cpu") = cpu, whatever accelerator there is; pick_device(d) = d for each device d that is here.

    `--device cpu` must keep the work off the GPU, for example to compare the two.
    """
    for name in devices():
        assert pick_device(name).type == torch.device(name).type
    pretend(monkeypatch, "mps")
    assert pick_device("cpu") == torch.device("cpu")


@pytest.fixture
def warned():
    """All warnings of a test. PyTorch gives each of its own once in a process, and here every time."""
    torch.set_warn_always(True)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        yield found
    torch.set_warn_always(False)


@pytest.mark.parametrize("name", ABSENT)
def test_a_device_that_is_not_here_is_one_line(name, warned):
    """pick_device(absent) raises InputError: one line that lists every device here, and no warning.

    PyTorch refuses each kind in its own way, often with a page of text about how it was built, and accepts some
    names without a device behind them. Of others it warns.
    """
    with pytest.raises(InputError) as refused:
        pick_device(name)
    assert not warned
    assert str(refused.value) == f'there is no device "{name}" here; expected one of: {", ".join(devices())}'


@pytest.mark.parametrize("error", [RuntimeError, AssertionError, ImportError, NotImplementedError])
def test_however_a_device_refuses_it_is_one_line(monkeypatch, error):
    """torch.zeros(device=name), or reading the number back, raises any of PyTorch's refusals  =>  InputError.

    A build for CUDA and a build without it refuse the same name in different ways, and only one of them is here.
    """

    def refuse(*given, **where):
        raise error("a page of text")

    for zeros in (refuse, lambda *given, **where: SimpleNamespace(item=refuse)):
        monkeypatch.setattr(torch, "zeros", zeros)
        with pytest.raises(InputError, match='no device "cuda" here'):
            pick_device("cuda")


def test_a_device_that_is_here_is_named_with_its_number(monkeypatch):
    """pick_device("cuda") = the device on which the number lies, cuda:0.

    Two spellings of one device would be unequal.
    """
    first = SimpleNamespace(item=lambda: 0.0, device=torch.device("cuda:0"))
    monkeypatch.setattr(torch, "zeros", lambda *given, **where: first)
    assert pick_device("cuda") == known_device(torch.device("cuda")) == torch.device("cuda:0")


def test_a_model_may_be_on_meta_where_a_picture_may_not():
    """known_device(d) = pick_device(d), and known_device("meta") = known_device(torch.device("meta")) = meta.

    Sizes are counted there without memory. Any other device that is absent is refused, by name or as an object.
    """
    assert known_device("meta") == known_device(torch.device("meta")) == torch.device("meta")
    assert known_device("cpu") == known_device(torch.device("cpu")) == torch.device("cpu")
    for absent in ("warp", "cpu:x", torch.device("cuda:99"), torch.device("mps:9")):
        with pytest.raises(InputError, match="there is no device"):
            known_device(absent)


@pytest.mark.parametrize(
    ("kind", "count", "here"),
    [(None, 0, ["cpu"]), ("mps", 1, ["cpu", "mps:0"]), ("cuda", 2, ["cpu", "cuda:0", "cuda:1"])],
)
def test_every_device_is_listed(monkeypatch, kind, count, here):
    """devices() = cpu, then each accelerator with its index.

    Whoever asked for a third GPU of two needs to see the indices.
    """
    pretend(monkeypatch, kind, count)
    assert devices() == here


@pytest.mark.parametrize("kind", ["cuda", "mps"])
def test_the_clock_waits_for_any_accelerator(monkeypatch, kind):
    """synchronize() waits once for the accelerator, whatever its kind; without one it does nothing.

    Calls to an accelerator return before it has finished. A clock that does not wait measures only how fast the work
    was handed over.
    """
    waited = []
    monkeypatch.setattr(torch.accelerator, "synchronize", lambda: waited.append(kind))
    pretend(monkeypatch, None)
    clock.synchronize()
    assert waited == []
    pretend(monkeypatch, kind)
    clock.synchronize()
    assert waited == [kind]


def test_the_peak_is_that_of_the_device(monkeypatch):
    """peak_memory(accelerator) = torch's count, else the process's; peak_memory(cpu) = the process's.

    On a GPU the process's own memory says nothing about its tensors. Older releases of PyTorch do not count them for
    MPS and raise RuntimeError.
    """

    def not_counted(device):
        raise RuntimeError("Allocator for mps is not a DeviceAllocator.")

    monkeypatch.setattr(torch.accelerator, "max_memory_allocated", lambda device: 7)
    assert clock.peak_memory(torch.device("cuda")) == clock.peak_memory(torch.device("mps")) == 7
    assert clock.peak_memory(torch.device("cpu")) > 1e6
    monkeypatch.setattr(torch.accelerator, "max_memory_allocated", not_counted)
    assert clock.peak_memory(torch.device("mps")) > 1e6
    monkeypatch.setattr(clock.resource, "getrusage", lambda who: SimpleNamespace(ru_maxrss=7))
    for system, unit in (("linux", 1024), ("darwin", 1)):  # which of them counts in kilobytes
        monkeypatch.setattr(clock.sys, "platform", system)
        assert clock.peak_memory(torch.device("cpu")) == 7 * unit


def test_a_device_has_a_name_for_people(monkeypatch):
    """device_name = the product's name where PyTorch knows it, else the kind; for the CPU, its cores.

    A measured time is worth nothing without the machine. Not every kind of accelerator has a function for the name.
    """
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"Card {device.index}")
    assert device_name(torch.device("cuda:1")) == "Card 1"
    assert device_name(torch.device("mps")) == "mps"
    assert device_name(torch.device("cpu")) == f"{torch.get_num_threads()} CPU cores"


class ReachedError(Exception):
    """Ends a call where the network would begin."""


def reached(seen):
    """A function that remembers on which devices its tensors are, and ends the call."""

    def network(*given):
        seen.extend(x.device.type for x in given if isinstance(x, torch.Tensor))
        raise ReachedError

    return network


@pytest.mark.parametrize("way", ["call", "walk"])
def test_all_that_a_model_is_given_is_on_its_device(unchecked, pipe, monkeypatch, way):
    """pipe(text), Request.walk: ids, mask, positions and noise are on the model's device, and its autocast is off.

    Noise and ids are made on the CPU. The meta device stands in for a GPU, where mixing the two is an error.
    """
    here, seen, quiet = copy(pipe), [], []
    here.model = SimpleNamespace(config=pipe.model.config, device=torch.device("meta"))
    monkeypatch.setattr("janus_minimal.runtime.checks.ready_to_draw", lambda model: None)  # it has no weights
    place = {"call": "pipeline", "walk": "jobs.request"}[way]
    monkeypatch.setattr(f"janus_minimal.{place}.without_autocast", lambda device: quiet.append(device) or nullcontext())

    def solver(model, prompt, z, times, weight):
        yield reached(seen)(*vars(prompt.rows).values(), z)

    monkeypatch.setitem(SOLVERS, "spy", solver)
    asked = Request("a star", 1, solver="spy")
    with pytest.raises(ReachedError):
        here("a star", 1, solver=solver, progress=False) if way == "call" else next(asked.walk(here))
    assert seen == ["meta"] * 4
    assert quiet == [torch.device("meta")]


@pytest.mark.parametrize("way", ["decode", "encode"])
def test_all_that_a_vae_is_given_is_on_its_device(unchecked, monkeypatch, way):
    """decode(latents), encode(picture): what the VAE takes is on its device, and the autocast of that device is off.

    Latents from a file are on the CPU. In an autocast to float16, SDXL's VAE overflows and the picture is black.
    """
    seen, quiet, device = [], [], torch.device("meta")
    monkeypatch.setattr("janus_minimal.loading.vae.without_autocast", lambda x: quiet.append(x) or nullcontext())
    config = SimpleNamespace(latent_channels=4, scaling_factor=0.5)
    vae = SimpleNamespace(config=config, device=device, dtype=torch.float32, **{way: reached(seen)})
    with pytest.raises(ReachedError):
        to_pictures(vae, torch.zeros(1, 4, 2, 2)) if way == "decode" else encode_picture(vae, Image.new("L", (8, 8)), 8)
    assert seen == ["meta"]
    assert quiet == [device]


def test_dropped_prompts_stay_on_their_device():
    """rows(with_prompt_dropout) are on the device of the pair, that of its ids, and so is what chooses them.

    Training on a GPU drops prompts in each step.
    """
    ids = [torch.tensor([1, 5, 6]), torch.tensor([1, 7, 8])]
    for pair in (PromptPair.from_ids(ids).to("meta"), PromptPair.from_ids([row.to("meta") for row in ids])):
        rows = pair.with_prompt_dropout(torch.zeros(2, dtype=torch.bool, device="meta"))
        assert {x.device.type for x in vars(rows).values()} == {"meta"}
