"""The three models that the bench times: small (as bundled), middle, and released.

How long a step takes depends on the sizes of the weights, not on their values. So the weights are
random, and the released size can be timed without a download.
"""

import torch
from diffusers import AutoencoderKL
from torch import nn

from janus_minimal.config import DecoderConfig, EncoderConfig, JanusConfig, LanguageConfig
from janus_minimal.loading.config_file import read_config
from janus_minimal.loading.hub import find_checkpoint
from janus_minimal.loading.vae import load_vae
from janus_minimal.model import JanusFlow

# SDXL's VAE: https://huggingface.co/stabilityai/sdxl-vae
SDXL_VAE = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
    "sample_size": 1024,
    "scaling_factor": 0.13025,
}


def middle() -> JanusConfig:
    """Return the middle size: half the widths and a third of the layers of the released model.

    The small model is so small that much of its time is spent between matrix products. Here they
    take most of the time, as in the released model, and a step is about ten times faster.
    """
    return JanusConfig(
        encoder=EncoderConfig(block_out_channels=(384,), hidden_size=1024),
        decoder=DecoderConfig(block_out_channels=(384,), hidden_size=1024, in_channels=384),
        language=LanguageConfig(
            hidden_size=1024,
            intermediate_size=2816,
            num_hidden_layers=8,
            num_attention_heads=8,
            num_key_value_heads=8,
        ),
    )


def sized(size: str) -> JanusConfig:
    """Return the configuration of "small" (the bundled model), "middle", or "released"."""
    return {
        "small": lambda: read_config(find_checkpoint("shapes")),
        "middle": middle,
        "released": JanusConfig,
    }[size]()


def random_model(config: JanusConfig, dtype: torch.dtype, device: torch.device) -> JanusFlow:
    """Return a model with random weights, created in this dtype on this device.

    It is created on the meta device first, so no memory is spent on a float32 copy of the weights.
    """
    with torch.device("meta"):
        model = JanusFlow(config)
    model = model.to(dtype).to_empty(device=device)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.02)
    return model.eval().requires_grad_(False)


def vae_of(size: str, device: torch.device) -> AutoencoderKL:
    """Return the VAE of this size: the bundled one, or SDXL's sizes with random weights."""
    if size == "small":
        return load_vae(find_checkpoint("shapes") / "vae", device)
    return AutoencoderKL(**SDXL_VAE).to(device).eval()
