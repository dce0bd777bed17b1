"""The official demo's loop, re-enacted: what it computes, in its order, from parts that are called as ours are."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from transformers import LlamaModel

Run = Callable[[Tensor], Tensor]  # [t_emb ; image tokens] -> their hidden states, once for each step
STEPS = 6


def demo(
    model: Any,
    input_ids: Tensor,
    z: Tensor,
    language_model: Callable[[LlamaModel, Tensor, Tensor], Run],
    weight: float,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Do what the official demo does, in its order: one prompt, B images, conditional rows first.

    Every row is encoded, prompts are embedded once, and positions are left to transformers. Only the precision differs:
    it is float32 here. The demo's call of the language model and its cache are `language_model`. Yields the guided
    velocity and the new latent of each step.
    """
    images, length, side = len(z), len(input_ids) - 1, z.shape[-1] // 2
    tokens = input_ids.repeat(2 * images, 1)
    tokens[images:, 1:] = 0  # the padding token
    prompt = model.llama.embed_tokens(tokens)[:, :-1]
    mask = torch.ones(2 * images, length + 1 + side * side, dtype=torch.int)
    mask[images:, 1:length] = 0
    run = language_model(model.llama, prompt, mask)
    for step in range(STEPS):
        timestep = torch.full((2 * images,), 1000 * step / STEPS)
        x_emb, t_emb, skip = model.vision_gen_enc_model(torch.cat([z, z]), timestep)
        image = model.vision_gen_enc_aligner(x_emb.flatten(2).transpose(1, 2))
        hidden = run(torch.cat([t_emb[:, None], image], dim=1))[:, 1:]
        back = model.vision_gen_dec_aligner(model.vision_gen_dec_aligner_norm(hidden))
        back = back.transpose(1, 2).unflatten(2, (side, side))
        v_cond, v_uncond = model.vision_gen_dec_model(back, t_emb, skip).chunk(2)
        v = weight * v_cond - (weight - 1) * v_uncond
        z = z + v / STEPS
        yield v, z


def no_cache(llama: LlamaModel, prompt: Tensor, mask: Tensor) -> Run:
    """Compute the prompt at every step: what the demo does on old versions of transformers."""
    return lambda new: llama(inputs_embeds=torch.cat([prompt, new], dim=1), attention_mask=mask).last_hidden_state[
        :, prompt.shape[1] :
    ]
