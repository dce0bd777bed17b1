"""20. Write the piece: a solver of second order."""

from itertools import pairwise

import torch

from janus_minimal import Step, euler_step, guide


def heun(model, prompt, z, times, cfg_weight=2.0, use_cache=True):
    with torch.no_grad():
        cache = model.prefill(prompt) if use_cache else None

    @torch.no_grad()
    def velocities(z, t):
        v_cond, v_uncond = model.velocity(z, t, prompt, cache)
        return torch.stack([v_cond, v_uncond, guide(v_cond, v_uncond, cfg_weight)])

    for index, (t, t_next) in enumerate(pairwise(times)):
        start = velocities(z, t)
        end = velocities(euler_step(z, start[2], t, t_next), t_next)
        v_cond, v_uncond, v = (start + end) / 2
        step = Step(index, t, t_next, z, v_cond, v_uncond, v, euler_step(z, v, t, t_next))
        yield step
        z = step.z_next
