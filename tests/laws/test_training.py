"""Training: recipe, batches, loss, optimisers, and a loop that can be interrupted. No shapes here."""

import ast
import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch
from accelerate import Accelerator
from hypothesis import given
from hypothesis import strategies as st
from tools.drawn import SEEDS, normal
from tools.processes import OneOfTwo
from torch import nn

import janus_minimal.training
from janus_minimal import JanusFlow, PromptPair
from janus_minimal.errors import InputError
from janus_minimal.training.batch import LOGIT_MEAN, LOGIT_STD, PROMPT_DROPOUT, draw_batch, share, step_generator
from janus_minimal.training.flow import train_flow
from janus_minimal.training.loop import fit
from janus_minimal.training.loss import flow_loss
from janus_minimal.training.optimizers import build_optimizers
from janus_minimal.training.recipe import Recipe
from janus_minimal.training.reflow import Pairs, ReflowRecipe, train_student
from janus_minimal.training.small import build_vae
from janus_minimal.training.vae import train_vae

RECIPE = Recipe(steps=6, batch_size=4, learning_rate=0.01, warmup=2, average=0.9, save_every=2)
IDS = [torch.arange(1, length) for length in (4, 7, 5)]
LATENTS = normal(0, 3, 4, 4, 4)


class Answer(nn.Module):
    """A network that answers every question with one velocity, and remembers the rows it was given."""

    def __init__(self, velocity):
        super().__init__()
        self.velocity = velocity

    def forward(self, z, t, rows):
        self.rows = rows
        return self.velocity


class InterruptionError(Exception):
    """Stands for a kill."""


def process(index: int, number: int) -> Accelerator:
    """The accelerator of one of several processes, without the processes."""
    return Mock(spec=Accelerator, process_index=index, num_processes=number, device=torch.device("cpu"))


def small_network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.LayerNorm(5), nn.Linear(5, 2))


def train(state: Path, recipe: Recipe = RECIPE, stop_before: int | None = None):
    """Train a small network on random numbers. Return its average, and all losses of the last report."""
    reported, weights = [], []

    def loss(network, step):
        if step == stop_before:
            raise InterruptionError
        weights.append([p.detach().clone() for p in network.parameters()])
        return (network(normal(step, 4, 3)) - normal(step + 1000, 4, 2)).square().mean()

    network = small_network()
    average = fit(network, loss, recipe, state, Accelerator(cpu=True), lambda _, losses: reported.append(list(losses)))
    weights.append([p.detach().clone() for p in network.parameters()])
    return average, reported[-1] if reported else None, weights


@given(steps=st.integers(1, 300), warmup=st.integers(1, 50))
def test_the_learning_rate_falls_once_the_warm_up_is_over(steps, warmup):
    """0 < rate(k) <= learning_rate, and rate(k + 1) < rate(k) for k >= warmup.

    Half a cosine falls from one to zero over the whole run; the warm-up only makes the first steps smaller.
    """
    recipe = replace(RECIPE, steps=steps, warmup=warmup)
    rates = [recipe.learning_rate_at(step) for step in range(steps)]
    assert all(0 < rate <= recipe.learning_rate for rate in rates)
    assert all(later < earlier for earlier, later in pairwise(rates[warmup:]))


def test_the_warm_up_is_linear():
    """rate(k) warmup / (k + 1) = the rate without a warm-up, for k < warmup, in a run that is shorter too.

    Large steps would be badly aimed before the optimisers have seen several gradients.
    """
    plain, warm = replace(RECIPE, steps=50, warmup=1), replace(RECIPE, steps=50, warmup=10)
    for k in range(10):
        assert warm.learning_rate_at(k) * 10 / (k + 1) == pytest.approx(plain.learning_rate_at(k))
    assert warm.learning_rate_at(10) == plain.learning_rate_at(10)
    assert replace(warm, steps=3).learning_rate_at(0) == 0.1 * replace(plain, steps=3).learning_rate_at(0)


