"""Reflow: pairs that the teacher makes, times and loss of the student, and a run that can be resumed."""

import math
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
import torch
from accelerate import Accelerator
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from scipy import stats
from tools.checkpoints import GOLDEN
from tools.drawn import SEEDS, normal, pair
from tools.processes import OneOfTwo
from torch import nn

from janus_minimal import JanusFlow, PromptPair, denoise, time_grid
from janus_minimal.errors import InputError
from janus_minimal.solvers import one_row
from janus_minimal.training import reflow
from janus_minimal.training.batch import Batch
from janus_minimal.training.reflow import (
    SOFTENING,
    Pairs,
    ReflowRecipe,
    draw_pair_batch,
    follow_teacher,
    reflow_loss,
    train_student,
)

RECIPE = ReflowRecipe(
    steps=4,
    batch_size=2,
    learning_rate=0.01,
    warmup=2,
    average=0.9,
    save_every=2,
    pairs=5,
    teacher_steps=3,
    shift=2.0,
    cfg_weight=2.0,
)
IDS = [torch.arange(1, length) for length in (4, 7, 5, 3, 6)]
SHAPE = (4, 12, 12)
Z_0 = normal(0, 5, *SHAPE)
TAGGED = Pairs(IDS, Z_0, Z_0 + torch.arange(5.0)[:, None, None, None])  # the end of noise i is z_0 + i


class InterruptionError(Exception):
    """Stands for a kill."""


class Answer(nn.Module):
    """A network that answers what a function says, and remembers what it was asked."""

    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def forward(self, z, t, rows):
        self.z, self.t, self.rows = z, t, rows
        return self.answer(z)


def batch(t: list[float], z_1: torch.Tensor) -> Batch:
    number = len(t)
    return Batch(IDS[:number], Z_0[:number], z_1, torch.tensor(t), torch.zeros(number, dtype=torch.bool))


def train(
    state, recipe=RECIPE, report=lambda network, losses: None, pairs=TAGGED, source="a student"
) -> dict[str, torch.Tensor]:
    """Train the golden model on the tagged pairs. Return everything that the state file holds."""
    train_student(JanusFlow.from_pretrained(GOLDEN), pairs, 0, state, Accelerator(cpu=True), report, recipe, source)
    return load_file(state)


def test_the_pairs_are_what_the_teacher_makes(model):
    """z_1 = the end of the path from z_0 with the recipe's weight, by Adams-Bashforth on its grid, each prompt alone.

    A student can be no better than its pairs. The solver is written out here once more, and every prompt is followed
    on its own, so neither padding nor its neighbours may change an end.
    """
    ends = follow_teacher(model, IDS, Z_0, 0, replace(RECIPE, cfg_weight=3.0))
    times = [0.0, 0.2, 0.5, 1.0]  # u / (u + 2 (1 - u)) at u = 0, 1/3, 2/3, 1
    for ids, z, end in zip(IDS, Z_0.split(1), ends, strict=True):
        before = None
        for t, t_next in pairwise(times):
            with torch.no_grad():
                v_cond, v_uncond = model.velocity(z, t, pair([ids.tolist()]))
            v, h = 3 * v_cond - 2 * v_uncond, t_next - t
            ahead = v if before is None else v + h / before[1] / 2 * (v - before[0])
            before, z = (v, h), z + h * ahead
        torch.testing.assert_close(end, z[0], rtol=1e-3, atol=1e-3)


def test_the_pairs_end_where_many_steps_of_the_loop_end(model):
    """follow_teacher with many steps -> denoise with many more steps.

    The pairs belong to the teacher's flow and not to one solver.
    """
    *_, last = denoise(model, PromptPair.from_ids(IDS), Z_0, time_grid(200), 2.0)
    error = [
        (follow_teacher(model, IDS, Z_0, 0, replace(RECIPE, teacher_steps=n)) - last.z_next).norm() for n in (4, 32)
    ]
    assert error[1] < 0.1 * last.z_next.norm()
    assert error[1] < error[0] / 4


