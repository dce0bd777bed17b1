"""The recipes of the site's third part: the pages run as they stand, and do what they say."""

import runpy
from copy import deepcopy
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from einops import repeat
from safetensors.torch import load_file
from tools.drawn import normal, pair
from tools.small_runs import small_runs

from janus_minimal import JanusFlowPipeline, PromptPair, Step, denoise, euler_step, guide, time_grid
from janus_minimal.errors import InputError
from janus_minimal.figures.attention import look_inside
from janus_minimal.flow import interpolate
from janus_minimal.loading.hub import BUNDLED
from janus_minimal.shapes.caption import Caption
from janus_minimal.shapes.score import satisfies
from janus_minimal.solvers import midpoint
from janus_minimal.training.batch import draw_batch
from janus_minimal.training.loss import flow_loss
from janus_minimal.training.recipe import Recipe

RECIPES = Path(__file__).parent.parent.parent / "docs" / "figures" / "recipes.py"
run_page = runpy.run_path(str(RECIPES))["run_page"]
SHAPE = (4, 12, 12)


# The pages run with fewer steps and pictures than their readers see, where no law below looks at what comes of them.


@pytest.fixture(scope="module")
def extending():
    fewer = {
        "num_inference_steps=10": "num_inference_steps=2",
        'left of a purple cross", 10,': 'left of a purple cross", 2,',
        "time_grid(10, shift=2.0)": "time_grid(3, shift=2.0)",
    }
    return run_page("extending.md", fewer)


@pytest.fixture(scope="module")
def editing():
    fewer = {
        "steps=30": "steps=3",
        "time_grid(30)": "time_grid(3)",
        'pipe("a red star", latents': 'pipe("a red star", 2, latents',
        'cross", 20, 1.0': 'cross", 2, 1.0',
        'triangle", latents=origin': 'triangle", 2, latents=origin',
    }
    return run_page("editing.md", fewer)


@pytest.fixture(scope="module")
def few():
    torch.manual_seed(0)  # of the noise of the page's picture
    return run_page("few-steps.md")


@pytest.fixture(scope="module")
def inside():
    return run_page("inside.md", {"5, latents=noise": "2, latents=noise", "time_grid(5)": "time_grid(2)"})


@pytest.fixture(scope="module")
def own():
    fewer = {
        "range(48)": "range(24)",
        "steps=60, batch_size=16, learning_rate=1e-3": "steps=8, batch_size=4, learning_rate=4e-3",
        "steps=100, batch_size=16, learning_rate=1e-3": "steps=14, batch_size=4, learning_rate=6e-3",
        "steps=120, batch_size=16": "steps=2, batch_size=4",
        "captions[0],\n": "captions[0],\n    2,\n",
        "range(160)": "range(40)",
        "[:96]": "[:24]",
        "ids, latents, 64, seed": "ids, latents, 24, seed",
        "pipe(caption, generator": "pipe(caption, 2, generator",
        "steps=4, batch_size=8": "steps=2, batch_size=4",
    }
    with small_runs():
        return run_page("own-pictures.md", fewer)


@pytest.fixture(scope="module")
def two(pipe):
    """A prompt pair of two captions of different lengths."""
    return PromptPair.from_text(["a red circle", "a red circle left of a blue square"], pipe.tokenizer)


def rules(page):
    names = {"interval": page["in_interval"](0.0, 1.0), "rescaled": page["rescaled"](0.7)}
    return names | {"projected": page["projected"], "zero star": page["zero_star"]}


def step_of(v_cond, v_uncond, weight, z=None, t=0.0, index=1):
    """A Step with these velocities, in the middle of a run."""
    v, t = guide(v_cond, v_uncond, weight), torch.tensor(t)
    z = torch.zeros_like(v) if z is None else z
    return Step(index, t, t + 0.1, z, v_cond, v_uncond, v, z + 0.1 * v)


def last_of(steps):
    *_, last = steps
    return last.z_next


def test_guidance_rules_agree_with_the_worked_example(extending):
    """v_c = (3, 1), v_u = (1, 0), w = 3  =>  (7, 3), (4.55, 1.95), (3, 3), (3, 3).

    The table on the page is worked by hand, without this code.
    """
    v_cond, v_uncond = torch.tensor([3.0, 1.0]).view(1, 1, 1, 2), torch.tensor([1.0, 0.0]).view(1, 1, 1, 2)
    along = torch.tensor([1.0, 0.0]).view(1, 1, 1, 2) - v_cond  # so that z + (1 - 0) v_cond = (1, 0)
    expected = {"interval": (7, 3), "rescaled": (4.55, 1.95), "projected": (3, 3), "zero star": (3, 3)}
    for name, rule in rules(extending).items():
        found = rule(step_of(v_cond, v_uncond, 3.0, along), 3.0).flatten()
        torch.testing.assert_close(found, torch.tensor(expected[name], dtype=torch.float32))