@given(seed=st.integers(0, 1000), step=st.integers(0, 1000), other=SEEDS)
def test_a_batch_depends_on_seed_and_step_alone(seed, step, other):
    """draw_batch(k, seed) = draw_batch(k, seed), whatever was drawn in between.

    A resumed run has not drawn the earlier batches, and must still see the same ones from here on.
    """
    first = draw_batch(step, IDS, LATENTS, 5, seed)
    torch.manual_seed(other)
    again = draw_batch(step, IDS, LATENTS, 5, seed)
    assert all(a.equal(b) for a, b in zip(first.ids, again.ids, strict=True))
    for name in ("z_0", "z_1", "t", "dropped"):
        assert getattr(first, name).equal(getattr(again, name))


@given(seed=st.integers(0, 1000), step=st.integers(0, 1000))
def test_every_step_draws_noise_of_its_own(seed, step):
    """z_0(k, seed) != z_0(k + 1, seed), z_0(k, seed + 1).

    With the same noise again and again, the network would memorise a few lines.
    """
    here, next_step, next_seed = (
        draw_batch(k, IDS, LATENTS, 5, s).z_0 for k, s in ((step, seed), (step + 1, seed), (step, seed + 1))
    )
    assert not here.equal(next_step)
    assert not here.equal(next_seed)


@given(seed=st.integers(0, 1000), size=st.integers(1, 20))
def test_prompts_stay_with_their_latents(seed, size):
    """(ids, z_1) of a batch is (ids[i], latents[i]) for one i.

    A model that learns from the captions of other pictures learns to ignore captions.
    """
    batch = draw_batch(0, IDS, LATENTS, size, seed)
    for ids, z_1 in zip(batch.ids, batch.z_1, strict=True):
        (i,) = (i for i, latent in enumerate(LATENTS) if z_1.equal(latent))
        assert ids.equal(IDS[i])


def test_times_are_logit_normal():
    """logit(t) ~ N(LOGIT_MEAN, LOGIT_STD^2).

    More steps are spent where the content of a picture is decided.
    """
    logits = draw_batch(0, IDS, LATENTS, 20_000, seed=0).t.logit()
    assert logits.mean().item() == pytest.approx(LOGIT_MEAN, abs=0.03)
    assert logits.std().item() == pytest.approx(LOGIT_STD, abs=0.03)


def test_early_and_late_times_are_drawn_as_often_as_they_should_be():
    """P(t < x) = Phi((logit(x) - LOGIT_MEAN) / LOGIT_STD) for x near 0 and near 1 as well.

    Drawing a picture begins at t = 0. If times below 0.02 were never trained, its first step would follow a guess.
    """
    t = draw_batch(0, IDS, LATENTS, 50_000, seed=0).t.double()
    for x in (0.01, 0.02, 0.05, 0.5, 0.9, 0.95):
        expected = torch.special.ndtr((torch.tensor(x).logit() - LOGIT_MEAN) / LOGIT_STD).item()
        deviation = (expected * (1 - expected) / len(t)) ** 0.5
        assert (t < x).double().mean().item() == pytest.approx(expected, abs=5 * deviation), x


def test_one_prompt_in_ten_is_dropped():
    """P(dropped) = PROMPT_DROPOUT.

    Guidance needs the unconditional velocity, so the network must meet rows without a prompt.
    """
    dropped = draw_batch(0, IDS, LATENTS, 20_000, seed=0).dropped
    assert dropped.float().mean().item() == pytest.approx(PROMPT_DROPOUT, abs=0.01)


@given(size=st.integers(1, 12), number=st.integers(1, 4))
def test_the_shares_of_all_processes_are_the_batch(size, number):
    """The shares of p processes, put together, are the batch: nothing is lost, nothing occurs twice.

    The number of processes changes who computes an example, not which examples a step learns from.
    """
    whole = torch.arange(size)
    shares = [share(whole, process(index, number)) for index in range(number)]
    assert torch.cat(shares).sort().values.equal(whole)


