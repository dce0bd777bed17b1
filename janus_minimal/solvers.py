"""Siblings of `denoise`: three solvers of second order, and Euler without the unconditional row.

The problem. Euler's step assumes that the velocity stays constant. On a bending path it leaves the
path a little at every step, so S steps leave an error of order 1/S. A solver of second order looks
at the velocity in two places and leaves an error of order 1/S^2: twice the steps, a quarter of it.
That pays once steps are short. With two or four evaluations in all, Euler may be the better one.

What it costs is counted in evaluations of the network (NFE, number of function evaluations), since
everything else is cheap:

    denoise           1 per step    order 1
    midpoint          2 per step    order 2    looks at the middle of the step
    heun              2 per step    order 2    averages both ends of the step
    adams_bashforth   1 per step    order 2    remembers the last step's velocity

Each is a generator of the same Steps as `denoise`, with the same arguments, over `model.velocity`.
So guidance of your own, inpainting and films work with all of them:
`JanusFlowPipeline(solver=...)`.

A model that needs no guidance also needs no unconditional row: `one_row` takes the steps of
`denoise` at w = 1 for half the work, and refuses any other weight. It is of first order.

    B  images      c H W  latent      h  length of a step      v_k  guided velocity at (z_k, t_k)

Sources: Hairer, Norsett and Wanner, "Solving Ordinary Differential Equations I", chapters II and
III; Heun's method is also the sampler of EDM (arXiv 2206.00364).
"""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float32
from torch import Tensor

from janus_minimal.cache import PromptCache
from janus_minimal.errors import InputError
from janus_minimal.flow import euler_step, guide
from janus_minimal.model import JanusFlow
from janus_minimal.prompt import PromptPair
from janus_minimal.sampling import Step, denoise

Latent = Float32[Tensor, "B c H W"]
Time = Float32[Tensor, ""]


@runtime_checkable
class VelocityField(Protocol):
    """What a solver needs of a model. JanusFlow has it; so has a test field with a known answer."""

    def prefill(self, prompt: PromptPair) -> PromptCache | None:
        """Return what can be computed once for all steps."""

    def velocity(
        self, z: Latent, t: Time, prompt: PromptPair, cache: PromptCache | None
    ) -> tuple[Latent, Latent]:
        """Return (v_cond, v_uncond) at one point."""


def midpoint(
    model: VelocityField,
    prompt: PromptPair,
    z: Latent,
    times: Float32[Tensor, "times"],
    cfg_weight: float = 2.0,
    use_cache: bool = True,
) -> Iterator[Step]:
    """Take each step with the velocity at its middle, found by an Euler step of half the length.

        m = z_k + h/2 v(z_k, t_k),    z_{k+1} = z_k + h v(m, t_k + h/2)

    Why it is of second order: on a parabola, the slope at the middle is the slope from end to end.
    The Step's velocities are those at the middle, which it follows.
    """
    cache = _prefill(model, prompt, use_cache)
    for index, (t, t_next) in enumerate(pairwise(times)):
        middle = (t + t_next) / 2
        v_start = _velocities(model, prompt, cache, z, t, cfg_weight)[-1]
        z_middle = euler_step(z, v_start, t, middle)
        v_cond, v_uncond, v = _velocities(model, prompt, cache, z_middle, middle, cfg_weight)
        step = Step(index, t, t_next, z, v_cond, v_uncond, v, euler_step(z, v, t, t_next))
        yield step
        z = step.z_next


def heun(
    model: VelocityField,
    prompt: PromptPair,
    z: Latent,
    times: Float32[Tensor, "times"],
    cfg_weight: float = 2.0,
    use_cache: bool = True,
) -> Iterator[Step]:
    """Take each step with the mean of the velocities at its two ends.

        e = z_k + h v(z_k, t_k),    z_{k+1} = z_k + h/2 (v(z_k, t_k) + v(e, t_{k+1}))

    Why it is of second order: the mean of both ends is the trapezoidal rule. It evaluates the
    network at t = 1 too, which training hardly shows. The Step's velocities are the means.
    """
    cache = _prefill(model, prompt, use_cache)
    for index, (t, t_next) in enumerate(pairwise(times)):
        start = _velocities(model, prompt, cache, z, t, cfg_weight)
        z_end = euler_step(z, start[-1], t, t_next)
        end = _velocities(model, prompt, cache, z_end, t_next, cfg_weight)
        v_cond, v_uncond, v = ((a + b) / 2 for a, b in zip(start, end, strict=True))
        step = Step(index, t, t_next, z, v_cond, v_uncond, v, euler_step(z, v, t, t_next))
        yield step
        z = step.z_next


