"""The VAE, diffusers' AutoencoderKL: from latents to pictures."""

from math import isfinite
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL
from diffusers.image_processor import VaeImageProcessor
from jaxtyping import Float
from torch import Tensor

from janus_minimal.checkpoint import check_floats
from janus_minimal.errors import CheckpointError
from janus_minimal.foreign import load
from janus_minimal.json_file import read_json

WEIGHTS = "diffusion_pytorch_model.safetensors"
LARGEST = {"block_out_channels": 4096, "layers_per_block": 16, "latent_channels": 256, "norm_num_groups": 1024}


def load_vae(directory: Path, device: torch.device | str = "cpu") -> AutoencoderKL:
    """A directory of diffusers' layout, in float32; a pickle is refused. Raises CheckpointError."""
    _check_config(directory / "config.json")
    check_floats(directory / WEIGHTS)
    vae, loaded = load(AutoencoderKL, directory, "config.json", use_safetensors=True, output_loading_info=True)
    _check_loaded(directory, vae, loaded)
    return vae.to(device)


def _check_loaded(directory: Path, vae: AutoencoderKL, loaded: dict[str, Any]) -> None:
    for fault in ("missing_keys", "unexpected_keys", "mismatched_keys"):  # diffusers goes on with weights of its own
        if loaded[fault]:
            raise CheckpointError(f"{directory}: {fault.replace('_', ' ')}: {min(map(str, loaded[fault]))}")
    for key, tensor in vae.state_dict().items():
        if not tensor.isfinite().all():
            raise CheckpointError(f"{directory}: {key} holds numbers that are not finite: such a VAE makes no picture")


def _check_config(path: Path) -> None:
    """Refuse sizes beyond any VAE's, which diffusers would begin to build, and a scale that no latent has."""
    config = read_json(path)
    for name, largest in LARGEST.items():
        sizes = config.get(name, 1)
        for size in sizes if isinstance(sizes, list) else [sizes]:
            if not isinstance(size, int) or not 0 < size <= largest:
                raise CheckpointError(f"{path}: {name} is {sizes!r}: right would be 1 to {largest}")
    scale = config.get("scaling_factor", 1)
    if not isinstance(scale, (int, float)) or not isfinite(scale) or scale <= 0:
        raise CheckpointError(f"{path}: scaling_factor is {scale!r}: right would be a number above 0")


def pixels_per_latent(vae: AutoencoderKL) -> int:
    """How many pixels of a side one of the latent's stands for: every level of the VAE but the last halves it."""
    return int(2 ** (len(vae.config.block_out_channels) - 1))


@torch.no_grad()
def to_pictures(vae: AutoencoderKL, latents: Float[Tensor, "B c H W"], output_type: str = "pil") -> Any:
    """Decode: divide by the scaling factor, run the VAE in its own dtype, clamp to [-1, 1], map to 0..255.

    `output_type` is "pil", "np" or "pt". Official source: demo/app_janusflow.py.
    """
    pixels = vae.decode(latents.to(vae.dtype) / vae.config.scaling_factor).sample
    return VaeImageProcessor().postprocess(pixels, output_type=output_type)