@given(seed=st.integers(0, 1000), number=st.sampled_from([1, 2, 3]))
def test_the_parts_of_a_batch_one_after_the_other_are_the_batch(seed, number):
    """parts(k): k batches of equal size; put together in their order they are the batch, in every field.

    Each part is given to the network with the noise, the time and the prompt of its own examples.
    """
    batch = draw_batch(0, IDS, LATENTS, 6, seed)
    parts = list(batch.parts(number))
    assert [len(part.ids) for part in parts] == [6 // number] * number
    for name in ("z_0", "z_1", "t", "dropped"):
        assert torch.cat([getattr(part, name) for part in parts]).equal(getattr(batch, name))
    assert all(a.equal(b) for a, b in zip((row for part in parts for row in part.ids), batch.ids, strict=True))


@given(seed=st.integers(0, 1000))
def test_a_share_is_a_batch_of_its_examples(seed):
    """batch.share(process)[i] = batch[index + i * processes], in every field.

    Noise, latent, time and prompt of one example go to the same process.
    """
    batch = draw_batch(0, IDS, LATENTS, 6, seed)
    part = batch.share(process(1, 2))
    assert all(a.equal(b) for a, b in zip(part.ids, batch.ids[1::2], strict=True))
    for name in ("z_0", "z_1", "t", "dropped"):
        assert getattr(part, name).equal(getattr(batch, name)[1::2])


@given(seed=st.integers(0, 1000))
def test_the_loss_of_the_lines_own_velocity_is_zero(seed):
    """flow_loss(z_1 - z_0) = 0.

    The target is the velocity of the straight line from noise to data.
    """
    batch = draw_batch(0, IDS, LATENTS, 5, seed)
    assert flow_loss(Answer(batch.z_1 - batch.z_0), batch, pad_id=0) == 0


@given(seed=st.integers(0, 1000), scale=st.floats(-2, 2))
def test_the_loss_is_a_mean_over_all_numbers(seed, scale):
    """flow_loss(z_1 - z_0 + a) = a^2.

    A mean and not a sum: the loss of a large latent can be compared with the loss of a small one.
    """
    batch = draw_batch(0, IDS, LATENTS, 5, seed)
    loss = flow_loss(Answer(batch.z_1 - batch.z_0 + scale), batch, pad_id=0)
    assert loss.item() == pytest.approx(scale**2, abs=1e-5)


@given(seed=st.integers(0, 1000))
def test_a_dropped_prompt_becomes_its_unconditional_row(seed):
    """rows[i] = uncond[i] where dropped[i], else cond[i].

    The network learns from the very rows that guidance will use.
    """
    batch = replace(draw_batch(0, IDS, LATENTS, 6, seed), dropped=torch.arange(6) % 2 == 0)
    network = Answer(torch.zeros_like(batch.z_0))
    flow_loss(network, batch, pad_id=0)
    pair = PromptPair.from_ids(batch.ids, pad_id=0).rows
    for i in range(6):
        expected = i + 6 if batch.dropped[i] else i
        assert network.rows.ids[i].equal(pair.ids[expected])
        assert network.rows.attention_mask[i].equal(pair.attention_mask[expected])


def test_every_parameter_has_one_optimizer(model):
    """The optimisers' parameters, put together, are the network's, each once; Muon's are the linear layers' weights.

    A parameter in none of them would never learn, and one in two of them would take two steps at once.
    """
    optimizers = build_optimizers(model, RECIPE)
    held = [id(p) for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]]
    linear = {id(module.weight) for module in model.modules() if isinstance(module, nn.Linear)}
    assert sorted(held) == sorted(map(id, model.parameters()))
    assert {id(p) for p in optimizers[1].param_groups[0]["params"]} == linear


