"""Velocity, clean prediction, noise prediction and score are one piece of knowledge, and DDIM is Euler's method.

Everything is tried on data whose posterior means can be written down: a normal distribution, or a few points.
"""

from collections.abc import Callable
from itertools import pairwise, permutations

import pytest
import torch
from diffusers import DDIMScheduler
from hypothesis import given
from hypothesis import strategies as st
from tools.drawn import SEEDS, normal
from torch import Tensor

from janus_minimal import Step, euler_step, interpolate, time_grid

INSIDE = st.floats(0.05, 0.95)  # at t = 0 and t = 1 one of the conversions divides by zero
# What each quantity is, given the state z, the time t and another quantity q: CONVERSIONS[wanted, given].
CONVERSIONS: dict[tuple[str, str], Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    ("velocity", "clean"): lambda z, t, q: (q - z) / (1 - t),
    ("velocity", "noise"): lambda z, t, q: (z - q) / t,
    ("velocity", "score"): lambda z, t, q: (z + (1 - t) * q) / t,
    ("clean", "velocity"): lambda z, t, q: z + (1 - t) * q,
    ("clean", "noise"): lambda z, t, q: (z - (1 - t) * q) / t,
    ("clean", "score"): lambda z, t, q: (z + (1 - t) ** 2 * q) / t,
    ("noise", "velocity"): lambda z, t, q: z - t * q,
    ("noise", "clean"): lambda z, t, q: (z - t * q) / (1 - t),
    ("noise", "score"): lambda z, t, q: -(1 - t) * q,
    ("score", "velocity"): lambda z, t, q: (t * q - z) / (1 - t),
    ("score", "clean"): lambda z, t, q: (t * q - z) / (1 - t) ** 2,
    ("score", "noise"): lambda z, t, q: -q / (1 - t),
}


def double(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)


def of_points(data: Tensor, z: Tensor, t: Tensor) -> dict[str, Tensor]:
    """The four quantities at one place z [d], where the data are points [n, d], all equally likely.

    Each of the first three is a mean over the lines through z, weighted by how likely each line is. The score is the
    slope of the logarithm of the density, found by automatic differentiation and by no formula of ours.
    """
    z = z.clone().requires_grad_()
    log_likelihoods = -(z - t * data).square().sum(dim=-1) / (2 * (1 - t) ** 2)
    (score,) = torch.autograd.grad(log_likelihoods.logsumexp(dim=0), z)
    weights, noises = log_likelihoods.softmax(dim=0).detach(), (z.detach() - t * data) / (1 - t)
    means = {"velocity": data - noises, "clean": data, "noise": noises}
    return {name: weights @ values for name, values in means.items()} | {"score": score}


def of_a_normal(mean: Tensor, deviation: float, z: Tensor, t: Tensor) -> dict[str, Tensor]:
    """The four quantities where the data are normal: z_t, z_0 and z_1 are then normal together."""
    variance = t**2 * deviation**2 + (1 - t) ** 2  # of z_t
    apart = (z - t * mean) / variance
    return {
        "velocity": mean + (t * deviation**2 - (1 - t)) * apart,
        "clean": mean + t * deviation**2 * apart,
        "noise": (1 - t) * apart,
        "score": -apart,
    }


@pytest.mark.parametrize(("wanted", "known"), list(permutations(("velocity", "clean", "noise", "score"), 2)))
@given(t=INSIDE, seed=SEEDS)
def test_each_prediction_converts_into_every_other(wanted, known, t, seed):
    """clean = z + (1 - t) v,  noise = z - t v,  score = -noise / (1 - t), and all that follows from these.

    z = (1 - t) noise + t clean and v = clean - noise hold for each line, so they hold for the means over all lines.
    """
    z, a, b = normal(seed, 3, 3, dtype=torch.float64)
    for found in (of_points(torch.stack([a, b]), z, double(t)), of_a_normal(a, 0.5, z, double(t))):
        converted = CONVERSIONS[wanted, known](z, double(t), found[known])
        torch.testing.assert_close(converted, found[wanted], rtol=1e-8, atol=1e-8)


PATHS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "straight": (lambda t: t, lambda t: 1 - t),
    "circle": (lambda t: (torch.pi / 2 * t).sin(), lambda t: (torch.pi / 2 * t).cos()),
    "late": (lambda t: t**2, lambda t: 1 - t),
}