@given(seed=st.integers(0, 1000), step=st.integers(0, 1000), size=st.integers(1, 12))
def test_every_noise_comes_with_its_own_end_and_prompt(seed, step, size):
    """(ids, z_0, z_1) of a batch is (ids[i], z_0[i], z_1[i]) for one i.

    With shuffled noise every point has many lines through it again, and the paths stay bent.
    """
    drawn = draw_pair_batch(step, TAGGED, size, seed)
    for ids, z_0, z_1 in zip(drawn.ids, drawn.z_0, drawn.z_1, strict=True):
        (i,) = (i for i, noise in enumerate(Z_0) if z_0.equal(noise))
        assert ids.equal(IDS[i])
        assert z_1.equal(TAGGED.z_1[i])


@given(seed=st.integers(0, 1000), step=st.integers(0, 1000), other=SEEDS)
def test_a_batch_of_pairs_depends_on_seed_and_step_alone(seed, step, other):
    """draw_pair_batch(k, seed) = draw_pair_batch(k, seed), whatever was drawn in between; other steps differ.

    A resumed run has not drawn the earlier batches, and must still see the same ones from here on.
    """
    first = draw_pair_batch(step, TAGGED, 8, seed)
    torch.manual_seed(other)
    again = draw_pair_batch(step, TAGGED, 8, seed)
    assert all(getattr(first, name).equal(getattr(again, name)) for name in ("z_0", "z_1", "t", "dropped"))
    assert not first.t.equal(draw_pair_batch(step + 1, TAGGED, 8, seed).t)
    assert not first.t.equal(draw_pair_batch(step, TAGGED, 8, seed + 1).t)
    assert not first.t.equal(draw_pair_batch(step + 1, TAGGED, 8, seed - 1).t)  # not the sum of both


def test_a_batch_of_pairs_is_drawn_in_one_order_in_every_version():
    """draw_pair_batch(k, seed) draws pairs, then times, from a generator of seed 1,000,003 seed + k.

    A run goes on with the batches that it would have had. In another order, those of a new version would be others.
    """
    drawn, generator = draw_pair_batch(7, TAGGED, 6, seed=5), torch.Generator().manual_seed(5_000_015 + 7)
    assert drawn.z_1.equal(TAGGED.z_1[torch.randint(5, (6,), generator=generator)])
    assert drawn.t.equal(torch.rand(6, generator=generator) ** 3)


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_a_teacher_is_followed_where_it_lies(unchecked, monkeypatch, device):
    """follow_teacher: noise and prompts, filled up with the id given, are on the teacher's device; its ends on the CPU.

    The meta device stands in for a GPU. Ends that stay there fill it, and a student on the CPU cannot learn from them.
    """
    asked, last = [], Mock()
    monkeypatch.setattr(reflow, "adams_bashforth", lambda *given: asked.append(given) or iter([Mock(), last]))
    teacher = SimpleNamespace(device=torch.device(device))
    assert follow_teacher(teacher, IDS, Z_0, 2, RECIPE) is last.z_next.cpu.return_value
    ((_, prompt, z, *_),) = asked
    assert {x.device.type for x in (z, *vars(prompt.rows).values())} == {device}
    assert device == "meta" or set(prompt.rows.ids[~prompt.rows.attention_mask].tolist()) == {2}


def test_times_are_cubes_of_uniform_numbers():
    """P(t < x^3) = x.

    One step from noise follows the velocity at t = 0 alone, so half of all examples have t < 1/8.
    """
    t = draw_pair_batch(0, TAGGED, 20_000, seed=0).t
    assert t.min() >= 0
    assert t.max() <= 1
    for x in (0.1, 0.25, 0.5, 0.75, 0.9):
        assert (t < x**3).float().mean().item() == pytest.approx(x, abs=0.02)


def test_every_pair_is_drawn_equally_often():
    """P(pair i) = 1 / n for every i, also where a batch is smaller than n.

    A pair that is never drawn cost the teacher its steps for nothing.
    """
    prompts = [ids for step in range(500) for ids in draw_pair_batch(step, TAGGED, 2, seed=0).ids]
    counts = [sum(ids.equal(row) for ids in prompts) for row in IDS]
    assert sum(counts) == 1000
    assert stats.chisquare(counts).pvalue > 1e-3


