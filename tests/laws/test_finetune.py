"""Fine-tuning: which weights train, adapters, master weights, gradient accumulation and checkpointing."""

import json
import sys
from copy import deepcopy
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch
from accelerate import Accelerator
from tools.checkpoints import GOLDEN, rewrite
from tools.drawn import normal
from tools.processes import OneOfTwo
from torch import nn
from torch.optim.optimizer import register_optimizer_step_pre_hook
from transformers import PreTrainedModel

from janus_minimal import JanusFlow, PromptPair
from janus_minimal.config import LanguageConfig
from janus_minimal.errors import CheckpointError, InputError
from janus_minimal.training.batch import draw_batch
from janus_minimal.training.finetune import prepare
from janus_minimal.training.flow import train_flow
from janus_minimal.training.loop import fit
from janus_minimal.training.lora import add_adapters, check_adapters, merge_adapters, trained_weights
from janus_minimal.training.loss import flow_loss
from janus_minimal.training.master import master_of
from janus_minimal.training.recipe import Recipe
from janus_minimal.training.start import Start
from janus_minimal.training.tuning import Tuning

RECIPE = Recipe(steps=4, batch_size=4, learning_rate=0.01, warmup=1, average=0.5, save_every=2)
IDS = [torch.arange(1, length) for length in (4, 7, 5)]
LATENTS = normal(0, 3, 4, 8, 8)
BATCH = draw_batch(0, IDS, LATENTS, 4, seed=0)
HALF = "bfloat16"
WAYS = {
    "uvit": Tuning("uvit"),
    "lora": Tuning("lora", lora=2),
    "uvit and lora": Tuning("uvit", lora=2),
    "all": Tuning("all"),
}
LANGUAGE = "language_model."


class InterruptionError(Exception):
    """Stands for a kill."""


def loaded(tuning: Tuning) -> JanusFlow:
    torch.manual_seed(0)
    return prepare(JanusFlow.from_pretrained(GOLDEN, getattr(torch, tuning.dtype)), tuning)


def trained(state, tuning: Tuning, recipe: Recipe = RECIPE, report=lambda *_: None) -> JanusFlow:
    parts = tuning.gradient_accumulation_steps
    return train_flow(loaded(tuning), LATENTS, IDS, 0, state, Accelerator(cpu=True), report, recipe, parts)


def velocities(model: nn.Module) -> torch.Tensor:
    """What the model answers to a batch."""
    rows = PromptPair.from_ids(BATCH.ids, pad_id=0).with_prompt_dropout(BATCH.dropped)
    with torch.no_grad():
        return model(BATCH.z_0, BATCH.t, rows)


def gradients(model: nn.Module) -> dict[str, torch.Tensor]:
    learning = {name: p for name, p in model.named_parameters() if p.requires_grad}
    found = torch.autograd.grad(flow_loss(model, BATCH, 0), learning.values())
    return dict(zip(learning, found, strict=True))


@pytest.fixture(scope="module")
def tuned(tmp_path_factory) -> dict[str, JanusFlow]:
    folder = tmp_path_factory.mktemp("tuned")
    return {name: trained(folder / f"{name}.safetensors", way) for name, way in WAYS.items()}


def test_an_untrained_adapter_changes_nothing(model):
    """v(with adapters, B = 0) = v, to the bit.

    Fine-tuning starts from what the model can do, not from a model that has been disturbed.
    """
    assert velocities(loaded(Tuning("lora", lora=3))).equal(velocities(model))


