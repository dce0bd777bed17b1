"""Rectified flow: straight lines from noise to data, and Euler steps along them. Knows no network.

t runs from 0 (noise) to 1 (data). The velocity of a straight line is its whole displacement, z_1 - z_0.
(Liu et al. 2022, "Flow Straight and Fast"; JanusFlow, arXiv 2411.07975, section 3.)
"""

import torch
from jaxtyping import Float
from torch import Tensor


def time_grid(steps: int) -> Float[Tensor, "{steps}+1"]:
    """The S + 1 times t_k = k / S at which `steps` Euler steps begin and end, from 0 to 1, in float32."""
    return torch.arange(steps + 1, dtype=torch.float32) / steps


def guide(v_cond: Float[Tensor, "*z"], v_uncond: Float[Tensor, "*z"], weight: float) -> Float[Tensor, "*z"]:
    """Classifier-free guidance, v = w v_cond - (w - 1) v_uncond: w = 0 ignores the prompt, w = 1 only obeys it."""
    return weight * v_cond - (weight - 1) * v_uncond


def euler_step(
    z: Float[Tensor, "*z"], v: Float[Tensor, "*z"], t: Float[Tensor, ""], t_next: Float[Tensor, ""]
) -> Float[Tensor, "*z"]:
    """One step along dz/dt = v: z at t_next, as if v did not change on the way."""
    return z + (t_next - t) * v


def interpolate(
    z_0: Float[Tensor, "b *z"], z_1: Float[Tensor, "b *z"], t: Float[Tensor, "b"]
) -> tuple[Float[Tensor, "b *z"], Float[Tensor, "b *z"]]:
    """A training pair: the point z_t = (1 - t) z_0 + t z_1 and its target, the velocity z_1 - z_0."""
    t = t.reshape(-1, *[1] * (z_0.ndim - 1))
    return (1 - t) * z_0 + t * z_1, z_1 - z_0
