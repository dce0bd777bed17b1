"""The mathematics of rectified flow, checked on velocity fields whose exact solution is known."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tools.drawn import SEEDS, TIMES, WEIGHTS, normal

from janus_minimal import euler_step, guide, interpolate, time_grid

STEPS = st.integers(1, 200)


def integrate(field, z, times):
    for t, t_next in pairwise(times):
        z = euler_step(z, field(z, t), t, t_next)
    return z


@given(steps=STEPS)
def test_the_grid_starts_at_noise_and_ends_at_data(steps):
    """t_0 = 0, t_S = 1, t_{k+1} - t_k = 1 / S.

    The flow is defined from noise at t = 0 to data at t = 1, so the grid must cover all of it. S steps lie between S +
    1 times.
    """
    times = time_grid(steps)
    assert len(times) == steps + 1
    assert (times[0], times[-1], times.dtype) == (0, 1, torch.float32)
    torch.testing.assert_close(times.diff(), torch.full((steps,), 1 / steps), rtol=1e-4, atol=0)


@pytest.mark.parametrize("steps", [np.int64(8), np.int32(8), np.uint8(8)])
@pytest.mark.parametrize("shift", [3, Fraction(3), np.int64(3), np.float32(3), np.float64(3)])
def test_a_grid_takes_numbers_of_any_kind(unchecked, steps, shift):
    """time_grid(S, s) = time_grid(8, 3.0) for any whole number S = 8 and any real number s = 3.

    Numbers that are read from an array or computed by NumPy are no int and no float of Python's.
    """
    assert torch.equal(time_grid(steps, shift), time_grid(8, 3.0))


@given(steps=STEPS, shift=st.floats(0.1, 10))
def test_a_shifted_grid_is_stable_diffusion_3s(steps, shift):
    """1 - t_k = s sigma / (1 + (s - 1) sigma), sigma = 1 - k / S, s = shift; s = 1 gives t_k = k / S.

    Stable Diffusion 3 and diffusers shift the noise level sigma by this formula. Our formula shifts t = 1 - sigma, and
    both must give the same grid.
    """
    sigmas = torch.linspace(1, 0, steps + 1, dtype=torch.float64)
    expected = 1 - shift * sigmas / (1 + (shift - 1) * sigmas)
    torch.testing.assert_close(time_grid(steps, shift), expected.float(), rtol=0, atol=1e-6)
    assert torch.equal(time_grid(steps, 1.0), time_grid(steps))
    assert (time_grid(steps, shift).diff() > 0).all()


def test_a_shift_above_one_puts_more_steps_at_the_noisy_end():
    """shift > 1  =>  t_k < k / S inside the grid.

    All inner times move towards t = 0, the noisy end. There the content of the picture is decided, and most of the
    change of the velocity happens, so small steps help most.
    """
    assert (time_grid(10, shift=2.0)[1:-1] < time_grid(10)[1:-1]).all()


@pytest.mark.parametrize(
    ("steps", "shift"),
    [
        *((steps, 1.0) for steps in (0, -3, 2.5, "3", None)),
        *((5, shift) for shift in (0.0, -1.0, 1e-300, 1e-38, 1e39, 1e300, float("nan"), float("inf"), "3", None)),
    ],
)
def test_a_grid_that_cannot_be_is_one_line(unchecked, steps, shift):
    """S >= 1 and 0 < shift < inf in float32, both numbers, S whole; else ValueError.

    Otherwise the grid could hold NaN, and the user would only notice it at the end, from a picture of NaN. With S = 2.5
    it would end beyond t = 1. The message says in one line which values are right.
    """
    with pytest.raises(ValueError, match="expected whole steps >= 1, shift > 0"):
        time_grid(steps, shift)


@given(steps=STEPS)
def test_s_steps_ask_the_field_s_times(steps):
    """times of the evaluations = t_0 .. t_{S-1}, S in all.

    An Euler step evaluates the velocity field once, at the time where the step begins. No step begins at t = 1, so the
    field is never evaluated there.
    """
    asked = []
    integrate(lambda z, t: asked.append(t) or z, torch.zeros(1), time_grid(steps))
    assert asked == list(time_grid(steps)[:-1])


@given(steps=STEPS, seed=SEEDS)
def test_euler_follows_a_constant_field_exactly(steps, seed):
    """dz/dt = c  =>  z(1) = z(0) + c.

    An Euler step assumes that the velocity stays constant during the step. For a constant field this is true, so the
    result is exact for any number of steps.
    """
    z, c = normal(seed, 2, 5)
    torch.testing.assert_close(integrate(lambda z, t: c, z, time_grid(steps)), z + c, rtol=1e-4, atol=1e-5)


@given(seed=SEEDS)
def test_one_step_reaches_the_target_of_a_straight_flow(seed):
    """v = (z_1 - z) / (1 - t)  =>  z_0 + (1 - 0) v = z_1.

    In this field every path is a straight line with constant velocity. One Euler step therefore gives the same result
    as a thousand.
    """
    z, target = normal(seed, 2, 5)
    torch.testing.assert_close(integrate(lambda z, t: (target - z) / (1 - t), z, time_grid(1)), target)


@given(steps=st.integers(50, 400))
def test_twice_the_steps_make_half_the_error(steps):
    """dz/dt = -z  =>  |z_S - z(0) / e| = O(1 / S).

    Euler's method has order 1. A step of length 1 / S leaves an error of order 1 / S^2, and the errors of S steps add
    up to order 1 / S.
    """
    z = torch.ones(1, dtype=torch.float64)
    coarse, fine = (abs(integrate(lambda z, t: -z, z, time_grid(s)).item() - torch.e**-1) for s in (steps, 2 * steps))
    assert 1.95 < coarse / fine < 2.05


@given(steps=st.integers(2, 40), part=TIMES, seed=SEEDS)
def test_steps_can_be_taken_in_two_goes(steps, part, seed):
    """S steps = k steps, then S - k steps from z_k.

    An Euler step needs only the current latent z, its time and the next time. Nothing else is carried from step to
    step, so a run can stop after any step and continue later.
    """
    z, k, times = normal(seed, 5), round(part * steps), time_grid(steps)
    there = integrate(lambda z, t: z.sin() + t, z, times[: k + 1])
    assert torch.equal(
        integrate(lambda z, t: z.sin() + t, there, times[k:]), integrate(lambda z, t: z.sin() + t, z, times)
    )


@given(weight=WEIGHTS, seed=SEEDS)
def test_guidance_is_affine_in_its_weight(weight, seed):
    """guide(w) = v_uncond + w (v_cond - v_uncond).

    The guided velocity moves along the straight line through both velocities. For w > 1 it goes beyond v_cond, away
    from v_uncond.
    """
    cond, uncond = normal(seed, 2, 7, dtype=torch.float64)
    torch.testing.assert_close(guide(cond, uncond, weight), uncond + weight * (cond - uncond))


@given(seed=SEEDS)
def test_guidance_passes_through_both_velocities(seed):
    """guide(0) = v_uncond, guide(1) = v_cond.

    So w = 1 means no guidance. Papers that write s = w - 1 call the same case s = 0.
    """
    cond, uncond = normal(seed, 2, 7)
    assert torch.equal(guide(cond, uncond, 0), uncond)
    assert torch.equal(guide(cond, uncond, 1), cond)


@given(t=st.floats(0, 0.99), seed=SEEDS)
def test_the_training_target_is_the_derivative_of_the_training_point(t, seed):
    """d z_t / dt = z_1 - z_0.

    The network learns the velocity of the line from noise to data. z_t is linear in t, so the difference quotient is
    exactly this velocity.
    """
    z_0, z_1 = normal(seed, 2, 3, 4, dtype=torch.float64)
    here, there = (torch.full((3,), time, dtype=torch.float64) for time in (t, t + 0.01))
    (z_t, target), (z_later, _) = interpolate(z_0, z_1, here), interpolate(z_0, z_1, there)
    torch.testing.assert_close((z_later - z_t) / 0.01, target)


@given(seed=SEEDS)
def test_training_points_run_from_noise_to_data(seed):
    """z_t = z_0 at t = 0 and z_1 at t = 1.

    Noise stands at t = 0 and data at t = 1. Each example has its own time, so one batch of two examples can test both
    ends.
    """
    z_0, z_1 = normal(seed, 2, 2, 4, 3, 3)
    z_t, _ = interpolate(z_0, z_1, torch.tensor([0.0, 1.0]))
    assert torch.equal(z_t[0], z_0[0])
    assert torch.equal(z_t[1], z_1[1])