@pytest.mark.parametrize("way", WAYS)
def test_only_what_is_named_changes(model, tuned, way):
    """w(after) != w(before) for every weight that is named, and w(after) = w(before), to the bit, for every other.

    "uvit" leaves the language model alone, "lora" changes its linear layers alone, "all" changes everything. A weight
    that moves unasked is forgetting without a cause that anybody could find.
    """
    before, after = model.state_dict(), merge_adapters(tuned[way]).state_dict()
    changed = {key for key in before if not before[key].equal(after[key])}
    linear = {f"{n}.weight" for n, m in model.named_modules() if n.startswith(LANGUAGE) and isinstance(m, nn.Linear)}
    around = {key for key in before if not key.startswith(LANGUAGE)}
    expected = {"uvit": around, "lora": linear, "uvit and lora": around | linear, "all": set(before)}[way]
    assert changed == expected
    assert trained_weights(tuned[way]).keys() == expected


@pytest.mark.parametrize("way", WAYS)
def test_a_model_learns_in_training_mode_and_draws_in_evaluation_mode(way):
    """training(prepare(model)) = True in every module; training(start.plain(it)) = False, and it has one dtype.

    Dropout belongs to the steps. In a sample it would draw another picture each time, and hide what was learned.
    """
    start = Start(GOLDEN, replace(WAYS[way], dtype=HALF))
    model = start.load(torch.device("cpu"))
    assert all(module.training for module in model.modules())
    assert start.load(torch.device("meta")).device.type == "meta"
    plain = start.plain(master_of(model))
    assert not any(module.training for module in plain.modules())
    assert {weight.dtype for weight in plain.parameters()} == {torch.bfloat16}


def test_an_adapter_stands_beside_every_linear_layer_of_the_language_model():
    """{adapted} = {linear layers of LlamaModel}, and A is [R, in], B is [out, R]; A is uniform, up to 1 / sqrt(in).

    The rank is the one that was asked for, and no layer is left out. Normal numbers of deviation 1 / R, which peft
    offers too, would be others: learning rates are known for these.
    """
    plain, shapes = JanusFlow.from_pretrained(GOLDEN), {}
    add_adapters(model := JanusFlow.from_pretrained(GOLDEN), 3)
    for name, p in model.named_parameters():
        if p.requires_grad and name.startswith(LANGUAGE):
            shapes.setdefault(name.split(".lora_")[0], []).append(tuple(p.shape))
        if ".lora_A" in name:
            assert 0.9 < p.abs().max() * p.shape[1] ** 0.5 <= 1
    linear = {n: m for n, m in plain.named_modules() if n.startswith(LANGUAGE) and isinstance(m, nn.Linear)}
    assert shapes == {n: [(3, m.in_features), (m.out_features, 3)] for n, m in linear.items()}


@pytest.mark.parametrize("way", ["lora", "uvit and lora"])
def test_merged_adapters_give_the_same_velocities(model, tuned, way):
    """v(W + B A) = v(W and adapters), to 1e-5 of its size; the official keys; merged weights ask for no gradient.

    A merged model needs no peft, costs no time, and can be loaded by everyone. Who trains it further would otherwise
    train the language model, which was frozen.
    """
    merged, expected = merge_adapters(tuned[way]), velocities(tuned[way])
    assert merged.state_dict().keys() == model.state_dict().keys()
    assert not any(weight.requires_grad for weight in merged.llama.parameters())
    assert (expected - velocities(model)).norm() > 1e-3 * expected.norm()  # something was learned
    assert (velocities(merged) - expected).norm() < 1e-5 * expected.norm()


@pytest.mark.parametrize("dtype", ["float32", HALF])
def test_a_merged_weight_is_the_sum_rounded_once(dtype):
    """merged = round(W + B A), computed in float32, with the factor alpha / R = 1.

    B A rounded to bfloat16 before it is added would lose up to half of a step of W more.
    """
    model = loaded(Tuning("lora", lora=2, dtype=dtype))
    layer = model.llama.layers[0].mlp.up_proj
    a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    with torch.no_grad():
        a.data, b.data = a.float(), normal(0, *b.shape)  # float32, as the copies that learn are
        expected = (layer.get_base_layer().weight.float() + b @ a).to(model.dtype)
    assert merge_adapters(model).llama.layers[0].mlp.up_proj.weight.equal(expected)