def slope(f: Callable[[Tensor], Tensor], t: Tensor) -> Tensor:
    """The derivative of a number, found by automatic differentiation."""
    t = t.clone().requires_grad_()
    return torch.autograd.grad(f(t), t)[0]


@pytest.mark.parametrize("path", PATHS)
@given(t=INSIDE, seed=SEEDS)
def test_on_every_gaussian_path_one_prediction_gives_the_others(path, t, seed):
    """z = a x + b n, D = a' b - a b'  =>  clean = (b v - b' z) / D,  noise = (a' z - a v) / D,  score = -noise / b.

    z and v are two linear combinations of the same two means. D is not 0 if the share of the data grows.
    """
    now, (z, one, other) = double(t), normal(seed, 3, 3, dtype=torch.float64)
    (a, b), (da, db) = (f(now) for f in PATHS[path]), (slope(f, now) for f in PATHS[path])
    d, known = da * b - a * db, of_points(torch.stack([one, other]), z / (a + b), a / (a + b))
    clean, noise = known["clean"], known["noise"]  # means over the same lines: z / (a + b) is on the straight path
    v, score = da * clean + db * noise, known["score"] / (a + b)
    expected = {"clean": clean, "noise": noise, "v": v, "again v": v, "score": score}
    found = {"clean": (b * v - db * z) / d, "noise": (da * z - a * v) / d, "score": (a * v - da * z) / (b * d)}
    found |= {"v": (db * z + d * clean) / b, "again v": (da * z + d * b * score) / a}
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-7, atol=1e-7)


@given(t=st.just(0.0) | st.floats(0, 1, width=32), seed=SEEDS)
def test_a_steps_denoised_prediction_is_the_mean_of_the_data(t, seed):
    """z + (1 - t) v(z, t) = E[z_1 | z_t = z].

    So at t = 0 it is the mean of all data, whatever the noise: the noise says nothing about the picture.
    """
    z, mean = normal(seed, 2, 1, 4, 2, 2)
    now, end = torch.tensor(t), torch.tensor(1.0)
    found = of_a_normal(mean, 0.5, z, now)
    v = found["velocity"]
    step = Step(0, now, end, z, v, v, v, euler_step(z, v, now, end))
    torch.testing.assert_close(step.denoised, found["clean"], rtol=1e-4, atol=1e-5)
    if t == 0:
        torch.testing.assert_close(step.denoised, mean)


@given(t=st.floats(0, 1), seed=SEEDS)
def test_an_error_of_the_velocity_is_a_scaled_error_of_the_others(t, seed):
    """|clean error| = (1 - t) |velocity error|,  |noise error| = t |velocity error|.

    Losses of the three predictions differ only in how much each time weighs; the best prediction is the same.
    """
    z_0, z_1, guess = normal(seed, 3, 1, 5, dtype=torch.float64)
    z_t, target = interpolate(z_0, z_1, double(t)[None])
    error = guess - target
    torch.testing.assert_close((z_t + (1 - t) * guess) - z_1, (1 - t) * error)
    torch.testing.assert_close((z_t - t * guess) - z_0, -t * error)


@given(t=INSIDE, seed=SEEDS)
def test_the_velocity_is_edms_target_and_a_known_part(t, seed):
    """z_1 - z_0 = (2t - 1) / r^2 z_t + F / r,  r^2 = t^2 + (1 - t)^2, with F what EDM's network is trained to say.

    EDM's factors are written down as in its table 1, for data of variance 1. So the two losses differ only by the
    weight 1 / r^2, which is between 1 and 2.
    """
    z_0, z_1 = normal(seed, 2, 1, 5, dtype=torch.float64)
    z_t, target = interpolate(z_0, z_1, double(t)[None])
    sigma, r_squared = (1 - t) / t, t**2 + (1 - t) ** 2
    state, skip, out = z_1 + sigma * z_0, 1 / (sigma**2 + 1), sigma / (sigma**2 + 1) ** 0.5
    trained = (z_1 - skip * state) / out
    torch.testing.assert_close((2 * t - 1) / r_squared * z_t + trained / r_squared**0.5, target)
    assert 1 <= 1 / r_squared <= 2


