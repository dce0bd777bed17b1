"""Training examples: captions, the scenes they describe, and both in the form that the network takes.

Example i is drawn from (seed, i) alone. So captions and scenes can be drawn at different times, by
different processes, and still belong together.
"""

import numpy as np
import torch
from diffusers import AutoencoderKL
from jaxtyping import Float32
from torch import Tensor
from tqdm.auto import tqdm
from transformers import PreTrainedTokenizerBase

from janus_minimal.prompt import TEMPLATE
from janus_minimal.shapes.caption import Caption, draw_caption
from janus_minimal.shapes.vae import encode_scenes

CHUNK = 250  # scenes that the VAE encodes at a time
# Hard categories are drawn more often: which colour belongs to which shape is learned last, and only
# captions with two kinds of things teach it. The counts add up to 20.
MIXTURE = (
    *("single object",),
    *("colours",) * 2,
    *("two objects",) * 3,
    *("position",) * 4,
    *("counting",) * 5,
    *("colour attribution",) * 5,
)


def draw_example(index: int, seed: int) -> tuple[Caption, np.random.Generator]:
    """Return the caption of one example, and the generator that then draws its scene.

    >>> caption, rng = draw_example(0, seed=0)
    >>> scene = caption.draw(rng)
    >>> caption.holds(scene)
    True
    """
    rng = np.random.default_rng((seed, 2, index))
    return draw_caption(MIXTURE[index % len(MIXTURE)], rng), rng


def encode_examples(vae: AutoencoderKL, number: int, seed: int) -> Float32[Tensor, "n c H W"]:
    """Return the latents of the first n = `number` examples, scaled to unit variance, on the CPU."""
    latents = []
    for first in tqdm(range(0, number, CHUNK), desc="latents"):
        examples = [draw_example(i, seed) for i in range(first, min(first + CHUNK, number))]
        latents.append(encode_scenes(vae, [caption.draw(rng) for caption, rng in examples]))
    return torch.cat(latents)


def tokenize_examples(tokenizer: PreTrainedTokenizerBase, number: int, seed: int) -> list[Tensor]:
    """Return the token ids of the first `number` captions in the chat template."""
    captions = [str(draw_example(i, seed)[0]) for i in range(number)]
    return [
        torch.tensor(ids)
        for ids in tokenizer([TEMPLATE.format(prompt=text) for text in captions]).input_ids
    ]