def test_merging_copies_no_frozen_weight(tuned):
    """storage(merged weight) = storage(model's weight) for every frozen weight without an adapter.

    A model is merged at each save, for the samples and for the checkpoint. Frozen weights are most of its memory.
    """
    merged = dict(merge_adapters(tuned["lora"]).named_parameters())
    shared = {name for name, p in tuned["lora"].named_parameters() if name in merged and not p.requires_grad}
    assert "language_model.model.embed_tokens.weight" in shared
    for name in shared:
        assert merged[name].data_ptr() == tuned["lora"].get_parameter(name).data_ptr(), name


def test_merging_leaves_the_model_as_it_is(tuned):
    """v(model) is the same before and after merge_adapters(model).

    Training goes on after a save. Were W changed in place, the adapters would be added twice.
    """
    before = velocities(tuned["lora"])
    merge_adapters(tuned["lora"])
    assert velocities(tuned["lora"]).equal(before)


@pytest.mark.parametrize(
    "tuning",
    [
        Tuning("lora", lora=2),
        Tuning("uvit", lora=2, dtype=HALF, gradient_checkpointing=True, gradient_accumulation_steps=2),
        Tuning("all", dtype=HALF),
    ],
)
def test_interrupted_fine_tuning_goes_on_with_the_same_losses(tmp_path, tuning):
    """losses and weights(interrupted, resumed) = those of an uninterrupted run, to the bit.

    Frozen weights are not in the state: they are loaded again. Adapters and float32 copies are in it.
    """

    def stop(model, losses):
        raise InterruptionError

    told = []
    whole = trained(tmp_path / "whole.safetensors", tuning, report=lambda _, losses: told.append(list(losses)))
    with pytest.raises(InterruptionError):
        trained(tmp_path / "cut.safetensors", tuning, report=stop)
    again = trained(tmp_path / "cut.safetensors", tuning, report=lambda _, losses: told.append(list(losses)))
    assert told[-1] == told[1]
    assert len(told[-1]) == RECIPE.steps
    for a, b in zip(whole.parameters(), again.parameters(), strict=True):
        assert a.equal(b)


def test_the_state_holds_no_frozen_weight(tmp_path):
    """bytes(state) < bytes(weights) / 2, when adapters of rank 1 train.

    A state of the released model would have 6 GB of weights that nobody changed, twice.
    """
    trained(tmp_path / "state.safetensors", Tuning("lora", lora=1))
    weights = sum(p.nbytes for p in JanusFlow.from_pretrained(GOLDEN).parameters())
    assert (tmp_path / "state.safetensors").stat().st_size < weights / 2


def test_a_state_of_other_frozen_weights_is_refused(tmp_path):
    """Frozen weights that differ from those the state was begun with  =>  InputError.

    Adapters mean something only beside the weights that they were trained beside.
    """
    state = tmp_path / "state.safetensors"
    trained(state, WAYS["lora"])
    other = loaded(WAYS["lora"])
    with torch.no_grad():
        other.vision_gen_enc_aligner.bias[0] += 1
    with pytest.raises(InputError, match="begun with data"):
        train_flow(other, LATENTS, IDS, 0, state, Accelerator(cpu=True), lambda *_: None, RECIPE)


@pytest.mark.parametrize("way", WAYS)
def test_a_start_is_of_its_weights_and_its_config(directory, way):
    """fingerprint(start, loaded) = that with other adapters, != that with another weight, != that with another eps.

    What is not trained, the config above all, is copied from the source at each save. It must be the same one then.
    """

    def found(seed: int) -> str:
        start = Start(directory, WAYS[way])
        torch.manual_seed(seed)
        return start.fingerprint(start.load(torch.device("cpu")))

    first, path = found(0), directory / "config.json"
    assert found(1) == first
    config = json.loads(path.read_text())
    config["language_config"]["rms_norm_eps"] = 0.5
    path.write_text(json.dumps(config))
    second = found(0)
    rewrite(directory, lambda weights: weights["vision_gen_enc_aligner.bias"].add_(1))
    assert len({first, second, found(0)}) == 3