def test_every_guidance_rule_treats_each_image_by_itself(extending):
    """rule(step of B images)[i] = rule(step of image i).

    A sum or a standard deviation over the batch would let pictures influence each other.
    """
    v_cond, v_uncond, z = (normal(seed, 3, *SHAPE) for seed in range(3))
    for rule in rules(extending).values():
        together = rule(step_of(v_cond, v_uncond, 5.0, z, t=0.4), 5.0)
        for i in range(3):
            alone = rule(step_of(v_cond[[i]], v_uncond[[i]], 5.0, z[[i]], t=0.4), 5.0)
            torch.testing.assert_close(together[[i]], alone, rtol=1e-4, atol=1e-5)


def test_every_guidance_rule_but_zero_star_is_no_guidance_at_weight_one(extending):
    """w = 1  =>  rule(step, w) = v_cond; CFG-Zero* too, but for its first step, where it is 0.

    Each rule changes only what guidance adds, and at w = 1 guidance adds nothing.
    """
    v_cond, v_uncond, z = (normal(seed, 2, *SHAPE) for seed in range(3))
    for rule in rules(extending).values():
        torch.testing.assert_close(rule(step_of(v_cond, v_uncond, 1.0, z, t=0.4), 1.0), v_cond, rtol=1e-4, atol=1e-5)
    first = step_of(v_cond, v_uncond, 1.0, z, index=0)
    assert torch.equal(extending["zero_star"](first, 1.0), torch.zeros_like(z))


def test_away_from_the_same_caption_is_no_guidance(extending, pipe):
    """negative = prompt  =>  v = v_cond, for every weight.

    The difference that guidance enlarges is then zero.
    """
    prompt, z, times = PromptPair.from_text("a red star", pipe.tokenizer, 2), normal(0, 2, *SHAPE), time_grid(3)
    found = last_of(extending["away_from"]("a red star")(pipe.model, prompt, z, times, 5.0))
    torch.testing.assert_close(found, last_of(denoise(pipe.model, prompt, z, times, 1.0)), rtol=1e-3, atol=1e-3)


def test_away_from_an_equal_model_is_no_guidance(extending, pipe):
    """weak = model  =>  v = v_cond for every weight; with another weak model v = w v_cond - (w - 1) v_weak.

    Autoguidance enlarges the difference of two models, and equal models have none.
    """
    prompt, z, times = PromptPair.from_text("a red star", pipe.tokenizer, 2), normal(0, 2, *SHAPE), time_grid(3)
    found = last_of(extending["away_from_weaker"](pipe.model)(pipe.model, prompt, z, times, 5.0))
    torch.testing.assert_close(found, last_of(denoise(pipe.model, prompt, z, times, 1.0)), rtol=1e-3, atol=1e-3)
    ours, weaks = (next(denoise(model, prompt, z, times)).v_cond for model in (pipe.model, extending["weak"]))
    assert (ours - weaks).norm() > 0.01 * ours.norm()
    step = next(extending["away_from_weaker"](extending["weak"])(pipe.model, prompt, z, times, 3.0))
    torch.testing.assert_close(step.v, 3 * ours - 2 * weaks, rtol=1e-3, atol=1e-3)


def test_the_unconditional_noise_makes_guidance_depend_on_the_time(extending):
    """z' = t' (z + (1 - t) (v_u + lambda (v_c - v_u))) + (1 - t') (z - t v_u).

    The page turns this, CFG++'s own step, into Euler's step with a weight that depends on the time.
    """
    v_cond, v_uncond, z = (normal(seed, 2, *SHAPE) for seed in range(3))
    for t in (0.0, 0.4, 0.9):
        step = step_of(v_cond, v_uncond, 1.0, z, t)
        picture = z + (1 - step.t) * (v_uncond + 0.3 * (v_cond - v_uncond))
        expected = step.t_next * picture + (1 - step.t_next) * (z - step.t * v_uncond)
        found = euler_step(z, extending["plus_plus"](step, 0.3), step.t, step.t_next)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_leaving_out_the_unconditional_row_changes_only_the_work(extending, pipe, two, monkeypatch):
    """sparing(0, 0.5) = in_interval(0, 0.5), and the language model computes 6 + 3 rows of B in place of 12.

    Rows and cache must be cut in the same place. Two prompts of different lengths tell a wrong half from the right one.
    """
    z, times, rows = normal(0, 2, *SHAPE), time_grid(6), []
    expected = last_of(extending["with_guidance"](extending["in_interval"](0.0, 0.5))(pipe.model, two, z, times, 4.0))
    run = pipe.model.backbone
    monkeypatch.setattr(pipe.model, "backbone", lambda tokens, *rest: rows.append(len(tokens)) or run(tokens, *rest))
    found = last_of(extending["sparing"](0.0, 0.5)(pipe.model, two, z, times, 4.0))
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
    assert rows == [4, 4, 4, 2, 2, 2]


class KnownField:
    """Stands in for the model: dz/dt = t - z, z(0) = 1, whose solution is t - 1 + 2 exp(-t)."""

    def prefill(self, prompt):
        return None

    def velocity(self, z, t, prompt, cache):
        return t - z, torch.zeros_like(z)


def test_runge_kutta_has_order_four(extending):
    """dz/dt = t - z  =>  |z_S - 2 / e| = O(1 / S^4).

    Twice the steps leave a sixteenth of the error.
    """

    def error(steps):
        one = torch.ones(1, 1, 1, 1)
        found = last_of(extending["runge_kutta_4"](KnownField(), pair([[1, 2]]), one, time_grid(steps), 1.0))
        return abs(found.item() - 2 / torch.e)

    assert 14 < error(2) / error(4) < 22


