"""What a training run leaves and goes on from: its folder, its settings, and its state."""

import errno
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch
from accelerate import Accelerator, DistributedType
from accelerate.state import AcceleratorState
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tools.processes import OneOfTwo
from torch import nn

from janus_minimal.errors import InputError
from janus_minimal.training.flow import train_flow
from janus_minimal.training.folder import run_folder
from janus_minimal.training.learner import Learner
from janus_minimal.training.loop import fit
from janus_minimal.training.recipe import Recipe
from janus_minimal.training.settings import begin_or_go_on
from janus_minimal.training.surroundings import check_surroundings

RECIPE = Recipe(steps=4, batch_size=2, learning_rate=0.01, warmup=1, average=0.5, save_every=2)
SETTINGS = {"flow seed": 0, "examples": 12}
HOLD = """
import sys, pathlib
from accelerate import Accelerator
from janus_minimal.training.folder import run_folder
with run_folder(pathlib.Path(sys.argv[1]), {"flow seed": 0, "examples": 12}, [], Accelerator(cpu=True)):
    print("held", flush=True)
    sys.stdin.readline()
"""


def small_network(width: int = 3) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, width), nn.LayerNorm(width))


def square(network, step):
    return (network(torch.full((2, 3), 0.1 * step)) - 1).square().mean()


def train(state, loss=square, network=None, report=lambda *_: None, recipe=RECIPE, data="", source=None):
    return fit(network or small_network(), loss, recipe, state, Accelerator(cpu=True), report, data, source)


def hold(folder, settings=SETTINGS, parts=()):
    with run_folder(folder, settings, parts, Accelerator(cpu=True)):
        pass


def refused(action, *words):
    """One line of an InputError with these words."""
    with pytest.raises(InputError) as error:
        action()
    assert all(word in str(error.value) for word in words), error.value


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "state.safetensors"
    train(path)
    return path


def change(path, **tensors):
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    save_file(load_file(path) | tensors, path, metadata)


def rename(path, old, new):
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    save_file({new if key == old else key: value for key, value in tensors.items()}, path, metadata)


def replace_by(make):
    def damage(path):
        path.unlink()
        make(path)

    return damage


DAMAGE = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-10]),
    "header alone": lambda path: path.write_bytes(path.read_bytes()[:100]),
    "empty": lambda path: path.write_bytes(b""),
    "rubbish": lambda path: path.write_bytes(bytes(range(256)) * 40),
    "of another program": lambda path: save_file({"x": torch.zeros(1)}, path),
    "notes of another program": lambda path: save_file(load_file(path), path, {"format": "pt"}),
    "recipe without data": lambda path: save_file(load_file(path), path, {"recipe": "{}"}),
    "infinite weight": lambda path: change(path, **{"network.0.bias": torch.tensor([0.5, torch.inf, 0.5])}),
    "no recipe": lambda path: save_file(load_file(path), path, {"recipe": "{"}),
    "recipe that nests": lambda path: save_file(load_file(path), path, {"recipe": "[" * 10**5, "data": ""}),
    "recipe that is no object": lambda path: save_file(load_file(path), path, {"recipe": "[]", "data": ""}),
    "NaN in a weight": lambda path: change(path, **{"network.0.bias": torch.tensor([0.5, torch.nan, 0.5])}),
    "NaN in a moment": lambda path: change(path, **{"optimizer.0.0.exp_avg": torch.full((3,), torch.nan)}),
    "NaN in a loss": lambda path: change(path, losses=torch.full((4,), torch.nan, dtype=torch.float64)),
    "losses of another dtype": lambda path: change(path, losses=torch.ones(4, dtype=torch.bool)),
    "fewer losses than steps": lambda path: change(path, losses=torch.ones(2, dtype=torch.float64)),
    "renamed tensor": lambda path: rename(path, "average.module.0.bias", "average.module.0.bios"),
    "a tensor more": lambda path: change(path, **{"network.9.bias": torch.zeros(3)}),
    "another shape": lambda path: change(path, **{"network.0.bias": torch.zeros(4)}),
    "another dtype": lambda path: change(path, **{"network.0.bias": torch.zeros(3, dtype=torch.float64)}),
    "folder": replace_by(os.mkdir),
    "FIFO": replace_by(os.mkfifo),
    "endless": replace_by(lambda path: path.symlink_to("/dev/zero")),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_state_is_one_line_and_the_way_out(whole, tmp_path, damage):
    """state that `save` did not write  =>  InputError, which names the file and says what helps.

    A run of hours should not end in a traceback, and never go on from numbers that it did not reach.
    """
    path = tmp_path / "state.safetensors"
    path.write_bytes(whole.read_bytes())
    damage(path)
    refused(lambda: train(path), str(path), "begin this training anew")