def adams_bashforth(
    model: VelocityField,
    prompt: PromptPair,
    z: Latent,
    times: Float32[Tensor, "times"],
    cfg_weight: float = 2.0,
    use_cache: bool = True,
) -> Iterator[Step]:
    """Extrapolate the velocity from the last two: second order for one evaluation a step.

        z_{k+1} = z_k + h (v_k + r/2 (v_k - v_{k-1})),    r = h / (length of the step before)

    Why: the change from v_{k-1} to v_k tells how the path bends, and it costs nothing. The formula
    is the line through the last two velocities, taken at the middle of the step. The first step has
    no past and is Euler's. A caller that sets z_next breaks the line between the two velocities, so
    for strong editing one of the other solvers is safer.
    """
    cache, before, last = _prefill(model, prompt, use_cache), None, None
    for index, (t, t_next) in enumerate(pairwise(times)):
        now = _velocities(model, prompt, cache, z, t, cfg_weight)
        ahead = now if before is None else _ahead(now, before, (t_next - t) / (t - last))
        step = Step(index, t, t_next, z, *ahead, euler_step(z, ahead[-1], t, t_next))
        if t_next > t:  # a step of length zero has no line through its ends
            before, last = now, t
        yield step
        z = step.z_next


def one_row(
    model: JanusFlow,
    prompt: PromptPair,
    z: Latent,
    times: Float32[Tensor, "times"],
    cfg_weight: float = 1.0,
    use_cache: bool = True,
) -> Iterator[Step]:
    """Take the steps of `denoise` at w = 1 with one row for each image: half the work.

    Why: at w = 1 the guided velocity is v_cond, so the unconditional rows are computed for nothing.
    A model that was trained for few steps (training/reflow.py) is always drawn with w = 1. v_uncond
    is not known, and v_cond stands in its place.

    Raises:
        InputError: if there is not one latent for each image, or if cfg_weight is not 1.
    """
    if cfg_weight != 1:
        raise InputError(f"a guidance weight of {cfg_weight:g} with one row: expected 1")
    prompt.check_latents(z)
    conditional = conditional_velocity(model, prompt, use_cache)
    for index, (t, t_next) in enumerate(pairwise(times)):
        v = conditional(z, t)
        step = Step(index, t, t_next, z, v, v, v, euler_step(z, v, t, t_next))
        yield step
        z = step.z_next


def conditional_velocity(
    model: JanusFlow, prompt: PromptPair, use_cache: bool = True
) -> Callable[[Latent, Time], Latent]:
    """Return the function (z, t) -> v_cond. It runs the B conditional rows alone.

    What feeds half of the rows must read half of the cache: the rows of the prompt, and the keys and
    values that the cache holds of them.
    """
    first = torch.arange(prompt.num_images, device=prompt.rows.ids.device)
    rows = prompt.batch()[first]  # B of 2B
    cache = _prefill(model, prompt, use_cache)
    if cache is not None:
        cache = PromptCache((layer.keys[first], layer.values[first]) for layer in cache.layers)

    @torch.no_grad()
    def conditional(z: Latent, t: Time) -> Latent:
        return model(z, t, rows, cache)

    return conditional


_TABLE = {  # the name of each solver, and how often it evaluates the network in a step
    "euler": (denoise, 1),
    "midpoint": (midpoint, 2),
    "heun": (heun, 2),
    "adams-bashforth": (adams_bashforth, 1),
}
SOLVERS = {name: solver for name, (solver, _) in _TABLE.items()}
EVALUATIONS = {name: evaluations for name, (_, evaluations) in _TABLE.items()}


@torch.no_grad()
def _prefill(model: VelocityField, prompt: PromptPair, use_cache: bool) -> PromptCache | None:
    return model.prefill(prompt) if use_cache else None


@torch.no_grad()
def _velocities(
    model: VelocityField,
    prompt: PromptPair,
    cache: PromptCache | None,
    z: Latent,
    t: Time,
    cfg_weight: float,
) -> tuple[Latent, Latent, Latent]:
    """Return (v_cond, v_uncond, v) at one point."""
    v_cond, v_uncond = model.velocity(z, t, prompt, cache)
    return v_cond, v_uncond, guide(v_cond, v_uncond, cfg_weight)


def _ahead(
    now: tuple[Latent, ...], before: tuple[Latent, ...], ratio: Time
) -> tuple[Latent, Latent, Latent]:
    """Extrapolate velocities by half a step."""
    v_cond, v_uncond, v = (a + ratio / 2 * (a - b) for a, b in zip(now, before, strict=True))
    return v_cond, v_uncond, v