def test_every_recipe_solver_lets_the_caller_edit(extending, pipe):
    """step.z_next := x  =>  the next step begins at x.

    A recipe that wraps the loop must hand the caller's edit on to it.
    """
    prompt, z = PromptPair.from_text("a star", pipe.tokenizer), normal(0, 1, *SHAPE)
    solvers = [
        extending["with_guidance"](extending["projected"]),
        extending["away_from"]("a red star"),
        extending["sparing"](0.0, 0.5),
        extending["runge_kutta_4"],
        extending["stirred"](1.0, torch.Generator().manual_seed(0)),
        extending["noisy"](1.0, torch.Generator().manual_seed(0)),
        extending["scheduled"](extending["schedulers"]["UniPCMultistepScheduler"]),
    ]
    for solver in solvers:
        steps = solver(pipe.model, prompt, z, time_grid(3), 2.0)
        first = next(steps)
        first.z_next = torch.ones_like(z)
        assert torch.equal(next(steps).z, torch.ones_like(z))


def test_the_adaptive_solver_meets_small_euler_steps(extending, pipe):
    """solve_ivp with a small tolerance = Euler with S steps, up to O(1 / S).

    Two ways to integrate one field must meet.
    """
    prompt, z = PromptPair.from_text("a red circle", pipe.tokenizer), normal(1, 1, *SHAPE)
    found = torch.from_numpy(extending["adaptive"](pipe.model, prompt, z, 2.0, 1e-4).y[:, -1]).float().view_as(z)
    ends = [last_of(denoise(pipe.model, prompt, z, time_grid(steps))) for steps in (10, 40)]
    coarse, fine = ((found - end).norm() / found.norm() for end in ends)
    assert fine < 0.05
    assert fine < coarse / 2  # a quarter, but for the tolerance of the adaptive solver


def test_stirring_keeps_signal_and_noise_in_proportion(extending, monkeypatch):
    """z_t = t x + (1 - t) n at every time, with fresh noise too.

    What is added must be exactly what going back in time lacks; the last step adds none.
    """

    def to_three(model, prompt, z, times, cfg_weight=2.0):
        for index, (t, t_next) in enumerate(pairwise(times)):
            v = (3 - z) / (1 - t)
            step = Step(index, t, t_next, z, v, v, v, euler_step(z, v, t, t_next))
            yield step
            z = step.z_next

    monkeypatch.setitem(extending, "denoise", to_three)
    solver = extending["stirred"](1.0, torch.Generator().manual_seed(1))
    for step in solver(None, None, normal(0, 100, 4, 12, 12), time_grid(5)):
        t = step.t_next.item()
        assert step.z_next.mean().item() == pytest.approx(3 * t, abs=0.02)
        assert step.z_next.std().item() == pytest.approx(1 - t, abs=0.02)


def test_noise_and_score_together_keep_every_distribution(extending, monkeypatch):
    """Data N(3, 1/4)  =>  z_t ~ N(3 t, t^2 / 4 + (1 - t)^2) at every t, whatever the amount of noise.

    Noise alone widens the distribution, the score alone narrows it. The exact field is written down here.
    """

    def to_normal(model, prompt, z, times, cfg_weight=2.0):
        for index, (t, t_next) in enumerate(pairwise(times)):
            v = 3 + (t / 4 - (1 - t)) / (t**2 / 4 + (1 - t) ** 2) * (z - 3 * t)
            step = Step(index, t, t_next, z, v, v, v, euler_step(z, v, t, t_next))
            yield step
            z = step.z_next

    monkeypatch.setitem(extending, "denoise", to_normal)
    for amount in (0.0, 1.0, 4.0):
        solver = extending["noisy"](amount, torch.Generator().manual_seed(1))
        for step in solver(None, None, normal(0, 30, 4, 12, 12), time_grid(200)):
            t = step.t_next.item()
            assert step.z_next.mean().item() == pytest.approx(3 * t, abs=0.03)
            assert step.z_next.std().item() == pytest.approx((t**2 / 4 + (1 - t) ** 2) ** 0.5, rel=0.04)


def test_with_guidance_noise_leads_towards_the_sharpened_distribution(extending, monkeypatch):
    """p(x|c) = N(0, 1/4), p(x) = N(0, 1), w = 2  =>  variance 1/16 by the ODE, 0.104, 0.130 by the SDE; 1/7 is sharp.

    The SDE follows the score of p(z|c)^2 / p(z), the sharpened distribution. The guided ODE does not end there.
    """

    def to_guided(model, prompt, z, times, cfg_weight=2.0):
        for index, (t, t_next) in enumerate(pairwise(times)):
            v_cond, v_uncond = ((t * s - (1 - t)) / (t**2 * s + (1 - t) ** 2) * z for s in (0.25, 1.0))
            v = guide(v_cond, v_uncond, cfg_weight)
            step = Step(index, t, t_next, z, v_cond, v_uncond, v, euler_step(z, v, t, t_next))
            yield step
            z = step.z_next

    monkeypatch.setitem(extending, "denoise", to_guided)
    for amount, variance in {0.0: 1 / 16, 1.0: 0.104, 4.0: 0.130}.items():
        solver = extending["noisy"](amount, torch.Generator().manual_seed(1))
        end = last_of(solver(None, None, normal(0, 30, 4, 12, 12), time_grid(400)))
        assert end.var().item() == pytest.approx(variance, rel=0.05)