def test_two_half_batches_are_one_batch(tmp_path):
    """losses and weights(batches in 2 or 4 parts) = losses and weights(whole batches), up to rounding.

    Gradient accumulation saves memory. It must not change what is learned, least of all the learning rate.
    """

    def run(parts: int):
        tuning, told = Tuning("uvit", gradient_accumulation_steps=parts), []
        model = trained(tmp_path / f"{parts}.safetensors", tuning, report=lambda _, losses: told.append(list(losses)))
        return told[-1], torch.cat([p.detach().flatten() for p in model.parameters()])

    losses, weights = run(1)
    moved = (weights - torch.cat([p.flatten() for p in loaded(WAYS["uvit"]).parameters()])).norm()
    for parts in (2, 4):
        same_losses, same_weights = run(parts)
        assert losses == pytest.approx(same_losses, rel=1e-4)
        assert (weights - same_weights).norm() < 0.05 * moved


def test_one_part_is_computed_after_the_other(tmp_path):
    """The gradient of part i is there before part i + 1 is asked for.

    Otherwise the activations of all parts would be in memory at once, and nothing would be saved.
    """
    seen, network = [], nn.Linear(1, 1, bias=False)

    def loss(network, step):
        for part in (1.0, 2.0):
            seen.append(0.0 if network.weight.grad is None else network.weight.grad.item())
            yield part * network.weight.sum()

    recipe = Recipe(steps=1, batch_size=1, learning_rate=0.1)
    fit(network, loss, recipe, tmp_path / "state.safetensors", Accelerator(cpu=True), lambda *_: None)
    assert seen == [0.0, 1.0]


def test_a_start_writes_down_every_choice():
    """about(start) = the source's path, and each choice of Tuning under its name, in words.

    Whoever goes on with another choice is refused by name, and settings.json of earlier versions has these names.
    """
    tuning = Tuning("uvit", 4, HALF, gradient_checkpointing=True, gradient_accumulation_steps=2)
    assert Start(GOLDEN, tuning).about == {
        "from": str(GOLDEN.resolve()),
        "train": "uvit",
        "lora": 4,
        "dtype": "bfloat16",
        "gradient checkpointing": True,
        "gradient accumulation steps": 2,
    }


def test_parts_of_unequal_size_are_refused(tmp_path):
    """(batch_size / processes) mod gradient_accumulation_steps != 0  =>  InputError.

    Each part's mean counts the same, so examples of a smaller part would count more.
    """
    with pytest.raises(InputError, match="4 examples in 3 gradient accumulation steps"):
        trained(tmp_path / "state.safetensors", Tuning(gradient_accumulation_steps=3))
    one, told = JanusFlow.from_pretrained(GOLDEN), OneOfTwo(cpu=True)  # half of a batch is its share
    with pytest.raises(InputError, match="2 examples in 4 gradient accumulation steps"):
        train_flow(one, LATENTS, IDS, 0, tmp_path / "state.safetensors", told, lambda *_: None, RECIPE, 4)


@pytest.mark.parametrize("way", WAYS)
def test_gradient_checkpointing_changes_no_gradient(way):
    """grad(activations computed again) = grad(activations kept), to the bit, whatever trains.

    The same operations run on the same numbers, only twice. torch's older way of doing so ("reentrant") cannot be asked
    for the gradients of some weights alone, as here.
    """
    kept, again = (gradients(loaded(replace(WAYS[way], gradient_checkpointing=choice))) for choice in (False, True))
    assert kept.keys() == again.keys()
    assert all(kept[name].equal(again[name]) for name in kept)


