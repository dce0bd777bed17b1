"""A sampling loop with one wrong line, for exercise 15."""

import torch

from janus_minimal import guide
from janus_minimal.prompt import duplicate_for_cfg


@torch.no_grad()
def draw(model, prompt, z, steps, weight):
    """Return the latents at t = 1, after equal Euler steps from the noise z at t = 0."""
    rows, cache = prompt.batch(), model.prefill(prompt)
    for k in range(steps):
        timestep = 1000 * k // steps  # the network is told times in 0..1000
        x_emb, t_emb, skip = model.vision_gen_enc_model(z, torch.full((len(z),), float(timestep)))
        tokens, t_emb, skip = duplicate_for_cfg(model.align_in(x_emb, t_emb), t_emb, skip)
        back = model.align_out(model.backbone(tokens, rows, cache), skip)
        v_cond, v_uncond = model.decode(back, t_emb, skip).chunk(2)
        z = z + guide(v_cond, v_uncond, weight) / steps
    return z