def test_steering_lowers_the_loss_and_zero_strength_is_guidance(extending, pipe):
    """strength = 0  =>  v' = v; strength > 0  =>  loss(z_S) is smaller for every noise.

    The gradient is taken for each image by itself, at the predicted picture.
    """
    prompt, z, times = PromptPair.from_text("a red circle", pipe.tokenizer, 2), normal(0, 2, *SHAPE), time_grid(4)
    loss = extending["right_half_is_bright"]

    def end(strength):
        solver = extending["with_guidance"](extending["steered"](loss, strength))
        return last_of(solver(pipe.model, prompt, z, times, 2.0))

    torch.testing.assert_close(end(0.0), last_of(denoise(pipe.model, prompt, z, times)), rtol=1e-4, atol=1e-4)
    with torch.no_grad():
        assert (loss(end(1.0)) < 0.7 * loss(end(0.0))).all()


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # diffusers' own
def test_a_scheduler_of_diffusers_is_a_solver(extending, pipe):
    """diffusers' Euler = denoise on the scheduler's grid, 1 - sigma; every scheduler approaches the exact path.

    Sign and clock are turned round there. With a wrong sign the latent would leave the data.
    """
    prompt, z = PromptPair.from_text("a red star", pipe.tokenizer), normal(0, 1, *SHAPE)
    schedulers, scheduled = extending["schedulers"], extending["scheduled"]
    euler = schedulers["FlowMatchEulerDiscreteScheduler"]
    found = last_of(scheduled(euler)(pipe.model, prompt, z, time_grid(6)))
    torch.testing.assert_close(found, last_of(denoise(pipe.model, prompt, z, 1 - euler.sigmas)), rtol=1e-3, atol=1e-3)
    exact = last_of(midpoint(pipe.model, prompt, z, time_grid(16)))
    for scheduler in schedulers.values():
        end = last_of(scheduled(scheduler)(pipe.model, prompt, z, time_grid(16)))
        assert (end - exact).norm() < 0.15 * exact.norm()


def test_what_changes_the_place_goes_outside(extending):
    """Inpainting around a rule of guidance: the known half ends at the source's latent, exactly.

    A rule around the inpainting would take its Euler step last, and the known half would be lost.
    """
    page = extending
    kept = ~page["mask"].expand_as(page["start"])
    assert torch.equal(page["inpainted"][kept], page["source"].images[kept])
    assert not torch.isclose(page["inpainted"][~kept], page["source"].images[~kept]).any()


def test_strength_zero_gives_the_latent_back(editing, pipe, two):
    """strength = 0  =>  repaint(latent) = latent.

    At t = 1 no noise is mixed in, and no step is left to take.
    """
    latent, noise = normal(0, 2, *SHAPE), normal(1, 2, *SHAPE)
    assert torch.equal(editing["repaint"](pipe.model, two, latent, noise, 0.0, 5), latent)


def test_strength_one_is_drawing_from_noise(editing, pipe, two):
    """strength = 1  =>  repaint(latent) does not depend on the latent.

    At t = 0 the mixture is noise alone.
    """
    latent, noise = normal(0, 2, *SHAPE), normal(1, 2, *SHAPE)
    found = editing["repaint"](pipe.model, two, latent, noise, 1.0, 3)
    torch.testing.assert_close(found, last_of(denoise(pipe.model, two, noise, time_grid(3))))


def test_inpainting_keeps_the_latent_outside_of_the_mask(editing, pipe, two):
    """mask = 0  =>  z_S = latent, exactly; mask = 1  =>  something new.

    The last replacement happens at t_next = 1, where the line ends in the latent.
    """
    latent, noise = normal(0, 2, *SHAPE), normal(1, 2, *SHAPE)
    mask = normal(2, 2, 1, 12, 12) > 0
    found = editing["fill"](pipe.model, two, latent, noise, mask, time_grid(3))
    kept = ~mask.expand_as(latent)
    assert torch.equal(found[kept], latent[kept])
    assert not torch.isclose(found[~kept], latent[~kept]).any()


def test_the_arc_between_two_noises_keeps_the_norm(editing):
    """|spherical(a, b, u)| = |a| if |a| = |b|, and u = 0, 1 give a, b; the middle of the line is shorter.

    Training shows the network at t = 0 only points at about this distance from the origin.
    """
    a, b = normal(0, 3, *SHAPE), normal(1, 3, *SHAPE)
    b = b * a.flatten(1).norm(dim=1).view(-1, 1, 1, 1) / b.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    for share in (0.0, 0.3, 0.5, 1.0):
        norm = editing["spherical"](a, b, share).flatten(1).norm(dim=1)
        torch.testing.assert_close(norm, a.flatten(1).norm(dim=1))
    torch.testing.assert_close(editing["spherical"](a, b, 0.0), a)
    torch.testing.assert_close(editing["spherical"](a, b, 1.0), b)
    assert ((a + b) / 2).norm() < 0.8 * a.norm()