def test_checkpointing_has_two_names(model, monkeypatch):
    """prepare(gradient_checkpointing) calls the method of transformers under the name that its version has.

    The older name is deprecated, and versions that still have it alone are supported.
    """
    for name in ("activation_checkpointing_enable", "gradient_checkpointing_enable"):
        with monkeypatch.context() as patch:
            for known in ("activation_checkpointing_enable", "gradient_checkpointing_enable"):
                patch.delattr(PreTrainedModel, known, raising=False)
            called = Mock()
            patch.setattr(PreTrainedModel, name, called, raising=False)
            prepare(deepcopy(model), Tuning("uvit", gradient_checkpointing=True))
        called.assert_called_once_with({"use_reentrant": False})


@pytest.mark.parametrize("wrong", [{"train": "UViT"}, {"train": None}, {"dtype": "float16"}, {"dtype": torch.bfloat16}])
def test_a_choice_that_is_not_known_is_refused(unchecked, wrong):
    """train, dtype: one of those that are known, else InputError, which names it.

    A mistyped train="UViT" would freeze what it should train, and nothing in the result would say so.
    """
    with pytest.raises(InputError, match=f"{next(iter(wrong))} is .*: expected one of"):
        Tuning(**wrong)


@pytest.mark.parametrize("way", WAYS)
def test_gradient_checkpointing_keeps_fewer_numbers(way):
    """numbers kept for the backward pass(checkpointing) < 2/3 of those without, whatever trains.

    An option that changes no gradient could also be one that does nothing.
    """

    def kept(choice: bool) -> int:
        model, sizes = loaded(replace(WAYS[way], gradient_checkpointing=choice)), []
        hooks = torch.autograd.graph.saved_tensors_hooks(lambda x: sizes.append(x.numel()) or x, lambda x: x)
        with hooks:
            flow_loss(model, BATCH, 0)
        return sum(sizes)

    assert kept(True) < 2 / 3 * kept(False)


def test_a_long_gradient_in_half_precision_is_made_one_long(tmp_path):
    """g -> g / |g| for |g| > 1, for the float32 copies of a bfloat16 network too.

    The network itself has no gradients any more at that time, so their norm would be 0 and nothing be clipped.
    """
    network, seen = nn.LayerNorm(2, dtype=torch.bfloat16), []

    def see(optimizer, *_):
        seen.append(torch.cat([p.grad for group in optimizer.param_groups for p in group["params"]]))

    hook = register_optimizer_step_pre_hook(see)
    loss = lambda network, step: 8 * network.weight.float().sum() + 0 * network.bias.float().sum()  # noqa: E731
    recipe = Recipe(steps=1, batch_size=1, learning_rate=0.01)
    fit(network, loss, recipe, tmp_path / "state.safetensors", Accelerator(cpu=True), lambda *_: None)
    hook.remove()
    torch.testing.assert_close(seen[0], torch.tensor([0.5**0.5, 0.5**0.5, 0, 0]), rtol=1e-4, atol=1e-5)


def test_the_gradients_of_the_parts_are_added_in_float32(tmp_path):
    """g(step) = g(part 1) + g(part 2) in float32 for a network in bfloat16, and the next step begins at zero.

    In bfloat16 1/2 + 1/1024 = 1/2, so small parts would be lost. A gradient that stays in the network is added again
    in the next step, and the one of a weight in float32 must not be rounded on its way.
    """
    seen, network = [], nn.ParameterList([torch.ones(1, dtype=torch.bfloat16), torch.ones(1)])

    def loss(network, step):
        for part in (1 / 2, 1 / 1024):
            yield part * network[0].float().sum() + 0.1 * part * network[1].sum()

    def see(optimizer, *_):
        seen.extend(p.grad.item() for group in optimizer.param_groups for p in group["params"])

    hook = register_optimizer_step_pre_hook(see)
    recipe = Recipe(steps=2, batch_size=1, learning_rate=0.01)
    fit(network, loss, recipe, tmp_path / "state.safetensors", Accelerator(cpu=True), lambda *_: None)
    hook.remove()
    assert seen == pytest.approx([513 / 1024, 0.1 * 513 / 1024] * 2, rel=1e-5)


