"""The loop: from noise to a latent in S steps. This file is what all others serve.

The problem. The network gives a velocity for one latent at one time. To draw a picture, we start at
noise and follow the velocity from t = 0 to t = 1, in small steps, with guidance at each of them:

    z_{k+1} = z_k + (t_{k+1} - t_k) v_k,    v_k = w v_cond - (w - 1) v_uncond

`denoise` is a generator of `Step`s. Why a generator and not a function that returns the last
latent: the caller decides what to keep. Take the last step for a picture, all of them for a film,
or change `step.z_next` before the next step is computed:

    for step in denoise(model, prompt, z, time_grid(30), cfg_weight=2.0):
        step.z_next = mask * step.z_next + (1 - mask) * known(step.t_next)    # inpainting

This one assignment is the extension point. Guidance of your own, inpainting and constraints need no
option in the loop. A schedule is another `times`. A solver is another generator (solvers.py).

    B  images        2B  rows: B conditional, then B unconditional        c H W  latent (4 48 48)
    S  steps         w   guidance weight

Sources: JanusFlow (arXiv 2411.07975), equations 4 and 5; official demo/app_janusflow.py.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float32
from torch import Tensor

from janus_minimal.flow import euler_step, guide
from janus_minimal.model import JanusFlow
from janus_minimal.prompt import PromptPair, duplicate_for_cfg


@dataclass
class Step:
    """One step of a solver: where it began, what the network said, and where it leads.

    Attributes:
        index: k, counted from 0.
        t: the time t_k at which the step begins, a float32 scalar.
        t_next: the time t_{k+1} at which it ends. `z_next` belongs to this time.
        z: the latent at t.
        v_cond, v_uncond: the velocities with and without the prompt.
        v: the guided velocity, which the step follows.
        z_next: the latent at t_next. Set it to make the loop continue from somewhere else.
    """

    index: int
    t: Float32[Tensor, ""]
    t_next: Float32[Tensor, ""]
    z: Float32[Tensor, "B c H W"]
    v_cond: Float32[Tensor, "B c H W"]
    v_uncond: Float32[Tensor, "B c H W"]
    v: Float32[Tensor, "B c H W"]
    z_next: Float32[Tensor, "B c H W"]

    @property
    def denoised(self) -> Float32[Tensor, "B c H W"]:
        """Return z + (1 - t) v: the final latent, if the velocity stayed constant from here on.

        It is the network's present prediction of the clean latent and the best thing to look at,
        because z itself is mostly noise until late. At the last step it equals z_next. (k-diffusion
        and EDM use the same name.)
        """
        return self.z + (1 - self.t) * self.v


def denoise(
    model: JanusFlow,
    prompt: PromptPair,
    z: Float32[Tensor, "B c H W"],
    times: Float32[Tensor, "times"],
    cfg_weight: float = 2.0,
    use_cache: bool = True,
) -> Iterator[Step]:
    """Follow the guided velocity from z at times[0] to times[-1]; yield each Euler step.

    No gradients are recorded inside a step, or the graphs of all steps would stay in memory. The
    context ends before each yield, so the caller's own gradient mode is never changed.

    Args:
        model: gives the velocities.
        prompt: what to draw, with the number of images.
        z: the latent to begin with, for example standard normal noise at t = 0.
        times: an increasing grid such as `time_grid(30)`. Its neighbouring pairs are the steps.
        cfg_weight: w. 1 means no guidance, 2 is JanusFlow's choice.
        use_cache: compute the prompt's keys and values once. Without the cache the same latents
            come out, and every step computes the prompt again.

    Raises:
        InputError: if there is not one latent for each image.
    """
    prompt.check_latents(z)
    with torch.no_grad():
        rows, cache = prompt.batch(), model.prefill(prompt) if use_cache else None
    for index, (t, t_next) in enumerate(pairwise(times)):
        with torch.no_grad():
            x_emb, t_emb, skip = model.encode(z, t)  # 1 encode: B rows, no prompt yet
            tokens = model.align_in(x_emb, t_emb)  # 2 align: 1 + N tokens
            tokens, t_emb, skip = duplicate_for_cfg(tokens, t_emb, skip)  # from here 2B rows
            hidden = model.backbone(tokens, rows, cache)  # 3 language model, after the prompt
            back = model.align_out(hidden, skip)  # 4 align: tokens back to a map
            v_cond, v_uncond = model.decode(back, t_emb, skip).chunk(2)  # 5 decode: two velocities
            v = guide(v_cond, v_uncond, cfg_weight)  # 6 guide: w v_cond - (w - 1) v_uncond
            z_next = euler_step(z, v, t, t_next)  # 7 Euler: follow v from t to t_next
        step = Step(index, t, t_next, z, v_cond, v_uncond, v, z_next)
        yield step
        z = step.z_next