def test_a_blend_begins_and_ends_with_one_caption(editing, pipe):
    """blend(share 0) = the first caption's run, blend(share 1) = the second's.

    In between the two generators are moved along one path.
    """
    first, second = (PromptPair.from_text(text, pipe.tokenizer) for text in ("a red circle", "a blue square"))
    z, times = normal(0, 1, *SHAPE), time_grid(3)
    for share, prompt in ((0.0, first), (1.0, second), (lambda t: 1.0, second)):
        found = editing["blend"](pipe.model, first, second, z, times, share)
        torch.testing.assert_close(found, last_of(denoise(pipe.model, prompt, z, times)), rtol=1e-4, atol=1e-4)


def test_backward_and_forward_meet_when_steps_are_small(editing, pipe):
    """denoise(noise_of(x)) -> x as S grows.

    Euler reads the velocity at the beginning of a step, backward at the other end; the difference is O(1 / S).
    """
    prompt, latent = editing["said"], editing["latent"]

    def apart(steps):
        noise = editing["noise_of"](pipe.model, prompt, latent, steps)
        again = last_of(denoise(pipe.model, prompt, noise, time_grid(steps), 1.0))
        return ((again - latent).norm() / latent.norm()).item()

    assert apart(20) < min(0.3, 0.7 * apart(4))


def test_midpoint_leads_back_to_the_picture(editing, pipe):
    """midpoint(noise_of(x, solver=midpoint)) = x up to one per cent, in twenty steps.

    Its error is of second order. Noise that Euler found would lead two per cent past the picture.
    """
    prompt, latent = editing["said"], editing["latent"]
    again = last_of(midpoint(pipe.model, prompt, editing["origin"], time_grid(20), 1.0))
    assert (again - latent).norm() < 0.01 * latent.norm()


def test_fine_tuning_on_a_folder_lowers_the_loss(own, pipe):
    """flow_loss(tuned) < flow_loss(bundled) on the new pictures, with times and noise that training did not draw.

    The twenty lines of the page connect a folder to the training loop.
    """
    batch = draw_batch(10**6, own["ids"], own["latents"], 24, seed=0)
    with torch.no_grad():
        before, after = (
            flow_loss(model, batch, pipe.tokenizer.pad_token_id) for model in (pipe.model, own["tuned"].model)
        )
    assert after < 0.95 * before


def test_rings_alone_raise_the_loss_on_other_scenes(own):
    """loss(old scenes | trained on rings only) > loss(old scenes | bundled model).

    The same weights serve both, so what is not in the batches is forgotten. The loss shows it without a picture.
    """
    assert own["kept"]["rings only"] > own["kept"]["before"]


def test_one_picture_can_be_memorised(own):
    """One datum  =>  the loss falls below a half within fourteen steps; its floor is 0.

    Encoding, captions and training must agree; where one of them does not, this fails first.
    """
    assert sum(own["one_losses"][-5:]) < 0.5 * sum(own["one_losses"][:5])


def test_other_sizes_train_and_draw_pictures_of_their_size(own):
    """image_size = 64, D = 128, 4 layers  =>  latents of 16 x 16, pictures of 64 x 64, first loss = mean |z_1 - z_0|^2.

    No part of the training knows a size. The last layers are zero at first, so the untrained model answers 0.
    """
    batch = draw_batch(0, own["ids"], own["at_64"], own["trial"].batch_size, own["trial"].seed)
    assert batch.z_1.shape[1:] == (4, 16, 16)
    assert own["first_losses"][0] == pytest.approx((batch.z_1 - batch.z_0).square().mean().item(), rel=1e-5)
    assert own["noisy"].size == (64, 64)
    assert own["first"].config == own["sizes"]


@pytest.fixture
def low_rank(own):
    """A fresh bundled model with low-rank changes around its attention."""
    torch.manual_seed(0)
    return own["add_low_rank"](JanusFlowPipeline.from_pretrained("shapes").model, 4)


@torch.no_grad()
def velocities(model, prompt):
    return torch.stack(model.velocity(normal(0, 2, *SHAPE), 0.4, prompt))


def test_low_rank_changes_nothing_before_training(pipe, two, low_rank):
    """B = 0  =>  W x + (alpha / R) B A x = W x.

    Training begins at the model that is tuned, and only A, B require gradients.
    """
    torch.testing.assert_close(velocities(low_rank, two), velocities(pipe.model, two))
    names = {name.rsplit(".", 1)[1] for name, p in low_rank.named_parameters() if p.requires_grad}
    assert names == {"up", "down"}


def test_merging_low_rank_changes_nothing(own, two, low_rank):
    """(W + (alpha / R) B A) x = W x + (alpha / R) B A x.

    After merging, the checkpoint has the official layout and the same velocities.
    """
    for name, parameter in low_rank.named_parameters():
        if name.endswith("up"):
            torch.nn.init.normal_(parameter, std=0.02)
    before = velocities(low_rank, two)
    merged = own["merge_low_rank"](low_rank)
    torch.testing.assert_close(velocities(merged, two), before, rtol=1e-3, atol=1e-4)
    assert not any(name.endswith(("up", "down")) for name, _ in merged.named_parameters())


