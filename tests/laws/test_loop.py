"""The training loop, step by step: gradients, learning rates, optimisers, averages, saves and resumed states."""

from dataclasses import replace
from math import cos, pi
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch
from accelerate import Accelerator
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from tools.drawn import normal
from tools.processes import OneOfTwo
from torch import nn
from torch.optim.optimizer import register_optimizer_step_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode

from janus_minimal import JanusFlow
from janus_minimal.errors import InputError
from janus_minimal.training.batch import draw_batch
from janus_minimal.training.flow import train_flow
from janus_minimal.training.loop import fit
from janus_minimal.training.loss import flow_loss
from janus_minimal.training.optimizers import build_optimizers
from janus_minimal.training.recipe import Recipe

RECIPE = Recipe(steps=7, batch_size=4, learning_rate=0.01, weight_decay=0.3, warmup=3, average=0.7, save_every=2)
IDS = [torch.arange(1, length) for length in (4, 7, 5)]
LATENTS = normal(0, 3, 4, 4, 4)


class InterruptionError(Exception):
    """Stands for a kill."""


def small_network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.LayerNorm(5), nn.Linear(5, 2))


def train(state: Path, recipe: Recipe = RECIPE, stop_before: int | None = None, report=lambda network, losses: None):
    def loss(network, step):
        if step == stop_before:
            raise InterruptionError
        return (network(normal(step, 4, 3)) - normal(step + 1000, 4, 2)).square().mean()

    return fit(small_network(), loss, recipe, state, Accelerator(cpu=True), report)


@given(steps=st.integers(1, 400), rate=st.floats(1e-5, 1))
def test_all_rates_together_are_half_of_the_highest(steps, rate):
    """rate(0) + ... + rate(S - 1) = learning_rate (S + 1) / 2, without a warm-up.

    The cosine falls from one to zero just once. A quarter or a whole wave would have another sum.
    """
    recipe = Recipe(steps, 4, rate, warmup=1)
    assert sum(map(recipe.learning_rate_at, range(steps))) == pytest.approx(rate * (steps + 1) / 2)


def test_the_defaults_are_those_of_the_bundled_model():
    """Recipe(S, b, rate): weight decay 0.01, warm-up 100, EMA 0.999, a save every 250 steps, seed 0.

    What trained the bundled model is written down here a second time, so that a changed default is seen.
    """
    assert Recipe(10, 4, 0.1) == Recipe(10, 4, 0.1, 0.01, 100, 0.999, 250, 0)
    assert Recipe(10, 4, 0.1) == Recipe(
        steps=10, batch_size=4, learning_rate=0.1, weight_decay=0.01, warmup=100, average=0.999, save_every=250, seed=0
    )


@pytest.mark.parametrize(
    "wrong",
    [
        *({name: n} for name in ("steps", "batch_size", "warmup", "save_every") for n in (0, -1, -100)),
        {"seed": -1},
        *({name: x} for name in ("learning_rate", "weight_decay") for x in (-1.0, float("nan"), float("inf"))),
        *({"average": decay} for decay in (-0.1, 1.0, 2.0, float("nan"))),
    ],
)
def test_a_recipe_that_no_run_can_have_is_refused(wrong):
    """numbers of steps >= 1, seed >= 0, 0 <= rate, weight decay < inf, 0 <= average < 1, else InputError by name.

    An average of 1 never moves, and one beyond grows without bound; neither says a word.
    """
    with pytest.raises(InputError, match=f"{next(iter(wrong))} is .*: expected"):
        Recipe(**{"steps": 2, "batch_size": 2, "learning_rate": 0.1} | wrong)


@pytest.mark.parametrize("length", [0.25, 3.0])
def test_a_gradient_longer_than_one_is_made_one_long(tmp_path, length):
    """g -> g min(1, 1 / |g|), with |g| over all parameters of both optimisers together, anew at every step.

    One strange batch must not throw the weights far away. The direction of the step stays, and nothing of the last
    step's gradient is left.
    """
    direction = torch.tensor([2.0, -1.0, 2.0, 4.0]) / 5
    network, seen = nn.Sequential(nn.LayerNorm(1), nn.Linear(1, 2, bias=False)), []  # AdamW has one, Muon the other

    def loss(wrapped, step):
        return length * torch.cat([p.flatten() for p in network.parameters()]) @ direction

    def see(optimizer, *_):
        seen.append(torch.cat([p.grad.flatten() for group in optimizer.param_groups for p in group["params"]]))

    hook = register_optimizer_step_pre_hook(see)
    fit(network, loss, replace(RECIPE, steps=3), tmp_path / "state.safetensors", Accelerator(cpu=True), Mock())
    hook.remove()
    assert len(seen) == 2 * 3
    for gradient in map(torch.cat, zip(seen[::2], seen[1::2], strict=True)):
        torch.testing.assert_close(gradient, min(1.0, length) * direction, rtol=1e-4, atol=1e-5)


