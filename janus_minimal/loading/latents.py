"""Latents in a file of their own, so that they can be decoded later or on another machine.

B  images
c  channels of a latent, 4 in the released model
H  height of a latent, 48 in the released model (384 pixels)
W  width, equal to H
"""

from pathlib import Path

from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from janus_minimal.errors import InputError, one_line
from janus_minimal.loading.atomic import atomic_write

KEY = "latents"


def write_latents(path: Path, latents: Float[Tensor, "B c H W"]) -> None:
    """Write a safetensors file that holds `latents` as the loop left them.

    They are not yet divided by the VAE's scaling factor, as `to_pictures` does that.
    Raises InputError.
    """
    with atomic_write(path) as unfinished:
        save_file({KEY: latents.cpu().contiguous()}, unfinished)


def read_latents(path: Path, channels: int) -> Float[Tensor, "B c H W"]:
    """Read what `write_latents` wrote.

    Raises InputError unless the file is a plain file (opening a FIFO would wait for ever) and holds
    finite latents with this many channels.
    """
    right = "expected a file that `generate --latent` wrote"
    if not path.is_file():
        raise InputError(f"{path} holds no latents: missing, or no plain file; {right}")
    try:
        with safe_open(path, "pt") as file:
            latents = file.get_tensor(KEY).clone()
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} holds no latents: {one_line(error, 100)}; {right}") from None
    if latents.ndim != 4 or latents.shape[1] != channels or not latents.is_floating_point():
        shape = list(latents.shape)
        raise InputError(f"{path} holds {shape}: expected [images, {channels}, height, width]")
    if not latents.isfinite().all():
        raise InputError(f"{path} holds numbers that are not finite: such latents make no picture")
    return latents
