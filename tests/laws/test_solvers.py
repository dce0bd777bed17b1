"""Solvers of second order: fewer evaluations for the same accuracy, and the same Steps."""

from inspect import signature
from math import exp
from unittest.mock import Mock

import pytest
import torch
from diffusers import FlowMatchHeunDiscreteScheduler
from hypothesis import given
from scipy.integrate import solve_ivp
from tools.drawn import PROMPTS, SEEDS, normal, pair

from janus_minimal import denoise, solvers, time_grid
from janus_minimal.editing import only_inside
from janus_minimal.errors import InputError
from janus_minimal.solvers import SOLVERS, adams_bashforth, heun, midpoint, one_row

EVALUATIONS = {midpoint: 2, heun: 2, adams_bashforth: 1}
ALL = list(EVALUATIONS)
PROMPT = pair([[1, 2]])


class KnownField:
    """Stands in for the model: dz/dt = t - z, z(0) = 1, whose solution is t - 1 + 2 exp(-t)."""

    def __init__(self):
        self.asked = []

    def prefill(self, prompt):
        return None

    def velocity(self, z, t, prompt, cache):
        self.asked.append(float(t))
        return t - z, torch.zeros_like(z)


def solve(solver, steps, z, times=None, weight=1.0):
    *_, last = solver(KnownField(), PROMPT, z, time_grid(steps) if times is None else times, weight)
    return last.z_next


def error(solver, steps, times=None):
    return abs(solve(solver, steps, torch.ones(1, 1, 1, 1), times).item() - 2 * exp(-1))


@pytest.mark.parametrize("solver", ALL)
def test_twice_the_steps_leave_a_quarter_of_the_error(solver):
    """dz/dt = t - z  =>  |z_S - 2 / e| = O(1 / S^2).

    Second order: what Euler needs a hundred steps for, these reach with about ten.
    """
    assert 3.5 < error(solver, 16) / error(solver, 32) < 4.5


@pytest.mark.parametrize("solver", ALL)
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_evaluations_are_as_many_as_promised(solver, steps):
    """NFE = 2 S for midpoint and Heun, S for Adams-Bashforth.

    The cost of a solver is how often it asks the network; the rest is a few additions.
    """
    field = KnownField()
    list(solver(field, PROMPT, torch.ones(1, 1, 1, 1), time_grid(steps), 1.0))
    assert len(field.asked) == EVALUATIONS[solver] * steps


def test_the_table_of_solvers_says_what_each_costs():
    """EVALUATIONS: Euler 1, midpoint 2, Heun 2, Adams-Bashforth 1, under the names of the command line.

    Reports compute the NFE from it.
    """
    assert solvers.EVALUATIONS == {"euler": 1, "midpoint": 2, "heun": 2, "adams-bashforth": 1}


def test_the_midpoint_is_asked_at_the_middle_and_heun_at_the_end():
    """midpoint asks t_k, (t_k + t_{k+1}) / 2; Heun asks t_k, t_{k+1}.

    The two methods differ in where they look ahead.
    """
    for solver, asked in ((midpoint, [0.0, 0.25, 0.5, 0.75]), (heun, [0.0, 0.5, 0.5, 1.0])):
        field = KnownField()
        list(solver(field, PROMPT, torch.ones(1, 1, 1, 1), time_grid(2), 1.0))
        assert field.asked == asked


