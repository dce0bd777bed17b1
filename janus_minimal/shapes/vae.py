"""Scenes for a VAE: drawn scenes as the pixels that it takes, and their latents."""

from collections.abc import Sequence

import numpy as np
import torch
from diffusers import AutoencoderKL
from einops import rearrange
from jaxtyping import Float, Float32
from torch import Tensor

from janus_minimal.shapes.caption import SEEN_CATEGORIES, draw_caption
from janus_minimal.shapes.render import render
from janus_minimal.shapes.scene import Scene
from janus_minimal.training.vae import encode


def pictures(scenes: Sequence[Scene]) -> Float[Tensor, "n 3 side side"]:
    """Return the rendered scenes in the form that the VAE takes, in -1..1."""
    pixels = torch.from_numpy(np.stack([render(scene) for scene in scenes]))
    return rearrange(pixels, "n y x rgb -> n rgb y x") / 127.5 - 1


def encode_scenes(vae: AutoencoderKL, scenes: Sequence[Scene]) -> Float32[Tensor, "n c H W"]:
    """Return the scenes' latents z_1 on the CPU, multiplied by the VAE's scaling factor."""
    return encode(vae, pictures(scenes))


def draw_scenes(number: int, seed: Sequence[int]) -> list[Scene]:
    """Return scenes of all categories that training may show, the categories in turn."""
    rng = np.random.default_rng(seed)
    return [
        draw_caption(SEEN_CATEGORIES[i % len(SEEN_CATEGORIES)], rng).draw(rng)
        for i in range(number)
    ]