def test_a_state_that_may_not_be_read_is_one_line(whole, monkeypatch):
    """open(state) is denied  =>  InputError, which names the file and the reason.

    It may belong to somebody else.
    """
    monkeypatch.setattr("janus_minimal.training.learner.safe_open", Mock(side_effect=PermissionError(13, "denied")))
    refused(lambda: train(whole), str(whole), "denied", "begin this training anew")


def test_another_network_does_not_go_on_with_a_state(whole, tmp_path):
    """shapes(network) != shapes(state)  =>  InputError, which names a tensor.

    The file is whole then, and of another run.
    """
    path = tmp_path / "state.safetensors"
    path.write_bytes(whole.read_bytes())
    refused(lambda: train(path, network=small_network(4)), "network.0.", "begin this training anew")


def test_a_state_is_of_its_data(tmp_path):
    """data != data of the state  =>  InputError.

    The recipe is the same, so only this shows that half of the run would have seen other examples.
    """
    train(tmp_path / "state.safetensors", data="a")
    refused(lambda: train(tmp_path / "state.safetensors", data="b"), "data 'a', not 'b'")


@pytest.mark.parametrize("other", [{"data": "b"}, {"recipe": replace(RECIPE, seed=1)}])
def test_a_network_whose_state_is_refused_stays_as_it_was(whole, other):
    """InputError for a state of other data or another recipe  =>  weights(network) are the same, to the bit.

    Whoever then trains the same network in another directory begins with the weights of the seed.
    """
    network, before = small_network(), small_network().state_dict()
    refused(lambda: train(whole, network=network, **other), "was begun with")
    assert all(tensor.equal(before[key]) for key, tensor in network.state_dict().items())


@pytest.mark.parametrize("asked", [None, "b"])
def test_a_state_that_names_its_source_goes_on_from_no_other(tmp_path, asked):
    """source != source of the state  =>  InputError, which names the source, even if the data are others as well.

    Frozen weights are in the fingerprint of the data, and "data" alone would not say that the checkpoint is another.
    """
    path = tmp_path / "state.safetensors"
    train(path, data="of a", source="a")
    refused(lambda: train(path, data="of b", source=asked), f"was begun with source 'a', not {asked!r}: ")
    train(path, data="of a", source="a")


def test_a_state_that_names_no_source_goes_on(tmp_path):
    """no source in the state  =>  its run goes on from any source, and names that one in its next save.

    Earlier versions did not name it. A run of hours must not be lost for that.
    """
    path = tmp_path / "state.safetensors"
    with pytest.raises(ZeroDivisionError):
        train(path, report=lambda *_: 1 / 0)
    train(path, source="a")
    refused(lambda: train(path, source="b"), "source 'a', not 'b'")


