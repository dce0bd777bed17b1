"""The small world's VAE: 48 x 48 pixels become latents of 4 x 12 x 12 numbers, and back.

It is diffusers' AutoencoderKL, like the VAE of the released model, only smaller, and trained on drawn
scenes. Latents have 12 times fewer numbers than pictures, so the flow has less to learn.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from diffusers import AutoencoderKL
from einops import rearrange
from jaxtyping import Float, Float32
from torch import Tensor, nn

from janus_minimal.shapes.caption import SEEN_CATEGORIES, draw_caption
from janus_minimal.shapes.render import render
from janus_minimal.shapes.scene import SIDE, Scene
from janus_minimal.training.batch import share
from janus_minimal.training.loop import Report, fit
from janus_minimal.training.recipe import Recipe

VAE_RECIPE = Recipe(steps=2500, batch_size=32, learning_rate=2e-3, average=0.99)
KL_WEIGHT = 1e-3  # enough to keep the latents smooth, too little to blur the edges


def build_vae() -> AutoencoderKL:
    """Return the untrained network. `calibrate` sets its scaling factor after training."""
    return AutoencoderKL(
        block_out_channels=(16, 32, 64),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        latent_channels=4,
        norm_num_groups=8,
        sample_size=SIDE,
        mid_block_add_attention=False,
    )


def pictures(scenes: Sequence[Scene]) -> Float[Tensor, "n 3 side side"]:
    """Return the rendered scenes in the form that the VAE takes, in -1..1."""
    pixels = torch.from_numpy(np.stack([render(scene) for scene in scenes]))
    return rearrange(pixels, "n y x rgb -> n rgb y x") / 127.5 - 1


@torch.no_grad()
def encode_scenes(vae: AutoencoderKL, scenes: Sequence[Scene]) -> Float32[Tensor, "n c H W"]:
    """Return the scenes' latents z_1 on the CPU, multiplied by the VAE's scaling factor.

    The mean of the posterior is taken, not a sample of it. After scaling, the latents have about unit
    variance, the same scale as the noise from which the flow starts.
    """
    mean = vae.encode(pictures(scenes).to(vae.device)).latent_dist.mean
    return (mean * vae.config.scaling_factor).cpu().contiguous()


def draw_scenes(number: int, seed: Sequence[int]) -> list[Scene]:
    """Return scenes of all categories that training may show, the categories in turn."""
    rng = np.random.default_rng(seed)
    return [
        draw_caption(SEEN_CATEGORIES[i % len(SEEN_CATEGORIES)], rng).draw(rng)
        for i in range(number)
    ]


class _Reconstruction(nn.Module):
    """Encode, sample and decode in one forward call.

    Data-parallel training averages the gradients of what `forward` computes, so the whole path from
    picture to loss terms has to be in one call.
    """

    def __init__(self, vae: AutoencoderKL):
        super().__init__()
        self.vae = vae

    def forward(self, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Return the reconstruction of x, and the KL divergence per number of the latent."""
        posterior = self.vae.encode(x).latent_dist
        z = posterior.mean + posterior.std * noise
        return self.vae.decode(z).sample, posterior.kl().mean() / z[0].numel()


def train_vae(
    state: Path, accelerator: Accelerator, report: Report, recipe: Recipe = VAE_RECIPE
) -> AutoencoderKL:
    """Train the VAE to the end of its recipe, set its scaling factor, and return it.

        loss = mean |reconstruction - picture| + KL_WEIGHT * KL(posterior, N(0, I)) per number

    If the file `state` exists, training goes on from there. `report` is called after each save with
    a module that holds the averaged network as `vae`, and with all losses.
    """

    def loss(network: nn.Module, step: int) -> Tensor:
        scenes = draw_scenes(recipe.batch_size, (recipe.seed, 0, step))
        noise = torch.randn(
            recipe.batch_size,
            4,
            SIDE // 4,
            SIDE // 4,
            generator=torch.Generator().manual_seed(step),
        )
        x, e = (
            share(part, accelerator).to(accelerator.device) for part in (pictures(scenes), noise)
        )
        reconstruction, kl = network(x, e)
        return (reconstruction - x).abs().mean() + KL_WEIGHT * kl

    torch.manual_seed(recipe.seed)
    network = _Reconstruction(build_vae())
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # a fifth faster on a CPU
    return calibrate(fit(network, loss, recipe, state, accelerator, report).vae.eval())


@torch.no_grad()
def calibrate(vae: AutoencoderKL) -> AutoencoderKL:
    """Set the scaling factor to 1 / std of the latents of 1,000 scenes, and return the VAE.

    Why: the flow starts at N(0, I). If its data have another variance, noise and data do not mix as
    the times say, and one of them dominates z_t at most times.
    """
    x = pictures(draw_scenes(1000, (0, 1))).to(vae.device)
    vae.register_to_config(scaling_factor=1 / vae.encode(x).latent_dist.mean.std().item())
    return vae