def test_no_prompt_is_dropped():
    """The network gets the conditional row of every prompt.

    A student is never asked for its unconditional velocity, so training it would be wasted.
    """
    drawn, network = draw_pair_batch(0, TAGGED, 50, seed=0), Answer(lambda z: z)
    reflow_loss(network, drawn, 0)
    conditional = PromptPair.from_ids(drawn.ids).rows
    assert network.rows.ids.equal(conditional.ids[:50])
    assert network.rows.attention_mask.equal(conditional.attention_mask[:50])


def test_the_loss_by_hand():
    """errors 3 s and 0: the loss is ((sqrt(10) - 1) s + 0) / 2.

    The distance of each example counts, not its square; an example that is right costs nothing.
    """
    off = torch.tensor([3 * SOFTENING, 0.0])[:, None, None, None].expand(2, *SHAPE)
    z_1 = normal(1, 2, *SHAPE)
    loss = reflow_loss(Answer(lambda z: z_1 - Z_0[:2] + off), batch([0.3, 0.7], z_1), 0)
    assert loss.item() == pytest.approx((math.sqrt(10) - 1) * SOFTENING / 2, rel=1e-4)


def test_the_softening_is_three_hundredths():
    """errors of 0.04 everywhere: the loss is sqrt(0.04^2 + 0.03^2) - 0.03 = 0.02.

    The shipped student was trained with this loss. With another softening, other errors count as small.
    """
    z_1 = normal(1, 1, *SHAPE)
    loss = reflow_loss(Answer(lambda z: z_1 - Z_0[:1] + 0.04), batch([0.5], z_1), 0)
    assert loss.item() == pytest.approx(0.02, rel=1e-3)


def test_a_large_error_counts_once_and_not_squared():
    """error -> 10 error  =>  loss -> 10 loss, for errors far above SOFTENING.

    Between two pictures that it cannot tell apart, the student answers with one of them and not with their mean.
    """
    z_1 = normal(1, 1, *SHAPE)
    one, ten = (reflow_loss(Answer(lambda z, e=e: z_1 - Z_0[:1] + e), batch([0.5], z_1), 0) for e in (10.0, 100.0))
    assert (ten / one).item() == pytest.approx(10, rel=0.01)


def test_the_network_is_asked_on_the_line():
    """z = (1 - t) z_0 + t z_1, at the t of its example.

    Noise and its end are joined by the straight line that the student is to follow.
    """
    z_1, network = normal(1, 2, *SHAPE), Answer(lambda z: z)
    reflow_loss(network, batch([0.0, 0.25], z_1), 0)
    assert network.t.tolist() == [0.0, 0.25]
    torch.testing.assert_close(network.z[0], Z_0[0])
    torch.testing.assert_close(network.z[1], 0.75 * Z_0[1] + 0.25 * z_1[1])