@pytest.mark.parametrize("other", ["latents", "ids", "source"])
def test_the_flow_goes_on_with_its_own_examples(model, tmp_path, other):
    """latents, ids or the checkpoint to begin with changed between two calls of train_flow  =>  InputError.

    A folder of pictures may have grown in between. Captions of one set would be trained on latents of another.
    """
    from janus_minimal import JanusFlow

    examples = {"latents": torch.zeros(2, 4, 8, 8), "ids": [torch.tensor([1, 2]), torch.tensor([1, 3])]}
    examples["source"] = "shapes"

    def go(latents, ids, source):
        recipe = Recipe(steps=1, batch_size=1, learning_rate=0.01)
        state, network = tmp_path / "state.safetensors", JanusFlow(model.config)
        train_flow(network, latents, ids, 0, state, Accelerator(cpu=True), lambda *_: None, recipe, source=source)

    go(**examples)
    changed = {"latents": torch.ones(2, 4, 8, 8), "ids": examples["ids"][::-1], "source": "shapes-few"}
    refused(
        lambda: go(**{**examples, other: changed[other]}), f"was begun with {'source' if other == 'source' else 'data'}"
    )


def test_a_resumed_run_first_reports_what_it_has(tmp_path):
    """killed between save and report  =>  the next run reports that state before its first step.

    Otherwise a run that was killed after its last step would never write its checkpoint.
    """
    path, reported = tmp_path / "state.safetensors", []

    def killed(*_):
        raise KeyError

    with pytest.raises(KeyError):
        train(path, report=killed)
    saved = load_file(path)
    train(path, report=lambda average, losses: reported.append((average[0].bias.clone(), len(losses))))
    assert [steps for _, steps in reported] == [2, 4]
    assert reported[0][0].equal(saved["average.module.0.bias"])


def test_gradients_that_were_there_before_are_not_learned_from(tmp_path):
    """fit(network with gradients) = fit(network without), to the bit.

    A notebook that looked at gradients, or whose training was interrupted in a step, leaves some in the network.
    """
    for name in ("clean", "used"):
        network = small_network()
        if name == "used":
            square(network, 5).backward()
        train(tmp_path / name, network=network)
    clean, used = (load_file(tmp_path / name) for name in ("clean", "used"))
    assert all(used[key].equal(tensor) for key, tensor in clean.items())


def assert_resumed_is_uninterrupted(folder, network):
    """Every tensor of the state is the same at the end, whether the run was stopped in step 3 or not."""

    def stops(network, step):
        if step == 3:
            raise KeyError
        return square(network, step)

    with pytest.raises(KeyError):
        train(folder / "cut.safetensors", stops, network())
    train(folder / "cut.safetensors", network=network())
    train(folder / "whole.safetensors", network=network())
    cut, at_once = (load_file(folder / f"{name}.safetensors") for name in ("cut", "whole"))
    assert cut.keys() == at_once.keys()
    assert all(cut[key].equal(at_once[key]) for key in cut)


def test_a_frozen_weight_does_not_keep_a_run_from_going_on(tmp_path):
    """requires_grad = False for some weights  =>  resumed run = uninterrupted run, to the bit.

    Low-rank fine-tuning freezes most weights, and they have no moments in the optimiser.
    """

    def frozen():
        network = small_network()
        network[0].weight.requires_grad_(False)
        return network

    assert_resumed_is_uninterrupted(tmp_path, frozen)


def test_dropout_does_not_keep_a_run_from_going_on(tmp_path):
    """resumed run = uninterrupted run, to the bit, for a network with dropout, whatever was drawn in between.

    A config may have a dropout. Its masks come from PyTorch's own generator, whose state is in no file.
    """

    def network():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.LayerNorm(8))

    assert_resumed_is_uninterrupted(tmp_path, network)