def test_small_updates_are_gathered_in_float32(tmp_path):
    """In bfloat16, 1 - 0.001 = 1. After n steps of 0.001, a bfloat16 weight that began at 1 is round(1 - 0.001 n).

    Steps of training are smaller than the gap between two bfloat16 numbers. Without a float32 copy nothing is learned,
    and no message says so.
    """
    network, steps = nn.LayerNorm(1, dtype=torch.bfloat16), 20
    recipe = Recipe(steps, 1, 0.001, weight_decay=0.0, warmup=1, average=0.0, save_every=steps)
    seen = []

    def loss(network, step):
        seen.append(network.weight.item())
        return network.weight.float().sum()

    average = fit(network, loss, recipe, tmp_path / "state.safetensors", Accelerator(cpu=True), lambda *_: None)
    assert seen[0] == seen[1] == 1.0  # one step is too small to be seen ...
    expected = 1 - sum(recipe.learning_rate_at(k) for k in range(steps))
    assert average.weight.dtype == torch.float32
    assert average.weight.item() == pytest.approx(expected, rel=1e-4)  # ... but none is lost
    assert network.weight.item() == torch.tensor(expected).bfloat16().item()
    assert all(later <= earlier for earlier, later in pairwise(seen))


def test_a_network_of_two_dtypes_has_a_float32_copy():
    """one learning weight in bfloat16  =>  every learning weight of the master is float32, and none is the network's.

    A library may make its adapters in float32 beside a model in bfloat16.
    """
    network = nn.Sequential(nn.LayerNorm(2), nn.LayerNorm(2, dtype=torch.bfloat16))
    master = master_of(network)
    assert {weight.dtype for weight in master.parameters()} == {torch.float32}
    assert not {weight.data_ptr() for weight in master.parameters()} & {w.data_ptr() for w in network.parameters()}
    assert master_of(network[0]) is network[0]


@pytest.mark.parametrize("tuning", [Tuning("uvit", dtype=HALF), Tuning("lora", lora=2, dtype=HALF)])
def test_only_what_learns_has_a_float32_copy(tmp_path, tuning):
    """In the averaged model, w is float32 if it learns and bfloat16 if it is frozen, and frozen w is the network's own.

    The frozen weights are most of the memory, so there must be one of each, in half precision.
    """
    network = loaded(tuning)
    recipe = Recipe(steps=1, batch_size=4, learning_rate=0.01)
    state = tmp_path / "state.safetensors"
    average = train_flow(network, LATENTS, IDS, 0, state, Accelerator(cpu=True), lambda *_: None, recipe)
    for ours, theirs in zip(network.parameters(), average.parameters(), strict=True):
        assert ours.dtype == torch.bfloat16
        assert theirs.dtype == (torch.float32 if theirs.requires_grad else torch.bfloat16)
        assert (ours.data_ptr() == theirs.data_ptr()) == (not theirs.requires_grad)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"train": "lora"}, "no rank"),
        ({"train": "all", "lora": 4}, "leaves nothing for adapters"),
    ],
)
def test_contradictions_are_refused(wrong, message):
    """train "lora" without a rank, or a rank with train "all"  =>  InputError, in one line.

    A contradiction that is resolved silently trains something else than what was meant.
    """
    with pytest.raises(InputError, match=message):
        Tuning(**wrong)