def test_every_optimizer_steps_at_the_rate_of_its_step(tmp_path):
    """rate(AdamW, k) = rate(Muon, k) = 0.01 min(1, (k + 1) / 3) (1 + cos(pi k / 7)) / 2.

    One learning rate serves both. An optimiser that is left out would go on at the highest rate.
    """
    seen = {"AdamW": [], "Muon": []}

    def see(optimizer, *_):
        own = getattr(optimizer, "optimizer", optimizer)  # accelerate wraps it
        seen[type(own).__name__] += [group["lr"] for group in own.param_groups]

    hook = register_optimizer_step_pre_hook(see)
    train(tmp_path / "state.safetensors")
    hook.remove()
    expected = [0.01 * min(1, (k + 1) / 3) * (1 + cos(pi * k / 7)) / 2 for k in range(7)]
    assert seen["AdamW"] == pytest.approx(expected)
    assert seen["Muon"] == pytest.approx(expected)


def test_adamw_is_adamw_with_these_betas_and_this_decay():
    """m = 0.9 m + 0.1 g, s = 0.99 s + 0.01 g^2, w -= rate (decay w + m' / (sqrt(s') + 1e-8)), bias-corrected.

    Worked here by hand for a vector. A second beta of 0.999 would remember gradients ten times as long.
    """
    network, rate = nn.LayerNorm(6), 0.02
    (adamw,) = build_optimizers(network, replace(RECIPE, learning_rate=rate))
    parameter, gradients = network.weight, normal(3, 5, 6)
    w, m, s = parameter.detach().clone().double(), torch.zeros(6).double(), torch.zeros(6).double()
    for k, g in enumerate(gradients.double(), start=1):
        parameter.grad = g.float()
        adamw.step()
        m, s = 0.9 * m + 0.1 * g, 0.99 * s + 0.01 * g**2
        w = w - rate * 0.3 * w - rate * (m / (1 - 0.9**k)) / ((s / (1 - 0.99**k)).sqrt() + 1e-8)
    torch.testing.assert_close(parameter.detach().double(), w, rtol=1e-5, atol=1e-6)


def test_muon_moves_all_directions_of_a_matrix_equally():
    """W -> (1 - rate decay) W - 0.2 rate sqrt(max(m, n)) O, where all singular values of O are about one.

    The gradient here is nearly of rank one. The factor gives its steps the size of AdamW's, so that one learning rate
    serves both optimisers.
    """
    network, rate = nn.Linear(8, 12), 0.02
    _, muon = build_optimizers(network, replace(RECIPE, learning_rate=rate))
    before = network.weight.detach().clone()
    network.weight.grad = torch.outer(normal(0, 12), normal(1, 8)) + 0.1 * normal(2, 12, 8)
    muon.step()
    moved = ((1 - rate * 0.3) * before - network.weight.detach()) / (0.2 * rate * 12**0.5)
    values = torch.linalg.svdvals(moved)
    assert values.min() > 0.5
    assert values.max() < 1.3
    network.weight.grad = torch.zeros(12, 8)
    muon.param_groups[0]["momentum"] = 0.0  # then nothing but the decay is left
    muon.state.clear()
    before = network.weight.detach().clone()
    muon.step()
    torch.testing.assert_close(network.weight.detach(), (1 - rate * 0.3) * before)


def test_muon_steps_as_pytorchs_but_for_the_rounding():
    """|step of ours - step of torch.optim.Muon| = about 1 % of a step, on a CPU, after one step and after three.

    Bfloat16 keeps eight bits. Everything else, momentum, decay and size, is PyTorch's. The docs name this share.
    """
    ours, theirs = (nn.Linear(96, 64) for _ in range(2))
    theirs.load_state_dict(ours.state_dict())
    _, muon = build_optimizers(ours, RECIPE)
    group = {name: muon.defaults[name] for name in ("lr", "weight_decay", "adjust_lr_fn")}
    reference = torch.optim.Muon([theirs.weight], **group)
    before = ours.weight.detach().clone()
    for step in range(3):
        ours.weight.grad, theirs.weight.grad = normal(step, 64, 96), normal(step, 64, 96)
        muon.step()
        reference.step()
        share = (ours.weight - theirs.weight).norm() / (theirs.weight - before).norm()
        assert 0.001 < share < 0.03