def test_every_step_of_every_process_has_a_dropout_of_its_own(tmp_path):
    """mask(seed, step, process) differs for each of the three, and is the same again for the same three.

    With one mask at all steps, half of the network would never learn.
    """

    def masks(seed, kind):
        seen = []

        def loss(network, step):
            seen.append(network[0](torch.ones(64)) == 0)
            return network[1](torch.ones(64)).sum()

        state = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        fit(
            nn.Sequential(nn.Dropout(), nn.LayerNorm(64)),
            loss,
            replace(RECIPE, seed=seed),
            state,
            kind(cpu=True),
            Mock(),
        )
        return [tuple(mask.tolist()) for mask in seen]

    found = [mask for seed in (0, 1) for kind in (Accelerator, OneOfTwo) for mask in masks(seed, kind)]
    assert len(set(found)) == len(found) == 4 * RECIPE.steps
    assert masks(0, Accelerator) == found[: RECIPE.steps]


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
@pytest.mark.parametrize("step", [0, 3])
def test_a_loss_that_is_not_finite_stops_the_run(tmp_path, bad, step):
    """loss(k) not finite  =>  InputError, which names k, and the state from before.

    After such a step every weight is NaN, and the run would train on to its end and say nothing.
    """

    def loss(network, k):
        return square(network, k) + (bad if k == step else 0)  # its gradient is finite

    refused(lambda: train(tmp_path / "state.safetensors", loss), f"step {step}: the loss is {bad:g}")
    assert (tmp_path / "state.safetensors").exists() == (step > 0)
    if step > 0:
        assert len(load_file(tmp_path / "state.safetensors")["losses"]) == 2


def test_a_gradient_that_is_not_finite_stops_the_run(tmp_path):
    """loss finite, gradient NaN  =>  InputError, which tells both numbers.

    The square root of zero has the value 0 and the slope infinity.
    """

    def loss(network, step):
        return (0 * network[0].bias).abs().sqrt().sum()

    said = "step 0: the loss is 0, the norm of its gradient nan: expected finite numbers"
    refused(lambda: train(tmp_path / "state.safetensors", loss), said)


@pytest.mark.parametrize("name", SETTINGS)
def test_another_setting_is_refused_by_name(tmp_path, name):
    """settings(folder) != settings  =>  InputError, which names the one that differs; the same ones go on.

    What was made with the first setting is in the folder already. A setting that only one of them has differs too.
    """
    hold(tmp_path)
    hold(tmp_path)
    refused(lambda: hold(tmp_path, SETTINGS | {name: 3}), name, f"{SETTINGS[name]}, not 3", "another directory")
    refused(lambda: hold(tmp_path, SETTINGS | {"new": 3}), "new None, not 3")
    refused(
        lambda: hold(tmp_path, {n: value for n, value in SETTINGS.items() if n != name}), f"{name} {SETTINGS[name]}"
    )
    assert json.loads((tmp_path / "settings.json").read_text()) == SETTINGS


def test_a_run_without_its_settings_is_not_guessed(tmp_path):
    """parts of a run, no settings.json  =>  InputError, and nothing is written; other files and folders do not matter.

    A folder of somebody's own checkpoint would be overwritten.
    """
    (tmp_path / "notes.txt").touch()
    (tmp_path / "flow.training.safetensors").touch()
    refused(lambda: hold(tmp_path, parts=["*.training.safetensors"]), "flow.training.safetensors", "no settings.json")
    lost = ("flow.training.safetensors", "no settings.json")
    refused(lambda: begin_or_go_on(tmp_path, SETTINGS, ["*.training.safetensors"]), *lost)
    assert not (tmp_path / "settings.json").exists()
    (tmp_path / "another").mkdir()
    (tmp_path / "flow.training.safetensors").rename(tmp_path / "another" / "flow.training.safetensors")
    hold(tmp_path, parts=["*.training.safetensors"])


@pytest.mark.parametrize("content", ["", "{", "[]", "[" * 10**5])
def test_damaged_settings_are_one_line(tmp_path, content):
    """settings.json that is no object  =>  InputError, which names the file.

    Somebody may have edited it.
    """
    (tmp_path / "settings.json").write_text(content)
    refused(lambda: hold(tmp_path), "settings.json", "the settings of a run")


def test_a_folder_belongs_to_one_run_until_that_ends(tmp_path):
    """second run while the first lives: InputError; after kill -9 of the first: not.

    Two runs in one folder would go on from each other's states.
    """
    first = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert first.stdout.readline() == b"held\n"
    refused(lambda: hold(tmp_path), "another run is at work", str(tmp_path))
    first.kill()
    first.communicate(timeout=60)
    hold(tmp_path)


