"""Rectified flow: the mathematics of turning noise into data. This file knows no network.

The problem. We can sample Gaussian noise z_0, and we have examples z_1 of data. We want a rule that
moves noise to data. Rectified flow learns a velocity field v(z, t) and follows it:

    dz/dt = v(z, t),    z(0) = noise,    z(1) = data.

Time t runs from 0 (noise) to 1 (data). Many diffusion codes count the other way, with a noise level
sigma = 1 - t; their model output is then -v.

Training never simulates this equation. It draws a noise and a data point, joins them with a
straight line, and asks the network for the velocity of that line (`interpolate`). Many lines pass
through one point, so the network learns their average velocity, and the paths that follow the
average bend. Sampling therefore takes several small steps (`time_grid`, `euler_step`), and at each
step it exaggerates the influence of the prompt (`guide`).

    b   examples in a batch        *z   any shape: one number, a point, a latent [c, H, W]
    S   steps                      w    guidance weight

Because nothing here knows a network, every function can be tested on a field with a known answer.

Sources: Liu, Gong and Liu 2022, "Flow Straight and Fast" (arXiv 2209.03003); JanusFlow
(arXiv 2411.07975), section 3.1, equations 2 to 5; Ho and Salimans 2022 (arXiv 2207.12598).
"""

from numbers import Integral, Real

import torch
from einops import einsum
from jaxtyping import Float
from torch import Tensor


def interpolate(
    z_0: Float[Tensor, "b *z"], z_1: Float[Tensor, "b *z"], t: Float[Tensor, "b"]
) -> tuple[Float[Tensor, "b *z"], Float[Tensor, "b *z"]]:
    """Return a training pair: a point on the line from noise to data, and the line's velocity.

        z_t    = (1 - t) z_0 + t z_1
        target = d z_t / dt = z_1 - z_0

    Why a straight line: its velocity is constant and known, so training needs no simulation. The
    network sees z_t and t, never z_0 and z_1. It cannot know which line it is on, and the squared
    error makes it predict the average target over all lines through z_t.

    Each example has its own time. With one time for the whole batch, a training step would teach
    the network about that single moment only.

    Args:
        z_0: noise, drawn from N(0, I).
        z_1: data. Latents should have about unit variance, the same scale as the noise.
        t: one time in 0..1 for each example.

    Returns:
        z_t, the input of the network, and target, what it should predict. JanusFlow, equations 3,
        7.

    >>> z_0, z_1, t = torch.tensor([[0.0]]), torch.tensor([[4.0]]), torch.tensor([0.25])
    >>> z_t, target = interpolate(z_0, z_1, t)
    >>> z_t.item(), target.item()  # a quarter of the way from 0 to 4, at 4 units per unit of time
    (1.0, 4.0)
    """
    z_t = einsum(1 - t, z_0, "b, b ... -> b ...") + einsum(t, z_1, "b, b ... -> b ...")
    return z_t, z_1 - z_0


def time_grid(steps: int, shift: float = 1.0) -> Float[Tensor, "{steps}+1"]:
    """Return the S + 1 times t_0 = 0 < t_1 < ... < t_S = 1 between which S steps are taken.

        u_k = k / S,    t_k = u_k / (u_k + shift (1 - u_k))

    S steps need S + 1 times, like fence posts. The loop takes them in neighbouring pairs, so a
    schedule is data: any increasing tensor from 0 to 1 can replace this one.

    Why a shift: the velocity changes fastest at early times, where the content is decided. With
    shift > 1 more of the steps are taken there, which helps when S is small. With shift = 1 the
    grid is uniform, as in the official sampler. The formula is Stable Diffusion 3's (arXiv
    2403.03206, section 5.3.2), written for t instead of sigma = 1 - t.

    The times are float32. In bfloat16, 1/30 becomes 0.033447, and thirty such steps end at 1.0034.

    Raises:
        ValueError: unless steps is a whole number >= 1 and shift a positive number.

    >>> time_grid(4)
    tensor([0.0000, 0.2500, 0.5000, 0.7500, 1.0000])
    >>> time_grid(4, shift=3.0)
    tensor([0.0000, 0.1000, 0.2500, 0.5000, 1.0000])
    """
    numbers = isinstance(steps, Integral) and isinstance(shift, Real)
    if not numbers or steps < 1 or not 1e-37 < shift < 1e38:  # beyond, float32 has 0 or infinity
        raise ValueError(f"steps {steps!r}, shift {shift!r}: expected whole steps >= 1, shift > 0")
    u = torch.arange(steps + 1, dtype=torch.float32, device="cpu") / steps
    return u / (u + float(shift) * (1 - u))  # torch multiplies by no Fraction


def euler_step(
    z: Float[Tensor, "*z"],
    v: Float[Tensor, "*z"],
    t: Float[Tensor, ""],
    t_next: Float[Tensor, ""],
) -> Float[Tensor, "*z"]:
    """Return z at t_next, as if the velocity v stayed constant between t and t_next.

        z(t_next) = z + (t_next - t) v

    This is the simplest solver of the equation dz/dt = v. It is exact where the path is straight.
    Where the path bends, one step of length h leaves an error of order h^2. S steps of length 1/S
    leave a total error of order 1/S: twice the steps halve the error.

    z and v are float32 whatever the dtype of the network's weights, because small steps would be
    lost when they are added in low precision. JanusFlow, equation 4.

    >>> euler_step(torch.tensor(1.0), torch.tensor(2.0), torch.tensor(0.25), torch.tensor(0.75))
    tensor(2.)
    """
    return z + (t_next - t) * v


def guide(
    v_cond: Float[Tensor, "*z"], v_uncond: Float[Tensor, "*z"], weight: float
) -> Float[Tensor, "*z"]:
    """Combine the velocities with and without the prompt: classifier-free guidance (CFG).

        v = w v_cond - (w - 1) v_uncond  =  v_uncond + w (v_cond - v_uncond)

    Why it is needed: a model that is trained on captions follows them only loosely. The difference
    v_cond - v_uncond is what the prompt changes. Guidance takes this difference w times, so the
    picture shows more of what distinguishes this prompt from no prompt.

    w = 0 is the unconditional model, w = 1 the conditional one, without guidance. JanusFlow draws
    with w = 2. A very large w leaves the region where the network was trained; pictures break.

    Conventions differ. Ho and Salimans write s = w - 1, so their "no guidance" is s = 0. diffusers'
    guidance_scale is w. JanusFlow's equation 5, w v_cond + (1 - w) v_uncond, is this function.

    >>> guide(torch.tensor([3.0]), torch.tensor([1.0]), weight=2.0)  # 1 + 2 (3 - 1)
    tensor([5.])
    """
    return weight * v_cond - (weight - 1) * v_uncond
