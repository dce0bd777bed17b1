"""The small world's VAE: diffusers' AutoencoderKL, 48 x 48 pixels <-> 4 x 12 x 12 latents, trained on drawn scenes."""

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
from janus_minimal.shapes.training import Recipe, Report, fit, share

VAE_RECIPE = Recipe(steps=2500, batch_size=32, learning_rate=2e-3, average=0.99)
KL_WEIGHT = 1e-3  # enough to keep the latents smooth, too little to blur the edges


def build_vae() -> AutoencoderKL:
    """The untrained network. Its scaling factor is set after training, by `calibrate`."""
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
    """Rendered scenes as the VAE takes them, in -1..1."""
    pixels = torch.from_numpy(np.stack([render(scene) for scene in scenes]))
    return rearrange(pixels, "n y x rgb -> n rgb y x") / 127.5 - 1


@torch.no_grad()
def encode_scenes(vae: AutoencoderKL, scenes: Sequence[Scene]) -> Float32[Tensor, "n c H W"]:
    """Their latents, scaled to unit variance, on the CPU: the far end z_1 of the flow."""
    mean = vae.encode(pictures(scenes).to(vae.device)).latent_dist.mean
    return (mean * vae.config.scaling_factor).cpu().contiguous()


def draw_scenes(number: int, seed: Sequence[int]) -> list[Scene]:
    """Scenes of all categories that training may show."""
    rng = np.random.default_rng(seed)
    return [draw_caption(SEEN_CATEGORIES[i % len(SEEN_CATEGORIES)], rng).draw(rng) for i in range(number)]


class _Reconstruction(nn.Module):
    """Picture in, reconstruction and mean KL divergence out: one forward call, as data-parallel training needs."""

    def __init__(self, vae: AutoencoderKL):
        super().__init__()
        self.vae = vae

    def forward(self, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        posterior = self.vae.encode(x).latent_dist
        z = posterior.mean + posterior.std * noise
        return self.vae.decode(z).sample, posterior.kl().mean() / z[0].numel()


def train_vae(state: Path, accelerator: Accelerator, report: Report, recipe: Recipe = VAE_RECIPE) -> AutoencoderKL:
    """Minimise L1 + KL_WEIGHT KL, then set the scaling factor so that latents have unit variance."""

    def loss(network: nn.Module, step: int) -> Tensor:
        scenes = draw_scenes(recipe.batch_size, (recipe.seed, 0, step))
        noise = torch.randn(recipe.batch_size, 4, SIDE // 4, SIDE // 4, generator=torch.Generator().manual_seed(step))
        x, e = (share(part, accelerator).to(accelerator.device) for part in (pictures(scenes), noise))
        reconstruction, kl = network(x, e)
        return (reconstruction - x).abs().mean() + KL_WEIGHT * kl

    torch.manual_seed(recipe.seed)
    network = _Reconstruction(build_vae())
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # a fifth faster on a CPU
    return calibrate(fit(network, loss, recipe, state, accelerator, report).vae.eval())


@torch.no_grad()
def calibrate(vae: AutoencoderKL) -> AutoencoderKL:
    """Register the scaling factor 1 / std of the latents of 1,000 scenes."""
    x = pictures(draw_scenes(1000, (0, 1))).to(vae.device)
    vae.register_to_config(scaling_factor=1 / vae.encode(x).latent_dist.mean.std().item())
    return vae
