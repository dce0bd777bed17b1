"""Editing: keep a part of a picture, and let the loop draw the rest. Two helpers around a solver.

The problem. The loop draws a new picture from noise. Often we have a picture and want to change it.
A picture's latent x lies at the end of a line from some noise n, and training showed the network
the points of such lines, z_t = (1 - t) n + t x. So there are two ways to keep a part of x:

    enter late      begin at z_t of a later time t, and follow the prompt from there
                    (image-to-image, `enter_late`)
    be put back     begin at noise, and after each step put the part that must not change back onto
                    its line (inpainting, `only_inside`)

Neither changes the loop. The first gives it another start and fewer times. The second is a solver
around a solver, which sets `step.z_next`. So they can be combined with each other, and with every
solver, schedule and guidance rule.

    B  images      c H W  latent      S  steps

Sources: SDEdit (arXiv 2108.01073) for entering late; RePaint (arXiv 2201.09865) for putting back.
"""

from collections.abc import Callable, Iterator

import torch
from jaxtyping import Bool, Float32
from torch import Tensor

from janus_minimal.flow import interpolate
from janus_minimal.model import JanusFlow
from janus_minimal.prompt import PromptPair
from janus_minimal.runtime.checks import finite_number, mask_of
from janus_minimal.sampling import Step, denoise

Latent = Float32[Tensor, "B c H W"]
Times = Float32[Tensor, "times"]
Solver = Callable[..., Iterator[Step]]


def enter_late(
    latent: Latent, noise: Latent, times: Times, strength: float
) -> tuple[Latent, Float32[Tensor, "rest"]]:
    """Return where image-to-image begins, and the times that are left: (z, rest).

        z = (1 - t) noise + t latent,    t = the time of the grid that is nearest to 1 - strength

    Strength 0 leaves only the last time, t = 1: no step can be taken, and z is the latent. Strength
    1 leaves all times, and z is the noise: an ordinary drawing. Between them, the noise hides a
    part of the picture, and the prompt decides anew what is hidden. With S = 30 steps and strength
    0.6, drawing begins at t = 0.4, and 18 steps remain.

    Raises:
        InputError: unless 0 <= strength <= 1.
    """
    strength = finite_number("the strength", strength, 0, 1)
    rest = times[(times - (1 - strength)).abs().argmin() :]
    t = rest[0].to(latent.device).expand(len(latent))  # noise and times are made on a CPU
    z, _ = interpolate(noise.to(latent.device), latent, t)
    return z, rest


def only_inside(
    mask: Bool[Tensor, "#B 1 H W"], latent: Latent, noise: Latent, solver: Solver = denoise
) -> Solver:
    """Make a solver that draws where the mask is True and keeps the latent where it is False.

        z_next <- z_next inside,    (1 - t_next) noise + t_next latent outside

    Why the known part needs noise: every point that training showed was equally noisy everywhere,
    and a clean island in a noisy latent looks like nothing the network knows. Why t_next and not t:
    z_next belongs to the time at which the step ends. At the last step this is t = 1, so outside of
    the mask the final latent is the given one, exactly.

    The mask has one value for each place of the latent, for all channels: [1, 1, 12, 12] for the
    bundled model. The noise should be the one at which the run begins, so that the known part moves
    on a straight line.

    Raises:
        InputError: for a mask of another shape or of numbers.
    """
    mask_of(mask, latent.shape)

    def solve(
        model: JanusFlow, prompt: PromptPair, z: Latent, times: Times, cfg_weight: float = 2.0
    ) -> Iterator[Step]:
        inside, start, end = (tensor.to(z.device) for tensor in (mask, noise, latent))
        for step in solver(model, prompt, z, times, cfg_weight):
            known, _ = interpolate(start, end, step.t_next.to(z.device).expand(len(z)))
            step.z_next = torch.where(inside, step.z_next, known)
            yield step

    return solve
