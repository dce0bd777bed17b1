"""The loop: from noise to latent in S Euler steps, each of which asks the network twice, with and without the words.

B  images        2B  rows: B conditional, then B unconditional        w  guidance weight
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float32
from torch import Tensor

from janus_minimal.flow import euler_step, guide
from janus_minimal.model import JanusFlow
from janus_minimal.prompt import PromptPair, both


@dataclass
class Step:
    """One step of the loop: where it was, what the network said, where it goes. Set `z_next` to go elsewhere."""

    index: int
    t: Float32[Tensor, ""]
    z: Float32[Tensor, "B c H W"]
    v_cond: Float32[Tensor, "B c H W"]
    v_uncond: Float32[Tensor, "B c H W"]
    v: Float32[Tensor, "B c H W"]
    z_next: Float32[Tensor, "B c H W"]

    @property
    def guess(self) -> Float32[Tensor, "B c H W"]:
        """z + (1 - t) v: the finished latent, if the rest of the way were straight."""
        return self.z + (1 - self.t) * self.v


@torch.no_grad()
def denoise(
    model: JanusFlow,
    prompt: PromptPair,
    z: Float32[Tensor, "B c H W"],
    times: Float32[Tensor, "times"],
    cfg_weight: float = 2.0,
    cache: bool = True,
) -> Iterator[Step]:
    """Yield the S steps from z at times[0] to times[-1]. Without the cache every step runs the prompt again."""
    rows, prompt_cache = prompt.batch(), model.prefill(prompt) if cache else None
    for index, (t, t_next) in enumerate(pairwise(times)):
        x_emb, t_emb, skip = model.encode(z, t)  # 1 encode: B images, no word is read yet
        tokens, t_emb, skip = both(model.align_in(x_emb, t_emb), t_emb, skip)  # 2 align: 1 + N tokens; now 2B rows
        hidden = model.think(tokens, rows, prompt_cache)  # 3 language model: after the prompt
        back = model.align_out(hidden, skip)  # 4 align: image tokens back to a map
        v_cond, v_uncond = model.decode(back, t_emb, skip).chunk(2)  # 5 decode: two velocities
        v = guide(v_cond, v_uncond, cfg_weight)  # 6 guide: w v_cond - (w - 1) v_uncond
        step = Step(index, t, z, v_cond, v_uncond, v, euler_step(z, v, t, t_next))  # 7 Euler
        yield step
        z = step.z_next
