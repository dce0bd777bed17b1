"""Models to be timed: their sizes matter, their weights do not, so they are random."""

import torch
from diffusers import AutoencoderKL
from torch import nn

from janus_minimal.loading.config_file import read_config
from janus_minimal.config import DecoderConfig, EncoderConfig, JanusConfig, LanguageConfig
from janus_minimal.loading.hub import find_checkpoint
from janus_minimal.model import JanusFlow
from janus_minimal.loading.vae import load_vae

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
    """Half the released widths and a third of its layers: enough to be governed by matrix products."""
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
    """The sizes of the bundled model ("small"), of the released one, or in the middle."""
    return {"small": lambda: read_config(find_checkpoint("shapes")), "middle": middle, "released": JanusConfig}[size]()


def random_model(config: JanusConfig, dtype: torch.dtype, device: torch.device) -> JanusFlow:
    """A model with random weights, made where and as it is to run."""
    with torch.device("meta"):
        model = JanusFlow(config)
    model = model.to(dtype).to_empty(device=device)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.02)
    return model.eval().requires_grad_(False)


def vae_of(size: str, device: torch.device) -> AutoencoderKL:
    """The VAE that goes with it: the bundled one, or SDXL's with random weights."""
    if size == "small":
        return load_vae(find_checkpoint("shapes") / "vae", device)
    return AutoencoderKL(**SDXL_VAE).to(device).eval()