def test_a_rank_that_cannot_be_is_refused():
    """rank < 1 or rank > the narrowest layer, of the attention, its keys, or the MLP  =>  InputError; in between: none.

    A product of matrices that are thicker than W is no saving, and a typing error.
    """
    sizes = JanusFlow.from_pretrained(GOLDEN).config.language
    for hidden, intermediate, heads in ((16, 24, 4), (24, 16, 4), (32, 32, 2)):
        config = replace(sizes, hidden_size=hidden, intermediate_size=intermediate)
        config = replace(config, num_attention_heads=4, num_key_value_heads=heads)
        for rank in (1, 16):
            check_adapters(config, rank)
        for rank in (0, 17):
            with pytest.raises(InputError, match=f"rank {rank}: expected 1 to 16, the narrowest layer's width"):
                check_adapters(config, rank)
    with pytest.raises(InputError, match="expected 1 to"):
        add_adapters(JanusFlow.from_pretrained(GOLDEN), 10_000)


def test_adapters_are_put_on_once():
    """add_adapters(a model with adapters)  =>  InputError, and the adapters stay.

    peft would draw A anew and set B to zero, so all that they had learned would be gone.
    """
    model = loaded(WAYS["lora"])
    before = {name: p.clone() for name, p in model.named_parameters()}
    with pytest.raises(InputError, match="the model has adapters: expected one without"):
        add_adapters(model, 2)
    assert all(p.equal(before[name]) for name, p in model.named_parameters())


def test_a_model_with_adapters_is_not_saved_as_it_is(tmp_path):
    """save_pretrained(a model with adapters)  =>  CheckpointError, and no file; merged  =>  it can be loaded.

    Its weights have names of peft, which no loader of a checkpoint knows.
    """
    model = loaded(WAYS["lora"])
    with pytest.raises(CheckpointError, match="the model has adapters: expected one from merge_adapters"):
        model.save_pretrained(tmp_path / "model")
    assert not (tmp_path / "model").exists()
    merge_adapters(model).save_pretrained(tmp_path / "model")
    JanusFlow.from_pretrained(tmp_path / "model")


def test_fine_tuning_trains_everything_unless_told_otherwise():
    """Tuning() = train "all", no adapters, float32, no checkpointing, one part.

    These are the defaults that the documentation names. A frozen language model would learn no new word.
    """
    assert asdict(Tuning()) == {
        "train": "all",
        "lora": None,
        "dtype": "float32",
        "gradient_checkpointing": False,
        "gradient_accumulation_steps": 1,
    }


@pytest.mark.parametrize("number", [0, -1, -16])
def test_parts_and_ranks_are_counted_from_one(number):
    """gradient_accumulation_steps < 1 or rank < 1  =>  InputError, before any work; below zero too.

    A batch in -1 parts has no part, and a run of hours would learn nothing.
    """
    with pytest.raises(InputError, match=f"{number} gradient accumulation steps: expected 1 or more"):
        Tuning(gradient_accumulation_steps=number)
    with pytest.raises(InputError, match=f"an adapter of rank {number}: expected 1 to"):
        check_adapters(LanguageConfig(), number)


def test_without_its_library_an_adapter_is_refused_before_any_work(monkeypatch):
    """peft is not installed  =>  check_adapters raises InputError, which says how to install it.

    The check comes before the pictures are read and encoded, which may take an hour.
    """
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(InputError, match="adapters need peft, which is not installed"):
        check_adapters(LanguageConfig(), 4)


@pytest.mark.parametrize("train", ["all", "uvit"])
def test_samples_are_drawn_without_changing_what_is_trained(model, train):
    """plain(average) in bfloat16 is another model; the average stays in float32, to the bit.

    The average moves by less than bfloat16 can hold. Cast at the first report, it would stand still from there.
    """
    average = deepcopy(model).requires_grad_(train == "all")
    if train == "uvit":
        average.vision_gen_enc_model.requires_grad_()
    learns = {name: p.detach().clone() for name, p in average.named_parameters() if p.requires_grad}
    drawn = Start(Path(), Tuning(train, dtype="bfloat16")).plain(average)
    assert {p.dtype for p in drawn.parameters()} == {torch.bfloat16}
    assert all(average.get_parameter(name).equal(before) for name, before in learns.items())