def test_of_several_processes_the_main_one_holds_the_folder(tmp_path):
    """run_folder in a process that is not the main one writes nothing, and waits for nobody.

    The main process holds the folder for all. A second lock of it would stop the run at its beginning.
    """
    other = Mock(spec=Accelerator, is_main_process=False)
    with run_folder(tmp_path / "run", SETTINGS, [], other):
        assert not (tmp_path / "run").exists()


def test_a_lock_that_cannot_be_taken_is_one_line(tmp_path):
    """run.lock is a folder, or a link to nowhere  =>  InputError, and no settings are written.

    Without a lock, two runs could be at work in the folder.
    """
    for name, make in {"folder": Path.mkdir, "link": lambda path: path.symlink_to("nowhere")}.items():
        folder = tmp_path / name
        folder.mkdir()
        make(folder / "run.lock")
        refused(lambda folder=folder: hold(folder), "run.lock cannot be locked", "move it away")
        assert not (folder / "settings.json").exists()


WITHOUT_LOCKS = ("ENOSYS", "ENOTSUP", "EOPNOTSUPP", "ENOLCK")  # the last one: NFS without its lock daemon


@pytest.mark.parametrize(
    "error", [*(OSError(getattr(errno, name), "no locks here") for name in WITHOUT_LOCKS), NotImplementedError]
)
def test_a_file_system_without_locks_takes_runs_all_the_same(tmp_path, monkeypatch, error):
    """lock(...) is not supported  =>  the run begins.

    Some network file systems have no locks.
    """
    monkeypatch.setattr("janus_minimal.training.folder.FileLock.acquire", Mock(side_effect=error))
    hold(tmp_path)
    assert (tmp_path / "settings.json").exists()


def test_the_settings_are_not_looked_at_while_another_run_writes_them(tmp_path):
    """lock, then read: a second run with other settings hears of the first run, not of its settings.

    Otherwise it could read them before the first run has written them.
    """
    with run_folder(tmp_path, SETTINGS, [], Accelerator(cpu=True)):
        refused(lambda: hold(tmp_path, {"flow seed": 1}), "another run is at work")