@pytest.mark.parametrize("t", [0.0, 0.3, 0.8])
def test_the_squared_error_finds_the_conditional_mean(t):
    """argmin_u E (u(z_t) - (z_1 - z_0))^2 = E[z_1 - z_0 | z_t].

    For normal data this mean is a straight line in z_t, so linear least squares over training pairs must find it.
    """
    z_0, z_1 = normal(0, 400_000, dtype=torch.float64), 2 + 0.5 * normal(1, 400_000, dtype=torch.float64)
    z_t, target = interpolate(z_0, z_1, torch.full_like(z_0, t))
    inputs = torch.stack([torch.ones_like(z_t), z_t], dim=1)
    found = torch.linalg.lstsq(inputs, target[:, None]).solution[:, 0]
    places = torch.tensor([-1.0, 0.5, 2.0], dtype=torch.float64)
    expected = of_a_normal(double(2.0), 0.5, places, double(t))["velocity"]
    torch.testing.assert_close(found[0] + found[1] * places, expected, rtol=0, atol=0.02)


def between_two_points(z: Tensor, t: Tensor) -> Tensor:
    """The mean velocity where the data are -2 and 2, in one dimension: tanh is the softmax of two."""
    return (2 * torch.tanh(2 * z * t / (1 - t) ** 2) - z) / (1 - t)


@given(t=INSIDE, seed=SEEDS)
def test_the_mean_of_two_lines_is_a_hyperbolic_tangent(t, seed):
    """Data -2 and 2  =>  v(z, t) = (2 tanh(2 z t / (1 - t)^2) - z) / (1 - t).

    Only two lines pass through each place, and the logarithm of their odds is 4 z t / (1 - t)^2.
    """
    z, data = normal(seed, 1, dtype=torch.float64), torch.tensor([[-2.0], [2.0]], dtype=torch.float64)
    torch.testing.assert_close(between_two_points(z, double(t)), of_points(data, z, double(t))["velocity"])


def test_the_mean_velocity_carries_noise_to_data_in_order():
    """dz/dt = v(z, t)  =>  P(z_t < z(t)) is the same at every t.

    In one dimension the continuity equation says just this: paths cannot cross, so the share of points on the left
    of a path never changes. The share is known in closed form for two points.
    """
    noise = torch.linspace(-3, 3, 61, dtype=torch.float64)
    z, times = noise, time_grid(4000).double()
    for t, t_next in pairwise(times[:3601]):
        middle = (t + t_next) / 2  # the midpoint rule, for accuracy
        z = euler_step(z, between_two_points(euler_step(z, between_two_points(z, t), t, middle), middle), t, t_next)
    left = sum(torch.special.ndtr((z - times[3600] * x) / (1 - times[3600])) / 2 for x in (-2, 2))
    torch.testing.assert_close(left, torch.special.ndtr(noise), rtol=0, atol=1e-4)
    assert (z.diff() > 0).all()


@pytest.mark.parametrize("schedule", ["linear", "scaled_linear", "squaredcos_cap_v2"])
@given(steps=st.sampled_from([2, 4, 5, 10, 20]), seed=SEEDS)  # they divide 1000, or diffusers rounds its times
def test_ddim_is_euler_in_another_clock(schedule, steps, seed):
    """z_DDIM = (alpha + sigma) z,  t = alpha / (alpha + sigma), after each step.

    DDIM goes along alpha x + sigma noise with alpha^2 + sigma^2 = 1. Divided by alpha + sigma, that is our straight
    line, and diffusers' DDIM step with the exact noise prediction becomes our Euler step with the exact velocity.
    """
    scheduler = DDIMScheduler(beta_schedule=schedule, clip_sample=False, timestep_spacing="trailing")
    scheduler.set_timesteps(steps)
    alphas = scheduler.alphas_cumprod[scheduler.timesteps].double().sqrt()
    alphas = torch.cat([alphas, torch.ones(1, dtype=torch.float64)])  # DDIM's last step ends in the clean data
    scales = alphas + (1 - alphas**2).sqrt()
    times, data = alphas / scales, normal(seed, 2, 3, dtype=torch.float64)
    ddim = normal(seed + 1, 3, dtype=torch.float64)
    ours = ddim / scales[0]
    for k, timestep in enumerate(scheduler.timesteps):
        noise = of_points(data, ddim / scales[k], times[k])["noise"]
        ddim = scheduler.step(noise, int(timestep), ddim).prev_sample
        ours = euler_step(ours, of_points(data, ours, times[k])["velocity"], times[k], times[k + 1])
        torch.testing.assert_close(ddim, scales[k + 1] * ours, rtol=1e-4, atol=1e-4)
