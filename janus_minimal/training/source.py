"""A source: what a run learns from, in the form that the trainer takes.

There are two. The small world (`janus_minimal.shapes.run.SmallWorld`) draws its scenes, and a folder
(`training.pictures.PictureFolder`) holds pictures of your own. The trainer knows neither of them.
Whoever has pictures of a third kind writes a class with these attributes and methods.

    n  examples        S  side of a picture in pixels        c H W  a latent
"""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import torch
from diffusers import AutoencoderKL
from jaxtyping import Float, Float32
from torch import Tensor
from tqdm.auto import tqdm
from transformers import PreTrainedTokenizerBase

from janus_minimal.training.vae import encode

CHUNK = 250  # pictures that the VAE encodes at a time


@runtime_checkable
class Source(Protocol):
    """n captions, the picture of each, and a tokenizer that knows the words of the captions."""

    @property
    def about(self) -> Mapping[str, str | int]:
        """Return what the examples are, under names for people.

        It is written into the run's settings.json and into the file of its latents. A run does not
        go on with a source that says something else.
        """
        ...

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """Return the tokenizer, which is saved with the checkpoint."""
        ...

    @property
    def captions(self) -> Sequence[str]:
        """Return the n captions. Caption i belongs to picture i."""
        ...

    @property
    def shown(self) -> Sequence[str]:
        """Return the captions of the sample sheet, the same at every save."""
        ...

    def pictures(self, numbers: range) -> Float[Tensor, "n 3 S S"]:
        """Return the pictures with these numbers, in -1..1, always the same for a number."""
        ...

    def draw(self, number: int, seed: Sequence[int]) -> Float[Tensor, "number 3 S S"]:
        """Return pictures for the VAE, drawn from this seed alone, in -1..1."""
        ...


def encode_examples(vae: AutoencoderKL, source: Source) -> Float32[Tensor, "n c H W"]:
    """Return the latents of all n examples, scaled to about unit variance, on the CPU."""
    number = len(source.captions)
    chunks = [range(first, min(first + CHUNK, number)) for first in range(0, number, CHUNK)]
    return torch.cat([encode(vae, source.pictures(chunk)) for chunk in tqdm(chunks, "latents")])