class Dtypes(TorchDispatchMode):
    """Remembers the dtypes of the matrices that are multiplied."""

    def __init__(self):
        super().__init__()
        self.seen = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func in (torch.ops.aten.addmm.default, torch.ops.aten.mm.default):
            self.seen.update(x.dtype for x in args if isinstance(x, torch.Tensor))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(("device", "dtype"), [("cpu", torch.float32), ("meta", torch.bfloat16)])
def test_muon_multiplies_in_float32_on_a_cpu(device, dtype):
    """dtype of Muon's products = float32 on a CPU, and as PyTorch has it, bfloat16, on an accelerator.

    A CPU without instructions for bfloat16 takes up to 40 times as long for them. The device "meta", which computes
    nothing, stands for an accelerator here.
    """
    network = nn.Linear(8, 12, device=device)
    *_, muon = build_optimizers(network, RECIPE)
    network.weight.grad = torch.ones_like(network.weight)
    with Dtypes() as products:
        muon.step()
    assert products.seen == {dtype}


def test_muon_keeps_its_momentum():
    """Muon without Nesterov, a step: its momentum = (1 - 0.95) g, in float32 on a CPU.

    PyTorch divides the matrix that it makes orthogonal in place. On a CPU it would be the momentum itself.
    """
    network = nn.Linear(8, 12)
    *_, muon = build_optimizers(network, RECIPE)
    muon.param_groups[0]["nesterov"] = False
    network.weight.grad = normal(0, 12, 8)
    muon.step()
    torch.testing.assert_close(muon.state[network.weight]["momentum_buffer"], 0.05 * normal(0, 12, 8))


def test_muon_takes_a_closure_as_every_optimizer_does():
    """Muon.step(closure) = closure(), whose gradient it follows.

    Whoever takes it out of the loop may compute the loss in a closure, as PyTorch's manual shows.
    """
    network = nn.Linear(8, 12, bias=False)
    (muon,) = build_optimizers(network, RECIPE)
    before = network.weight.detach().clone()

    def closure():
        loss = network.weight.square().sum()
        loss.backward()
        return loss

    assert muon.step(closure) == before.square().sum()
    assert not network.weight.equal(before)


def test_the_two_optimizers_begin_at_the_recipes_rate():
    """lr(AdamW) = lr(Muon) = learning_rate, decay = weight_decay; all else as PyTorch's defaults have it.

    Whoever steps them without the loop gets what the recipe says.
    """
    adamw, muon = build_optimizers(small_network(), RECIPE)
    for optimizer in (adamw, muon):
        assert [(group["lr"], group["weight_decay"]) for group in optimizer.param_groups] == [(0.01, 0.3)]
    assert (muon.defaults["momentum"], muon.defaults["nesterov"]) == (0.95, True)
    assert (adamw.defaults["eps"], adamw.defaults["amsgrad"]) == (1e-8, False)


def test_saves_come_at_every_multiple_and_at_the_end(tmp_path):
    """reports after steps 2, 4, 6 of 7, and 7; each with all losses so far and the average of that moment.

    average_1 = w_1, average_k = 0.7 average_(k-1) + 0.3 w_k. A picture that is drawn at a save shows the average, and
    the state on the disk is of the same step.
    """
    path, told, weights, averages = tmp_path / "state.safetensors", [], [], [None]
    network = small_network()

    def loss(wrapped, step):
        weights.append([p.detach().clone() for p in network.parameters()])
        return (network(normal(step, 4, 3)) - normal(step + 1000, 4, 2)).square().mean()

    def report(average, losses):
        assert load_file(path)["losses"].tolist() == losses
        told.append(([p.detach().clone() for p in average.parameters()], list(losses)))

    fit(network, loss, RECIPE, path, Accelerator(cpu=True), report)
    weights.append([p.detach().clone() for p in network.parameters()])
    for w in weights[1:]:
        last = averages[-1] or w
        averages.append([0.7 * a + 0.3 * b for a, b in zip(last, w, strict=True)])
    assert [len(losses) for _, losses in told] == [2, 4, 6, 7]
    for average, losses in told:
        for a, b in zip(average, averages[len(losses)], strict=True):
            torch.testing.assert_close(a, b)


@pytest.mark.parametrize("stop", [1, 3, 5])
def test_a_resumed_run_leaves_the_state_of_an_uninterrupted_one(tmp_path, stop):
    """state(interrupted, resumed) = state(uninterrupted), in every tensor: weights, average, moments, counts, losses.

    Losses alone cannot show that the average or a moment was begun anew shortly before the end.
    """
    train(tmp_path / "whole.safetensors")
    with pytest.raises(InterruptionError):
        train(tmp_path / "cut.safetensors", stop_before=stop)
    train(tmp_path / "cut.safetensors")
    whole, resumed = (load_file(tmp_path / f"{name}.safetensors") for name in ("whole", "cut"))
    assert whole.keys() == resumed.keys()
    assert [key for key in whole if not whole[key].equal(resumed[key])] == []
    kinds = {key.split(".")[0] for key in whole}
    assert kinds == {"network", "average", "optimizer", "losses"}
    assert whole["average.n_averaged"] == RECIPE.steps
    assert {v.item() for key, v in whole.items() if key.startswith("optimizer.0") and key.endswith(".step")} == {7.0}