@pytest.mark.parametrize("kind", [Accelerator, OneOfTwo])
def test_a_student_learns_from_the_pairs_of_its_own_recipe(model, tmp_path, kind):
    """loss(k) = reflow_loss(network_k, share of draw_pair_batch(k, batch_size, seed)), with the padding id given.

    Two processes that learned from the same pairs would do the work of one, and the curve would not show it.
    """
    recipe = replace(RECIPE, steps=2, learning_rate=1e-12, batch_size=6, seed=3)  # so small that the weights stay
    accelerator, rows, told = kind(cpu=True), [], []
    network = JanusFlow.from_pretrained(GOLDEN)
    batches = [draw_pair_batch(step, TAGGED, 6, seed=3).share(accelerator) for step in range(2)]
    with torch.no_grad():
        expected = [reflow_loss(network, batch, 2).item() for batch in batches]
    network.register_forward_pre_hook(lambda _, inputs: rows.append(inputs[2]))
    report = lambda _, losses: told.append(list(losses))  # noqa: E731
    train_student(network, TAGGED, 2, tmp_path / "state", accelerator, report, recipe)
    assert told[-1] == pytest.approx(expected if kind is Accelerator else [(e + 3) / 2 for e in expected], rel=1e-5)
    assert [len(shown.ids) for shown in rows] == [6 // accelerator.num_processes] * 2
    assert all((shown.ids[~shown.attention_mask] == 2).all() for shown in rows)


def test_a_resumed_student_is_the_uninterrupted_one_to_the_bit(tmp_path):
    """state(stopped, resumed) = state(uninterrupted): weights, average, optimiser and losses.

    A run of hours will be interrupted. Nothing that it carries may be lost or begun anew.
    """

    def stop(network, losses):
        raise InterruptionError

    with pytest.raises(InterruptionError):
        train(tmp_path / "cut", report=stop)
    assert len(load_file(tmp_path / "cut")["losses"]) == 2
    cut, whole = train(tmp_path / "cut"), train(tmp_path / "whole")
    assert cut.keys() == whole.keys()
    assert {key.split(".")[0] for key in whole} == {"network", "average", "optimizer", "losses"}
    assert all(cut[key].equal(whole[key]) for key in whole)


def test_other_pairs_do_not_go_on_with_this_run(tmp_path):
    """pairs, teacher_steps, shift, cfg_weight or student of a run differ, or a prompt, noise or end  =>  InputError.

    The student would learn from pairs that its first steps have not seen.
    """
    train(tmp_path / "state")
    for change in ({"pairs": 6}, {"teacher_steps": 4}, {"shift": 1.0}, {"cfg_weight": 3.0}):
        with pytest.raises(InputError, match="train in another directory"):
            train(tmp_path / "state", replace(RECIPE, **change))
    for change in ({"ids": [*IDS[:4], IDS[0]]}, {"z_0": TAGGED.z_0 + 1}, {"z_1": TAGGED.z_1 + 1}):
        with pytest.raises(InputError, match="begun with data"):
            train(tmp_path / "state", pairs=replace(TAGGED, **change))
    with pytest.raises(InputError, match="begun with source"):
        train(tmp_path / "state", source="an earlier student")


@pytest.mark.parametrize("use_cache", [True, False])
def test_one_row_takes_the_steps_of_the_loop_without_guidance(model, prompt, golden, use_cache):
    """one_row = denoise at w = 1, in every step, and the language model sees B rows, not 2B.

    A student is drawn without guidance, so half of the loop's rows would be thrown away.
    """
    z, times, rows = golden["loop_w_z"][0], time_grid(3), []
    hook = model.llama.layers[0].register_forward_hook(lambda module, args, out: rows.append(len(args[0])))
    ours = list(one_row(model, prompt, z, times, use_cache=use_cache))
    hook.remove()
    assert rows[-3:] == [len(z)] * 3
    assert len(rows) == 3 + use_cache  # the prompt in a call of its own
    for a, b in zip(ours, denoise(model, prompt, z, times, 1.0), strict=True):
        assert (a.index, a.t, a.t_next) == (b.index, b.t, b.t_next)
        torch.testing.assert_close(a.v, b.v_cond, rtol=1e-4, atol=1e-5)
        assert a.v.equal(a.v_cond)
        assert a.v.equal(a.v_uncond)  # which is not known
        torch.testing.assert_close(a.z_next, b.z_next, rtol=1e-4, atol=1e-5)
        assert not a.z_next.requires_grad


def test_the_loop_without_guidance_follows_the_conditional_velocity_exactly(model, prompt, golden):
    """w = 1  =>  v = v_cond, to the bit.

    The unconditional row of a student was never trained, and must not touch its pictures.
    """
    for step in denoise(model, prompt, golden["loop_w_z"][0], time_grid(3), 1.0):
        assert step.v.equal(step.v_cond)


def test_one_row_refuses_guidance(model, prompt, golden):
    """w != 1, or a wrong number of latents  =>  InputError.

    Without unconditional rows there is nothing to guide by, and ignoring the weight would be worse than an error. A
    weight of 0 asks for no prompt at all.
    """
    for weight in (2.0, 0.5, 0.0):
        with pytest.raises(InputError, match=f"a guidance weight of {weight:g} with one row: expected 1"):
            next(one_row(model, prompt, golden["loop_w_z"][0], time_grid(2), weight))
    with pytest.raises(InputError, match="3 latents for a prompt pair of 2 images"):
        next(one_row(model, prompt, normal(0, 3, *SHAPE), time_grid(2)))


def test_one_row_can_be_steered(model, prompt, golden):
    """step.z_next = x  =>  the next step begins at x.

    What works with the loop works with its sibling.
    """
    steps = one_row(model, prompt, golden["loop_w_z"][0], time_grid(2))
    first = next(steps)
    first.z_next = torch.ones_like(first.z)
    assert next(steps).z.equal(torch.ones_like(first.z))
    assert torch.is_grad_enabled()