def test_low_rank_training_leaves_the_frozen_weights_alone(own, pipe, low_rank, tmp_path):
    """After training: every frozen weight is the bundled one, and every B has moved.

    A frozen weight has no gradient, so neither optimiser touches it.
    """
    recipe = Recipe(steps=2, batch_size=4, learning_rate=0.01, warmup=1, average=0.5)
    own["tune"](low_rank, own["latents"], own["ids"], recipe, tmp_path / "state.safetensors")
    bundled = pipe.model.state_dict()
    for name, value in low_rank.state_dict().items():
        if name.endswith(".up"):
            assert value.abs().max() > 0
        elif not name.endswith(".down"):
            assert torch.equal(value, bundled[name.replace(".linear.", ".")])


def test_reflow_in_one_dimension_makes_one_step_exact():
    """Data -2, 2: the best field sends z_0 to 2 sign(z_0); on the lines of these pairs v = 2 sign(z_0) - z_0 for all t.

    Positive and negative noise never meet, so nothing is averaged, and one Euler step is exact.
    """
    z_0, times = torch.tensor([-2.0, -0.7, -0.1, 0.1, 0.5, 1.5], dtype=torch.float64), time_grid(500).double()
    z = z_0
    for t, t_next in pairwise(times):
        mean = 2 * torch.tanh(2 * t * z / (1 - t) ** 2)
        z = euler_step(z, (mean - z) / (1 - t), t, t_next)
    z_1 = 2 * z_0.sign()
    torch.testing.assert_close(z, z_1, rtol=0, atol=0.02)
    assert (z_0 + (0 - z_0)).abs().max() == 0  # one step of the first field ends at the mean of the data
    for t in times[:-1:100]:
        z_t = (1 - t) * z_0 + t * z_1
        torch.testing.assert_close((2 * z_t.sign() - z_t) / (1 - t), z_1 - z_0)
    assert torch.equal(euler_step(z_0, z_1 - z_0, times[0], times[-1]), z_1)


def exact_jump(z, t):
    """The velocity whose jump is exact for data N(3, 1/4): f(z, t) = 3 + (z - 3 t) / (2 sigma_t)."""
    sigma = (t**2 / 4 + (1 - t) ** 2) ** 0.5
    return (3 + (z - 3 * t) / (2 * sigma) - z) / (1 - t)


def test_consistency_by_hand(few):
    """dz/dt = -z, t = 0.5, s = 0.6, z = 0.607  =>  loss = (0.328 - 0.303)^2; N(3, 1/4): 1 jumps to 3.5, 1.25 to 2.776.

    The page's numbers are worked without its code. The target's weights must get no gradient.
    """
    weight = torch.tensor(1.0, requires_grad=True)
    t, s, z = torch.tensor(0.5), torch.tensor(0.6), torch.tensor([0.607])
    loss = few["consistency_loss"](lambda z, _: -z, lambda z, _: -weight * z, z, -z, t, s)
    assert loss.item() == pytest.approx(0.02428**2, rel=1e-3)
    assert not loss.requires_grad
    assert few["jump"](exact_jump, torch.tensor(1.0), torch.tensor(0.0)).item() == pytest.approx(3.5)
    assert few["jump"](exact_jump, torch.tensor(1.25), t).item() == pytest.approx(2.776, abs=5e-4)


class Lines(torch.nn.Module):
    """A velocity a + b z, with numbers of its own at each time of a grid: the exact answer for normal data."""

    def __init__(self, times):
        super().__init__()
        self.times, self.numbers = times, torch.nn.Parameter(torch.zeros(len(times), 2))

    def forward(self, z, t):
        a, b = self.numbers[(self.times == t).nonzero().item()]
        return a + b * z


def test_a_consistent_student_jumps_where_its_teacher_walks(few):
    """The loss is least at f(z_0, 0) = the end of N Euler steps; without a teacher too, as the field is linear.

    Data N(3, 1/4). One jump of the student meets the walk on the grid whose gaps it was trained on, and no other walk.
    """
    times = time_grid(4)
    for teacher in (True, False):
        torch.manual_seed(0)
        student, average = Lines(times), Lines(times)
        optimizer = torch.optim.Adam(student.parameters(), lr=0.2)
        for step in range(1200):
            index = step % 4
            t, s, z_0, z_1 = times[index], times[index + 1], torch.randn(1024), 3 + torch.randn(1024) / 2
            z, line = interpolate(z_0, z_1, t.expand(1024))
            line = velocity_of_normal(z, t) if teacher else line
            optimizer.param_groups[0]["lr"] = 0.2 * (1 - step / 1200)
            optimizer.zero_grad()
            few["consistency_loss"](student, average, z, line, t, s).backward()
            optimizer.step()
            average.numbers.data.lerp_(student.numbers.data, 0.05)
        z = walk = torch.tensor([-1.0, 0.0, 1.5])
        for t, s in pairwise(times):
            walk = euler_step(walk, velocity_of_normal(walk, t), t, s)
        torch.testing.assert_close(few["jump"](student, z, times[0]), walk, rtol=0, atol=0.02)


def velocity_of_normal(z, t):
    """The exact velocity for data N(3, 1/4)."""
    return 3 + (t / 4 - (1 - t)) / (t**2 / 4 + (1 - t) ** 2) * (z - 3 * t)


