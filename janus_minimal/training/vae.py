"""Training a VAE: pictures become latents with a quarter of the side or less, and pictures again.

Latents have fewer numbers than pictures, so the flow has less to learn. The network is diffusers'
AutoencoderKL, like the VAE of the released model. What the pictures show plays no part here.

    n  pictures        S  their side in pixels        c H W  channels, height, width of a latent
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from accelerate import Accelerator
from diffusers import AutoencoderKL
from jaxtyping import Float, Float32
from torch import Tensor, nn

from janus_minimal.loading.vae import pixels_per_latent
from janus_minimal.training.batch import share, step_generator
from janus_minimal.training.loop import Report, fit
from janus_minimal.training.recipe import Recipe

KL_WEIGHT = 1e-3  # enough to keep the latents smooth, too little to blur the edges
CALIBRATED = 1000  # pictures from which the scaling factor is computed

Draw = Callable[[int, Sequence[int]], Float[Tensor, "n 3 S S"]]  # a number and a seed -> pictures


class Reconstruction(nn.Module):
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
    build: Callable[[], AutoencoderKL],
    draw: Draw,
    state: Path,
    accelerator: Accelerator,
    report: Report,
    recipe: Recipe,
    data: str = "",
) -> AutoencoderKL:
    """Train a VAE to the end of its recipe, set its scaling factor, and return it.

        loss = mean |reconstruction - picture| + KL_WEIGHT * KL(posterior, N(0, I)) per number

    Args:
        build: returns the untrained network. Its weights are drawn from the recipe's seed.
        draw: returns a number of pictures, drawn from a seed alone. Step k asks for the seed
            (recipe.seed, 0, k), so a resumed run sees the same pictures.
        state: the file of the run's state. If it exists, training goes on from there.
        accelerator: the device, and the processes that share each batch.
        report: called after each save and after resuming, with a module that holds the averaged
            network as `vae`, and with all losses.
        recipe: how to train. The noise of step k too is drawn from (recipe.seed, k).
        data: what `draw` shows, in words. A state that was begun with other words is refused.

    Raises:
        InputError: as `fit` does.
    """

    def loss(network: nn.Module, step: int) -> Tensor:
        whole = draw(recipe.batch_size, (recipe.seed, 0, step))
        side = whole.shape[-1] // pixels_per_latent(vae)
        generator = step_generator(recipe.seed, step)
        shape = (recipe.batch_size, vae.config.latent_channels, side, side)
        noise = torch.randn(shape, generator=generator)
        x, e = (share(part, accelerator).to(accelerator.device) for part in (whole, noise))
        reconstruction, kl = network(x, e)
        return (reconstruction - x).abs().mean() + KL_WEIGHT * kl

    torch.manual_seed(recipe.seed)
    vae = build()
    network = Reconstruction(vae)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # a fifth faster on a CPU
    trained = fit(network, loss, recipe, state, accelerator, report, data).vae.eval()
    return calibrate(trained, draw(CALIBRATED, (0, 1)))


@torch.no_grad()
def calibrate(vae: AutoencoderKL, x: Float[Tensor, "n 3 S S"]) -> AutoencoderKL:
    """Set the scaling factor to 1 / std of the latents of these pictures, and return the VAE.

    Why: the flow starts at N(0, I). If its data have another variance, noise and data do not mix as
    the times say, and one of them dominates z_t at most times.
    """
    mean = vae.encode(x.to(vae.device)).latent_dist.mean
    vae.register_to_config(scaling_factor=1 / mean.std().item())
    return vae


@torch.no_grad()
def encode(vae: AutoencoderKL, x: Float[Tensor, "n 3 S S"]) -> Float32[Tensor, "n c H W"]:
    """Return the pictures' latents z_1 on the CPU, multiplied by the VAE's scaling factor.

    The mean of the posterior is taken, not a sample of it. After scaling, the latents have about unit
    variance, the same scale as the noise from which the flow starts.
    """
    mean = vae.encode(x.to(vae.device)).latent_dist.mean
    return (mean * vae.config.scaling_factor).cpu().contiguous()