@pytest.fixture
def accelerate_anew():
    """accelerate reads the environment once in a process, and shares what it read."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ACCELERATE_MIXED_PRECISION", "bf16"),
        ("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "2"),
        ("ACCELERATE_DYNAMO_BACKEND", "INDUCTOR"),
    ],
)
def test_an_environment_variable_does_not_change_a_run_in_silence(
    tmp_path, monkeypatch, accelerate_anew, variable, value
):
    """accelerate's precision, accumulation or compiler from the environment  =>  InputError, no state.

    Half precision makes other weights, and nothing in the recipe or in the result would show it.
    """
    monkeypatch.setenv(variable, value)
    refused(lambda: train(tmp_path / "state.safetensors"), value, "changes what is learned")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["FSDP", "DEEPSPEED", "MEGATRON_LM"])
def test_weights_are_not_divided_among_processes(kind):
    """FSDP, DeepSpeed or Megatron from the environment  =>  InputError.

    The state of a run holds whole weights, and each process would save its part.
    """
    plain = {"device": torch.device("cpu"), "mixed_precision": "no", "gradient_accumulation_steps": 1}
    accelerator = Mock(spec=Accelerator, distributed_type=DistributedType[kind], state=Mock(), **plain)
    accelerator.state.dynamo_plugin.backend.value = "NO"
    refused(lambda: check_surroundings(accelerator), "division of the weights", kind)


def test_autocast_is_looked_for_on_the_device_of_the_run(monkeypatch):
    """autocast on a GPU  =>  InputError for a run on the GPU, and none for one on the CPU.

    torch has a switch for each kind of device, and the CPU's says nothing of the others.
    """
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda kind: kind == "cuda")
    check_surroundings(Accelerator(cpu=True))
    monkeypatch.setattr(Accelerator, "device", torch.device("cuda"))
    refused(lambda: check_surroundings(Accelerator(cpu=True)), "torch's autocast is True")


def test_torchs_precision_does_not_change_a_run_in_silence(tmp_path, precision):
    """matrix products in TF32 or bfloat16, or autocast  =>  InputError, no state.

    Each changes every weight that is learned.
    """
    state = tmp_path / "state.safetensors"
    for name, lower in (("high", "tf32"), ("medium", "bf16 and tf32")):
        precision(name)
        refused(lambda: train(state), "precision of matrix products", lower)
    precision("highest")
    torch.backends.cuda.matmul.allow_tf32 = True
    refused(lambda: train(state), "precision of matrix products", "tf32")
    precision("highest")
    with torch.autocast("cpu"):
        refused(lambda: train(state), "autocast", "True")
    assert list(tmp_path.iterdir()) == []
    train(state)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_a_mode_without_gradients_is_refused(tmp_path, mode):
    """no_grad or inference_mode around a training  =>  InputError, no state.

    Nothing can be learned there, and torch says so only after the folder of the run was begun.
    """
    with mode():
        refused(lambda: check_surroundings(Accelerator(cpu=True)), "grad mode", "False")
        refused(lambda: train(tmp_path / "state.safetensors"), "grad mode", "False")
    assert list(tmp_path.iterdir()) == []


def test_torchs_defaults_do_not_change_a_run_in_silence(tmp_path, surroundings):
    """torch's default dtype or device changed  =>  InputError, no state.

    A network that is built under another default has other weights.
    """
    surroundings(torch.float64)
    refused(lambda: train(tmp_path / "state.safetensors"), "default dtype", "float64")
    surroundings(torch.float32, "meta")
    refused(lambda: check_surroundings(Accelerator(cpu=True)), "default device", "meta")
    assert list(tmp_path.iterdir()) == []
    surroundings(torch.float32)
    check_surroundings(Accelerator(cpu=True))


def test_a_learner_saves_what_it_loads(whole, tmp_path):
    """save(load(state)) = state, tensor for tensor, to the bit.

    Every tensor of the state counts: weights, average, moments, losses.
    """
    learner = Learner(small_network(), RECIPE)
    learner.load(whole)
    learner.save(tmp_path / "again.safetensors")
    first, again = load_file(whole), load_file(tmp_path / "again.safetensors")
    assert first.keys() == again.keys()
    assert all(first[key].equal(again[key]) for key in first)


def test_a_state_that_was_loaded_leaves_no_gradients(tmp_path):
    """grad(weight) = None after Learner.load, for frozen weights too.

    Moments are made by a step with gradients of zero. Kept, they are the memory of all weights once more.
    """
    network = small_network()
    network[0].weight.requires_grad_(False)
    train(tmp_path / "state.safetensors", network=network)
    learner = Learner(network, RECIPE)
    learner.load(tmp_path / "state.safetensors")
    assert [weight.grad for weight in learner.master.parameters()] == [None] * 4


def test_a_network_and_its_average_lie_on_the_device_of_the_process(tmp_path, monkeypatch):
    """fit moves the network to the accelerator's device before its average is made.

    The meta device stands in for a GPU. An average on the CPU cannot be updated from weights on a GPU.
    """

    class Elsewhere(Accelerator):
        device = torch.device("meta")

    seen = []

    def averaged(network, *given):
        seen.extend(weight.device.type for weight in network.parameters())
        raise KeyError

    monkeypatch.setattr(torch, "is_autocast_enabled", lambda kind: False)
    monkeypatch.setattr("janus_minimal.training.loop.Learner", averaged)
    with pytest.raises(KeyError):
        fit(small_network(), square, RECIPE, tmp_path / "state", Elsewhere(cpu=True), Mock())
    assert seen == ["meta"] * 4
