"""Latents in a file of their own, so that a picture can be decoded later, or elsewhere."""

from pathlib import Path

from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from janus_minimal.errors import InputError
from janus_minimal.files import whole


def write_latents(path: Path, latents: Float[Tensor, "B c H W"]) -> None:
    """A safetensors file that holds `latents`, as the loop left them: not yet divided by the scaling factor."""
    with whole(path) as unfinished:
        save_file({"latents": latents.cpu().contiguous()}, unfinished)


def read_latents(path: Path, channels: int) -> Float[Tensor, "B c H W"]:
    """What `write_latents` wrote. Raises InputError unless it is finite and has this many channels."""
    if not path.is_file():
        raise InputError(f"{path} holds no latents: no plain file; right would be what generate --latent wrote")
    try:
        with safe_open(path, "pt") as file:
            latents = file.get_tensor("latents").clone()
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} holds no latents: {error}; right would be what generate --latent wrote") from None
    if latents.ndim != 4 or latents.shape[1] != channels or not latents.is_floating_point():
        raise InputError(f"{path} holds {list(latents.shape)}: right would be [images, {channels}, height, width]")
    if not latents.isfinite().all():
        raise InputError(f"{path} holds numbers that are not finite: no picture comes of them")
    return latents