def test_jumps_with_fresh_noise_keep_the_distribution(few):
    """Data N(3, 1/4) and an exact jump  =>  after 1, 2 or 3 jumps the pictures are N(3, 1/4).

    Signal and noise must be mixed as on the line of training. With old noise in place of fresh noise they are not.
    """
    torch.manual_seed(0)
    for times in ([0.0], [0.0, 0.5], [0.0, 0.3, 0.6]):
        found = few["draw_by_jumps"](exact_jump, torch.zeros(100_000), torch.tensor(times))
        assert found.mean().item() == pytest.approx(3, abs=0.01)
        assert found.std().item() == pytest.approx(0.5, abs=0.01)


def test_the_students_picture_shows_what_it_was_asked(few):
    """The picture of the page on few steps satisfies its caption: four steps, one row.

    The page's code is what readers copy first.
    """
    assert satisfies(np.asarray(few["picture"]), Caption.parse("a red circle left of a blue square"))


def test_the_profile_shows_every_stage_and_the_matrix_products():
    """The profile of one step names the five stages, and counts a matrix product for every linear layer of a block.

    The page's lines are what readers copy. Pictures that are decoded one by one are as many as were asked for.
    """
    page = run_page("speed.md", {'"a red circle", num_images': '"a red circle", 2, num_images'})
    counts = {event.key: event.count for event in page["record"].key_averages()}
    assert all(counts[name] == 1 for name in ("encode", "align_in", "backbone", "align_out", "decode"))
    assert counts["aten::mm"] >= 7 * len(page["pipe"].model.llama.layers)
    assert len(page["pictures"]) == 3


def test_looking_inside_changes_nothing(model, prompt, golden):
    """look_inside's velocities = velocity's; attention, hooks and velocities are then as before, after an error too.

    It exchanges the attention for one evaluation only. A cache that is given is read, and not computed again.
    """
    z, names = golden["loop_w_z"][0], ("v_cond", "v_uncond")
    with torch.no_grad():
        before = model.velocity(z, 0.3, prompt)
    seen, cache = look_inside(model, z, 0.3, prompt), model.prefill(prompt)
    assert not any(x.requires_grad for x in vars(seen).values())  # or the graph of all layers would be kept with it
    with pytest.raises(InputError):
        look_inside(model, z[:1], 0.3, prompt)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "prefill", Mock(side_effect=InputError))
        with pytest.raises(InputError):
            look_inside(model, z, 0.3, prompt)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "prefill", lambda prompt: pytest.fail("prefilled again"))
        assert torch.equal(look_inside(model, z, 0.3, prompt, cache).v_cond, seen.v_cond)
    with torch.no_grad():
        after = model.velocity(z, 0.3, prompt)
    for name, a, b in zip(names, before, after, strict=True):
        torch.testing.assert_close(getattr(seen, name), a, rtol=1e-3, atol=1e-4)
        assert torch.equal(a, b)
    assert model.llama.config._attn_implementation == "sdpa"
    eager = deepcopy(model)
    eager.llama.set_attn_implementation("eager")  # a choice of the caller, which also comes back
    look_inside(eager, z, 0.3, prompt)
    assert eager.llama.config._attn_implementation == "eager"
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_recorded_attention_sums_to_one_and_sees_nothing_hidden(pipe, two):
    """sum_j a_ij = 1, and a_ij = 0 where j is masked or later than i.

    In every layer, row and head, for prompts of different lengths too.
    """
    seen = look_inside(pipe.model, normal(0, 2, *SHAPE), 0.4, two).attention
    rows, (layers, number, heads, n, length) = two.batch(), seen.shape
    assert (layers, number, heads, n, length - n) == (6, 4, 6, 37, rows.ids.shape[1])
    torch.testing.assert_close(seen.sum(dim=-1), torch.ones(layers, number, heads, n))
    visible = rows.mask(n)[:, None] & torch.ones(n, length, dtype=torch.bool).tril(length - n)
    assert (seen.masked_select(~visible[None, :, None].expand_as(seen)) == 0).all()