def test_heun_takes_the_steps_of_diffusers_scheduler(model, prompt, golden):
    """z_S = that of FlowMatchHeunDiscreteScheduler on the same grid, up to its last step.

    Its clock runs the other way, and it ends with an Euler step; so the last step is left out.
    """
    scheduler = FlowMatchHeunDiscreteScheduler()
    scheduler.set_timesteps(4)
    z, cache = golden["loop_w_z"][0], model.prefill(prompt)
    with torch.no_grad():
        for timestep in scheduler.timesteps[:-1]:
            v_cond, v_uncond = model.velocity(z, 1 - timestep / 1000, prompt, cache)
            z = scheduler.step(-(2.0 * v_cond - v_uncond), timestep, z).prev_sample
    times = (1 - scheduler.sigmas.unique().flip(0)).float()
    steps = list(heun(model, prompt, golden["loop_w_z"][0], times[: len(times) - 1], 2.0))
    torch.testing.assert_close(steps[-1].z_next, z, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("solver", ALL)
def test_many_steps_reach_what_an_adaptive_solver_reaches(solver):
    """z_S -> the solution of scipy's solve_ivp, tolerance 1e-10; for a guided field too, dz/dt = 2.5 (t - z).

    Another implementation, which chooses its steps itself. Every velocity on the way is guided: one that looked ahead
    with v_cond alone would be of first order, and end six times as far away as this allows.
    """
    for weight in (1.0, 2.5):
        found = solve_ivp(lambda t, z, w=weight: w * (t - z), (0, 1), [1.0], rtol=1e-10, atol=1e-10).y[0, -1]
        assert abs(solve(solver, 100, torch.ones(1, 1, 1, 1), weight=weight).item() - found) < 1e-4


@pytest.mark.parametrize("solver", ALL)
def test_an_uneven_grid_keeps_the_order(solver):
    """error(2 S) = error(S) / 4 on a shifted grid too.

    Adams-Bashforth must use the ratio of the last two step lengths.
    """
    coarse, fine = (error(solver, steps, time_grid(steps, shift=3.0)) for steps in (20, 40))
    assert 3.3 < coarse / fine < 4.7


@given(prompts=PROMPTS, seed=SEEDS)
def test_one_step_of_adams_bashforth_is_eulers(model, prompts, seed):
    """S = 1: adams_bashforth = denoise, in every field of the Step.

    The first step has no past to extrapolate from.
    """
    prompt, z = pair(prompts), normal(seed, len(prompts), 4, 12, 12)
    (ours,), (euler,) = (list(s(model, prompt, z, time_grid(1), 2.0)) for s in (adams_bashforth, denoise))
    for name in ("t", "t_next", "z", "v_cond", "v_uncond", "v", "z_next", "denoised"):
        torch.testing.assert_close(getattr(ours, name), getattr(euler, name), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("solver", ALL)
def test_a_step_of_length_zero_changes_nothing(solver):
    """times with a time twice, at the beginning, in the middle or at the end  =>  the same end as without.

    The line through the last two velocities has no slope if both stand at one time.
    """
    z, times = torch.ones(1, 1, 1, 1), time_grid(4)
    for place in range(5):
        twice = torch.cat([times[: place + 1], times[place:]])
        assert solve(solver, 5, z, twice) == solve(solver, 4, z), place


@pytest.mark.parametrize("solver", ALL)
def test_solvers_keep_the_promises_of_the_loop(model, prompt, golden, solver, monkeypatch):
    """v = guide(v_cond, v_uncond), z_next - z = h v, cached = uncached, no gradients, steerable; a cache if asked for.

    Whatever works with denoise works with its siblings.
    """
    z, times = golden["loop_w_z"][0], time_grid(3)
    cached, plain = (list(solver(model, prompt, z, times, 2.5, use_cache)) for use_cache in (True, False))
    for k, (a, b) in enumerate(zip(cached, plain, strict=True)):
        assert (a.index, a.t, a.t_next) == (k, times[k], times[k + 1])
        torch.testing.assert_close(a.v, 2.5 * a.v_cond - 1.5 * a.v_uncond, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(a.z_next - a.z, (a.t_next - a.t) * a.v, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(a.z_next, b.z_next, rtol=1e-4, atol=1e-4)
        assert not a.z_next.requires_grad
    steps = solver(model, prompt, z, times)
    first = next(steps)
    first.z_next = torch.ones_like(z)
    assert torch.equal(next(steps).z, torch.ones_like(z))
    assert torch.is_grad_enabled()
    monkeypatch.setattr(model, "prefill", Mock(side_effect=InputError("filled")))
    next(solver(model, prompt, z, times, 2.5, False))
    with pytest.raises(InputError, match="filled"):
        next(solver(model, prompt, z, times, 2.5, True))


@pytest.mark.parametrize("solver", ALL)
def test_a_wrong_number_of_latents_is_one_line_here_too(model, prompt, solver):
    """len(z) != B  =>  InputError.

    The same check as the loop's, made by velocity.
    """
    with pytest.raises(InputError, match="3 latents for a prompt pair of 2 images"):
        next(solver(model, prompt, normal(0, 3, 4, 12, 12), time_grid(2)))


@pytest.mark.parametrize("solver", [denoise, *ALL, one_row])
def test_what_is_kept_of_the_prompt_is_computed_once_and_holds_no_graph(model, prompt, solver, monkeypatch):
    """requires_grad(keys and values of the cache) = False, in every solver, although the weights require gradients.

    A graph would hold all hidden states of the prompt for as long as the loop runs. A cache that is filled at each step
    saves nothing, and gives the same picture.
    """
    prefill, kept = type(model).prefill, []
    monkeypatch.setattr(type(model), "prefill", lambda self, *given: kept.append(prefill(self, *given)) or kept[-1])
    *_, step = solver(model, prompt, normal(0, 2, 4, 12, 12), time_grid(2), 1.0)
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert len(kept) == 1
    assert not any(layer.keys.requires_grad or layer.values.requires_grad for cache in kept for layer in cache.layers)
    assert not step.z_next.requires_grad


def test_every_solver_has_a_name_for_the_command_line():
    """SOLVERS = {name: solver} of all of them.

    A solver without a name could not be asked for.
    """
    assert set(SOLVERS.values()) == {denoise, *ALL}


def test_every_solver_guides_by_two_and_keeps_the_prompt_unless_it_is_told_otherwise():
    """cfg_weight = 2 and use_cache = True are the defaults of every solver, and of one inside of a mask.

    Whoever exchanges denoise for another solver changes the solver alone. A student is drawn at w = 1.
    """
    noise = torch.zeros(1, 4, 12, 12)
    inside = only_inside(torch.ones(1, 1, 12, 12, dtype=torch.bool), noise, noise)
    for solver, weight in ((denoise, 2.0), *((solver, 2.0) for solver in ALL), (one_row, 1.0), (inside, 2.0)):
        options = signature(solver).parameters
        assert options["cfg_weight"].default == weight
        assert solver is inside or options["use_cache"].default is True