@pytest.mark.parametrize("network", [nn.Linear(3, 2, bias=False), nn.LayerNorm(3)])
def test_a_network_may_have_matrices_alone_or_none(tmp_path, network):
    """one optimiser has nothing to learn  =>  the other learns all, and its run goes on from its state.

    An adapter of low rank is matrices alone. torch's optimisers refuse an empty list.
    """
    before = [parameter.detach().clone() for parameter in network.parameters()]
    (only,) = build_optimizers(network, RECIPE)
    assert sum(len(group["params"]) for group in only.param_groups) == len(before)
    for _ in range(2):  # the second run finds the state of the first
        average = fit(network, squares, RECIPE, tmp_path / "state", Accelerator(cpu=True), lambda *_: None)
    assert not any(new.equal(old) for new, old in zip(average.parameters(), before, strict=True))


def squares(network: nn.Module, step: int) -> torch.Tensor:
    """The mean square of what a network makes of three numbers, less one."""
    return (network(torch.tensor([[1.0, -2.0, 3.0]])) - 1).square().mean()


def test_a_network_that_is_frozen_whole_is_refused(tmp_path):
    """no parameter requires a gradient  =>  InputError, no state.

    Such a run would end in an error of another library, or in the weights that it began with.
    """
    network, here = nn.Linear(3, 2).requires_grad_(False), tmp_path / "state"
    with pytest.raises(InputError, match="every weight of the network is frozen"):
        fit(network, squares, RECIPE, here, Accelerator(cpu=True), lambda *_: None)
    assert not here.exists()


@pytest.mark.parametrize("stop", [1, 2, 3, 5])
def test_an_interrupted_run_goes_on_with_the_same_losses(tmp_path, stop):
    """losses(interrupted before step k, resumed) = losses(uninterrupted), to the bit.

    Weights, average and optimiser moments are all in the state; steps after the last save are done again.
    """
    whole, losses, _ = train(tmp_path / "whole.safetensors")
    with pytest.raises(InterruptionError):
        train(tmp_path / "cut.safetensors", stop_before=stop)
    resumed, resumed_losses, _ = train(tmp_path / "cut.safetensors")
    assert resumed_losses == losses
    assert len(losses) == RECIPE.steps
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert a.equal(b)


def test_a_complete_run_takes_no_more_steps(tmp_path):
    """fit(fit(network)) = fit(network), and reports the same losses.

    The state says how many losses there are, and so how many steps are left. The earlier run may have been killed
    before its report.
    """
    whole, losses, _ = train(tmp_path / "state.safetensors")
    again, reported, _ = train(tmp_path / "state.safetensors", stop_before=0)
    assert reported == losses
    for a, b in zip(whole.parameters(), again.parameters(), strict=True):
        assert a.equal(b)


def test_every_step_is_taken_at_its_learning_rate(tmp_path):
    """w_k - w_(k + 1) = rate(k), for a constant gradient and no weight decay.

    AdamW divides the gradient by its own size, so a constant gradient shows the learning rate alone.
    """
    recipe, weights = replace(RECIPE, weight_decay=0.0), []

    def loss(network, step):
        weights.append(network.bias.item())
        return network.bias.sum()

    network = nn.LayerNorm(1)
    fit(network, loss, recipe, tmp_path / "state.safetensors", Accelerator(cpu=True), lambda *_: None)
    weights.append(network.bias.item())
    for k, (before, after) in enumerate(pairwise(weights)):
        assert before - after == pytest.approx(recipe.learning_rate_at(k), rel=1e-3)


def test_training_returns_the_average_of_the_weights(tmp_path):
    """average_1 = w_1, average_k = d average_(k-1) + (1 - d) w_k.

    Single steps are noisy, and the moving average of the weights cancels much of the noise.
    """
    average, _, weights = train(tmp_path / "state.safetensors")
    expected = weights[1]
    for later in weights[2:]:
        expected = [RECIPE.average * a + (1 - RECIPE.average) * w for a, w in zip(expected, later, strict=True)]
    for a, b in zip(average.parameters(), expected, strict=True):
        torch.testing.assert_close(a.detach(), b)


