"""The mathematics of the flow, tried on fields with a known answer."""

from itertools import pairwise

import torch
from hypothesis import given
from hypothesis import strategies as st

from janus_minimal import euler_step, guide, interpolate, time_grid


def integrate(field, z, steps):
    for t, t_next in pairwise(time_grid(steps)):
        z = euler_step(z, field(z, t), t, t_next)
    return z


@given(steps=st.integers(1, 200))
def test_the_grid_starts_at_noise_and_ends_at_data(steps):
    """t_0 = 0, t_S = 1, t_{k+1} - t_k = 1/S: S steps need S + 1 times."""
    times = time_grid(steps)
    assert len(times) == steps + 1
    assert (times[0], times[-1], times.dtype) == (0, 1, torch.float32)
    torch.testing.assert_close(times.diff(), torch.full((steps,), 1 / steps))


@given(steps=st.integers(1, 50), seed=st.integers(0, 99))
def test_euler_follows_a_constant_field_exactly(steps, seed):
    """dz/dt = c  =>  z(1) = z(0) + c, in any number of steps: a straight line has no curvature to miss."""
    z, c = torch.randn(2, 5, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(integrate(lambda z, t: c, z, steps), z + c)


@given(seed=st.integers(0, 99))
def test_one_step_reaches_the_target_of_a_straight_flow(seed):
    """v = (z_1 - z) / (1 - t)  =>  z + (1 - 0) v = z_1 at once."""
    z, target = torch.randn(2, 5, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(integrate(lambda z, t: (target - z) / (1 - t), z, 1), target)


def test_euler_is_of_first_order():
    """dz/dt = -z has z(1) = z(0) / e; twice the steps, half the error."""
    z = torch.ones(1, dtype=torch.float64)
    coarse, fine = (abs(integrate(lambda z, t: -z, z, s).item() - torch.e**-1) for s in (100, 200))
    assert 1.98 < coarse / fine < 2.02


@given(weight=st.floats(-5, 10), seed=st.integers(0, 99))
def test_guidance_is_affine_between_the_two_velocities(weight, seed):
    """guide(w) = v_uncond + w (v_cond - v_uncond): w = 0 gives v_uncond, w = 1 gives v_cond."""
    cond, uncond = torch.randn(2, 7, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    torch.testing.assert_close(guide(cond, uncond, weight), uncond + weight * (cond - uncond))
    assert torch.equal(guide(cond, uncond, 0), uncond)
    assert torch.equal(guide(cond, uncond, 1), cond)


@given(t=st.floats(0, 0.99), seed=st.integers(0, 99))
def test_the_training_target_is_the_derivative_of_the_training_point(t, seed):
    """d z_t / dt = z_1 - z_0, by a difference quotient, which is exact on a line."""
    z_0, z_1 = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    here, there = (torch.full((3,), time, dtype=torch.float64) for time in (t, t + 0.01))
    (z_t, target), (z_later, _) = interpolate(z_0, z_1, here), interpolate(z_0, z_1, there)
    torch.testing.assert_close((z_later - z_t) / 0.01, target)


def test_training_points_run_from_noise_to_data(golden):
    """z_t = z_0 at t = 0 and z_1 at t = 1, each row at its own time."""
    z_0, z_1 = golden["loop_w_z"][0], golden["loop_w_z"][-1]
    z_t, _ = interpolate(z_0, z_1, torch.tensor([0.0, 1.0]))
    assert torch.equal(z_t[0], z_0[0])
    assert torch.equal(z_t[1], z_1[1])