def test_what_is_recorded_is_what_transformers_itself_returns(pipe, two):
    """attention, hidden = transformers' own attentions and hidden states, of prompt and image in one call.

    hidden[0] are the tokens before the first layer, and transformers' last states have passed the final norm. Nothing
    keeps a graph of the evaluation.
    """
    model, z, rows = pipe.model, normal(0, 2, *SHAPE), two.batch()
    seen = look_inside(model, z, 0.4, two)
    with torch.no_grad():
        x_emb, t_emb, _ = model.encode(z, torch.tensor(0.4))
        tokens = repeat(model.align_in(x_emb, t_emb), "b n d -> (2 b) n d")
        plain = deepcopy(model.llama)
        plain.set_attn_implementation("eager")
        n = tokens.shape[1]
        expected = plain(
            inputs_embeds=torch.cat([plain.embed_tokens(rows.ids), tokens], dim=1),
            attention_mask=rows.mask(n),
            position_ids=torch.cat([rows.positions, rows.new_positions(n)], dim=1),
            output_hidden_states=True,
            output_attentions=True,
        )
        last = plain.norm(seen.hidden[-1])
    states = torch.stack([*seen.hidden[:-1], last])
    torch.testing.assert_close(states, torch.stack(expected.hidden_states)[:, :, -n:], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(seen.attention, torch.stack(expected.attentions)[..., -n:, :], rtol=1e-3, atol=1e-5)
    assert not any(x.requires_grad for x in (seen.v_cond, seen.v_uncond, seen.attention, seen.hidden))


def test_the_last_hidden_state_is_what_is_decoded(inside, pipe, two):
    """decode(align_out(norm(hidden[-1]))) = the velocities.

    So the earlier states, read in the same way, show what the model would draw if it ended there.
    """
    z, t = normal(0, 2, *SHAPE), torch.tensor(0.4)
    seen = look_inside(pipe.model, z, t, two)
    found = inside["seen_after"](pipe.model, z, t, two, 6)
    expected = z + (1 - t) * guide(seen.v_cond, seen.v_uncond, 2.0)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


def test_a_cut_is_undone_when_its_block_ends(inside, pipe, two):
    """v inside the block != v; v after the block = v.

    A cut is a hook, and `with` removes it.
    """
    before = velocities(pipe.model, two)
    cuts = [lambda m: inside["without_layer"](m, 2), inside["without_skip"], inside["without_time_token"]]
    sides = ("vision_gen_enc_model", "vision_gen_dec_model")
    ways = ("without_block", "without_branch", "without_clock")
    cuts += [lambda m, way=way, side=side: inside[way](m, side, 1) for way in ways for side in sides]
    with_cache = {"cache": pipe.model.prefill(two)}
    for cut in cuts:
        with cut(pipe.model), torch.no_grad():
            during = torch.stack(pipe.model.velocity(normal(0, 2, *SHAPE), 0.4, two, **with_cache))
        assert not torch.allclose(during, before, atol=1e-3)
        assert torch.equal(velocities(pipe.model, two), before)


def test_a_silenced_head_and_a_hidden_word_are_out_of_the_computation(inside, pipe, two):
    """Head silenced: v of a projection whose columns for it are 0. Word hidden: its id changes no velocity.

    The unconditional rows show no word, so hiding one leaves them as they are.
    """
    attention = pipe.model.llama.layers[2].self_attn
    weight, width = attention.o_proj.weight, attention.head_dim
    with inside["without_head"](pipe.model, 2, 1):
        silenced = velocities(pipe.model, two)
    kept = weight.data.clone()
    weight.data[:, width : 2 * width] = 0
    expected = velocities(pipe.model, two)
    weight.data.copy_(kept)
    torch.testing.assert_close(silenced, expected)
    column = two.rows.ids.shape[1] - 2
    other = PromptPair(replace(two.rows, ids=two.rows.ids.index_fill(1, torch.tensor(column), 5)), 1)
    hidden, changed = (velocities(pipe.model, inside["hide_word"](pair, column)) for pair in (two, other))
    whole = velocities(pipe.model, two)
    torch.testing.assert_close(hidden, changed)
    torch.testing.assert_close(hidden[1], whole[1])
    assert not torch.allclose(hidden[0], whole[0], atol=1e-3)
    assert not torch.allclose(silenced, whole, atol=1e-3)


def test_each_way_to_cut_a_block_leaves_out_what_it_says(inside, pipe):
    """No block: x. No branch: x (1 + scale) + shift. A clock that stands still at t: the block itself, at t.

    Each is computed from the block's own parts, without hooks.
    """
    model, side = pipe.model, "vision_gen_dec_model"
    block = model.vision_gen_dec_model.mid_block.res_blocks[0]
    x, embed = normal(0, 2, 192, 6, 6), model.vision_gen_enc_model.time_embed
    with torch.no_grad():
        early, late = embed(torch.tensor([100.0, 100.0])), embed(torch.tensor([500.0, 500.0]))
        scale, shift = block.cond_embeds_mapper(torch.nn.functional.silu(early)).chunk(2, dim=-1)
        film = x * (1 + scale[..., None, None]) + shift[..., None, None]
        expected = {"without_block": x, "without_branch": film, "without_clock": block(x, late)}
        for way, value in expected.items():
            with inside[way](model, side, 0):
                torch.testing.assert_close(block(x, early), value)


def test_the_page_trains_the_flow_on_the_bundled_vae(tmp_path, monkeypatch):
    """vae(run of the page) = the bundled one, number for number, and the run leaves a checkpoint.

    The bundled VAE is older than the scenes, so a VAE that is trained today gives the flow other latents to learn.
    """
    monkeypatch.chdir(tmp_path)
    few = {"EXAMPLES, ": "4, ", "vae, FLOW_RECIPE)": "vae, type(FLOW_RECIPE)(1, 4, 1e-3))"}
    with small_runs():
        run_page("cite.md", few)
    weights = "vae/diffusion_pytorch_model.safetensors"
    found, bundled = load_file(f"runs/mine/{weights}"), load_file(BUNDLED / "shapes" / weights)
    assert found.keys() == bundled.keys()
    assert all(tensor.equal(bundled[name].float()) for name, tensor in found.items())
    JanusFlowPipeline.from_pretrained("runs/mine")