@pytest.mark.parametrize(
    "field",
    [
        *({"steps": 7}, {"batch_size": 8}, {"learning_rate": 0.02}, {"average": 0.5}, {"seed": 1}),
        *({"warmup": 3}, {"weight_decay": 0.1}, {"save_every": 3}),
    ],
)
def test_a_state_of_another_recipe_is_refused(tmp_path, field):
    """recipe != recipe of the state  =>  InputError.

    Half of one schedule followed by half of another is neither of them.
    """
    train(tmp_path / "state.safetensors")
    with pytest.raises(InputError, match="train in another directory"):
        train(tmp_path / "state.safetensors", replace(RECIPE, **field))


def test_unequal_shares_are_refused(tmp_path):
    """batch_size mod processes != 0  =>  InputError.

    Each process takes the mean over its own share, so examples of a smaller share would count more.
    """
    recipe = replace(RECIPE, batch_size=3)
    with pytest.raises(InputError, match="a batch of 3 on 2 processes"):
        fit(small_network(), Mock(), recipe, tmp_path / "state.safetensors", process(0, 2), Mock())


def test_a_janusflow_learns_the_latents_it_is_given(model, tmp_path):
    """mean(last losses) < 0.9 mean(first losses) < 2.5.

    Sixty steps on three latents, which show nothing: training needs latents and token ids, and knows no shapes.
    """
    recipe = replace(RECIPE, steps=60, batch_size=8, learning_rate=5e-3, save_every=60)
    torch.manual_seed(0)
    network, losses = JanusFlow(model.config), []
    latents, state = normal(1, 3, 4, 8, 8), tmp_path / "state.safetensors"
    trained = train_flow(
        network, latents, IDS, 0, state, Accelerator(cpu=True), lambda _, values: losses.extend(values), recipe
    )
    assert isinstance(trained, JanusFlow)
    assert len(losses) == 60
    assert all(map(math.isfinite, losses))
    assert sum(losses[-10:]) < 0.9 * sum(losses[:10]) < 25