def test_the_losses_are_means_over_all_processes(tmp_path):
    """losses[k] = (loss of process 0 + loss of process 1) / 2, to the last bit.

    So the curve of a run on two processes is that of a run on one.
    """
    losses = []
    network = nn.LayerNorm(1)
    loss = lambda wrapped, step: 0 * network.bias.sum() + step + 2**-12  # noqa: E731
    fit(network, loss, RECIPE, tmp_path / "s.safetensors", OneOfTwo(cpu=True), lambda _, all_of: losses.extend(all_of))
    assert losses[-7:] == [(k + 2**-12 + 3) / 2 for k in range(7)]


@pytest.mark.parametrize("kind", [Accelerator, OneOfTwo])
def test_a_flow_learns_from_the_batches_of_its_own_recipe(model, tmp_path, kind):
    """loss(k) = flow_loss(network_k, share of draw_batch(k, batch_size, seed)), with the padding id that is given.

    A run whose seed or batch size were ignored would train as well as any other, and nobody would see it.
    """
    recipe = replace(RECIPE, steps=3, learning_rate=1e-12, batch_size=6, seed=3)  # so small that the weights stay
    torch.manual_seed(0)
    network, told, accelerator = JanusFlow(model.config), [], kind(cpu=True)
    batches = [draw_batch(step, IDS, LATENTS, 6, seed=3).share(accelerator) for step in range(3)]
    with torch.no_grad():
        expected = [flow_loss(network, batch, 2).item() for batch in batches]
    rows = []
    hook = network.register_forward_pre_hook(lambda _, inputs: rows.append(inputs[2]))
    report = lambda _, losses: told.append(list(losses))  # noqa: E731
    train_flow(network, LATENTS, IDS, 2, tmp_path / "state.safetensors", accelerator, report, recipe)
    hook.remove()
    assert told[-1] == pytest.approx(expected if kind is Accelerator else [(e + 3) / 2 for e in expected], rel=1e-5)
    for shown in rows:
        assert (shown.ids[~shown.attention_mask] == 2).all()
        assert len(shown.ids) == 6 // accelerator.num_processes


def test_the_bar_shows_the_mean_of_the_last_fifty_losses(tmp_path, capsys):
    """bar: loss = mean of the last 50, or of all while there are fewer; rate = that of the step.

    A mean over the whole run would still show the first steps at the end.
    """
    network = nn.LayerNorm(1)
    loss = lambda wrapped, step: 0 * network.bias.sum() + step  # noqa: E731
    fit(network, loss, replace(RECIPE, steps=80), tmp_path / "s.safetensors", Accelerator(cpu=True), Mock())
    shown = capsys.readouterr().err
    assert f"loss={sum(range(30, 80)) / 50:.4f}" in shown
    assert "step/s" in shown or "s/step" in shown
    assert f"rate={0.01 * (1 + cos(pi * 79 / 80)) / 2:.1e}" in shown
    fit(network, loss, replace(RECIPE, steps=3), tmp_path / "short.safetensors", Accelerator(cpu=True), Mock())
    assert "loss=1.0000" in capsys.readouterr().err  # the mean of 0, 1 and 2


def test_the_bar_of_a_resumed_run_begins_where_it_goes_on(tmp_path, capsys):
    """bar(resumed after 2 of 7 steps) = 2/7 ... 7/7, in the main process alone.

    A bar from zero would promise the time of the whole run again, and two processes would write over each other.
    For the same reason the other process writes no state, and reports neither a save nor what it goes on with.
    """
    path = tmp_path / "s.safetensors"
    with pytest.raises(InterruptionError):
        train(path, stop_before=3)
    assert "0/7" in capsys.readouterr().err
    train(path)
    shown = capsys.readouterr().err
    assert ("0/7" in shown, "2/7" in shown, "7/7" in shown) == (False, True, True)
    other = OneOfTwo(cpu=True)
    other.is_main_process = False
    loss = lambda network, step: network(normal(step, 4, 3)).mean()  # noqa: E731
    report, absent = Mock(), tmp_path / "other.safetensors"
    for state in (absent, path):  # from the beginning, and from the end of the run above
        fit(small_network(), loss, RECIPE, state, other, report)
    assert capsys.readouterr().err == ""
    assert not absent.exists()
    report.assert_not_called()
