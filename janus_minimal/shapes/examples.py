"""What the small model learns from: captions with the latents of scenes that they describe."""

from dataclasses import dataclass

import numpy as np
import torch
from accelerate import Accelerator
from diffusers import AutoencoderKL
from jaxtyping import Bool, Float32
from torch import Tensor
from tqdm.auto import tqdm
from transformers import PreTrainedTokenizerBase

from janus_minimal.prompt import TEMPLATE
from janus_minimal.shapes.caption import Caption, draw_caption
from janus_minimal.shapes.training import share
from janus_minimal.shapes.vae import encode_scenes

# t is logit-normal. What goes where is settled at t = 0.1 to 0.3, which the standard (0, 1) draws half as often.
LOGIT_MEAN, LOGIT_SPREAD = -0.8, 1.2
DROPPED = 0.1  # of the prompts are replaced by their unconditional form
CHUNK = 250  # scenes that the VAE encodes at a time
# What is hard is drawn more often: which colour belongs to which shape is learned last, and only from such captions.
MIXTURE = (
    *("single object",),
    *("colours",) * 2,
    *("two objects",) * 3,
    *("position",) * 4,
    *("counting",) * 5,
    *("colour attribution",) * 5,
)


def draw_example(index: int, seed: int) -> tuple[Caption, np.random.Generator]:
    """The caption of one example, and the generator that goes on to draw its scene."""
    rng = np.random.default_rng((seed, 2, index))
    return draw_caption(MIXTURE[index % len(MIXTURE)], rng), rng


def encode_examples(vae: AutoencoderKL, number: int, seed: int) -> Float32[Tensor, "n c H W"]:
    """Latents of the first `number` examples' scenes, scaled to unit variance."""
    latents = []
    for first in tqdm(range(0, number, CHUNK), desc="latents"):
        examples = [draw_example(i, seed) for i in range(first, min(first + CHUNK, number))]
        latents.append(encode_scenes(vae, [caption.draw(rng) for caption, rng in examples]))
    return torch.cat(latents)


def tokenize_examples(tokenizer: PreTrainedTokenizerBase, number: int, seed: int) -> list[Tensor]:
    """Token ids of the first `number` examples' prompts."""
    captions = [str(draw_example(i, seed)[0]) for i in range(number)]
    return [torch.tensor(ids) for ids in tokenizer([TEMPLATE.format(prompt=text) for text in captions]).input_ids]


@dataclass(frozen=True)
class Batch:
    """What one step learns from: prompts' token ids, noises, latents, times, and which prompts are dropped."""

    ids: list[Tensor]
    z_0: Float32[Tensor, "b c H W"]
    z_1: Float32[Tensor, "b c H W"]
    t: Float32[Tensor, "b"]
    dropped: Bool[Tensor, "b"]

    def share(self, accelerator: Accelerator) -> "Batch":
        """This process's part, on its device."""
        tensors = (
            share(part, accelerator).to(accelerator.device) for part in (self.z_0, self.z_1, self.t, self.dropped)
        )
        return Batch([ids.to(accelerator.device) for ids in share(self.ids, accelerator)], *tensors)


def draw_batch(step: int, ids: list[Tensor], latents: Float32[Tensor, "n c H W"], batch_size: int, seed: int) -> Batch:
    """Step k's batch, drawn from (seed, k) alone. t is the sigmoid of a normal number."""
    generator = torch.Generator().manual_seed(1_000_003 * seed + step)
    chosen = torch.randint(len(ids), (batch_size,), generator=generator)
    z_1 = latents[chosen]
    return Batch(
        ids=[ids[i] for i in chosen],
        z_0=torch.randn(z_1.shape, generator=generator),
        z_1=z_1,
        t=(LOGIT_MEAN + LOGIT_SPREAD * torch.randn(batch_size, generator=generator)).sigmoid(),
        dropped=torch.rand(batch_size, generator=generator) < DROPPED,
    )