def test_training_knows_no_shapes():
    """No module of janus_minimal.training imports from janus_minimal.shapes.

    What trains the small world trains a reader's own pictures as well.
    """
    for path in Path(*janus_minimal.training.__path__).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = (
                [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else [a.name for a in getattr(node, "names", [])]
            )
            assert not [name for name in names if "shapes" in name.split(".")], path.name


REFLOW = ReflowRecipe(
    steps=6, batch_size=4, learning_rate=0.01, pairs=3, teacher_steps=2, shift=1.0, cfg_weight=2.0, seed=4
)


@pytest.fixture
def fitted(unchecked, tmp_path, monkeypatch):
    """Each training, with a loop that trains nothing: it gives an average, and what it was given is remembered."""
    calls, average = [], nn.Linear(1, 1)
    average.vae = build_vae()

    def fit(network, loss, recipe, state, accelerator, report, data="", source=None):
        calls.append((recipe, state, accelerator, report, data))
        return average

    for name in ("flow", "reflow", "vae"):
        monkeypatch.setattr(f"janus_minimal.training.{name}.fit", fit)
    rest = (tmp_path / "state", Accelerator(cpu=True), Mock())
    network = nn.Linear(1, 1)

    def flow(latents=LATENTS, ids=IDS):
        return train_flow(network, latents, ids, 0, *rest, RECIPE)

    def student(z_0=LATENTS, z_1=LATENTS, ids=IDS):
        return train_student(network, Pairs(ids, z_0, z_1), 0, *rest, REFLOW)

    def vae(data="red squares"):
        return train_vae(build_vae, lambda number, seed: normal(0, 2, 3, 48, 48), *rest, RECIPE, data)

    return {"flow": flow, "student": student, "vae": vae}, calls, average, rest


@pytest.mark.parametrize(("kind", "recipe"), [("flow", RECIPE), ("student", REFLOW), ("vae", RECIPE)])
def test_each_training_gives_back_what_the_loop_gives(fitted, kind, recipe):
    """train_flow = fit(...), train_student = fit(...), train_vae = fit(...).vae, with their recipe, state and report.

    The loop returns the average of the weights, and leaves those of the last step in the network that it was given.
    """
    trainings, calls, average, rest = fitted
    assert trainings[kind]() is (average.vae if kind == "vae" else average)
    assert calls[0][:4] == (recipe, *rest)


def without(values, i):
    """The same values, but for entry i."""
    return [value + (i == k) for k, value in enumerate(values)]


def test_a_state_knows_every_example_that_it_was_begun_with(fitted):
    """data(state) differs if any one latent, caption, noise or end is another one, and for other words about a VAE.

    Looked at in part, a folder with one more picture, or with another caption, would go on with the old run.
    """
    trainings, calls, _, _ = fitted
    for name, fields in {"flow": {"latents": LATENTS}, "student": {"z_0": LATENTS, "z_1": LATENTS}}.items():
        calls.clear()
        trainings[name]()
        for i in range(len(IDS)):
            trainings[name](ids=without(IDS, i))
            for field, values in fields.items():
                trainings[name](**{field: torch.stack(without(values, i))})
        assert len({data for *_, data in calls}) == len(calls) == 1 + len(IDS) * (1 + len(fields))
    trainings["vae"]("blue squares")
    assert calls[-1][-1] == "blue squares"


def test_no_two_steps_of_two_seeds_draw_the_same(tmp_path):
    """generator(seed, step) = generator(seed', step')  =>  seed = seed', step = step', for runs of 24,000 steps.

    If step 1,000 of one seed were step 0 of the next one, two runs would share nearly all of their batches.
    """
    pairs = [(seed, step) for seed in range(11) for step in range(0, 24_000, 20)]
    assert len({step_generator(*pair).initial_seed() for pair in pairs}) == len(pairs)


class Another(OneOfTwo):
    """A process that is not the main one."""

    is_main_process = False


@pytest.mark.parametrize("kind", [Accelerator, OneOfTwo, Another])
def test_every_process_goes_on_from_the_state(tmp_path, kind):
    """fit with a state of two steps asks for the loss of step 2 first, in the main process and in every other one.

    A process that begins at step 0 has other weights, and waits for gradients that nobody sends.
    """
    with pytest.raises(InterruptionError):
        train(tmp_path / "state", stop_before=3)

    def loss(network, step):
        assert step == 2
        raise InterruptionError

    with pytest.raises(InterruptionError):
        fit(small_network(), loss, RECIPE, tmp_path / "state", kind(cpu=True), lambda *_: None)


@pytest.mark.parametrize("kind", [Accelerator, OneOfTwo, Another])
@pytest.mark.parametrize("own", [float("nan"), 1.0])
def test_every_process_stops_at_the_same_step(tmp_path, kind, own):
    """mean loss of all processes not finite  =>  InputError in each process, also where the own share is finite.

    A process that stops alone leaves the others waiting for it, and one that goes on alone waits itself.
    """

    class Spoiled(kind):
        def reduce(self, tensor, reduction="sum", scale=1.0):
            return torch.tensor(float("nan"))

    def loss(network, step):
        return squares(network, step) * own

    with pytest.raises(InputError, match="step 0: the loss is nan"):
        fit(nn.Linear(3, 2), loss, RECIPE, tmp_path / "state", Spoiled(cpu=True), Mock())


def test_the_loss_is_computed_by_the_wrapper_of_all_processes(tmp_path):
    """loss(wrapper, step), with the wrapper that accelerate made around the network.

    Only the wrapper averages the gradients over the processes. Without it, each process trains a model of its own.
    """

    class Wrapping(OneOfTwo):
        def prepare(self, network, *optimizers):
            return nn.Sequential(network), *optimizers

    network = nn.Linear(3, 2)

    def loss(given, step):
        assert given[0] is network
        raise InterruptionError

    with pytest.raises(InterruptionError):
        fit(network, loss, RECIPE, tmp_path / "state", Wrapping(cpu=True), Mock())
