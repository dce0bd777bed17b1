"""Latents in a file of their own, so that they can be decoded later or on another machine.

B  images
c  channels of a latent, 4 in the released model
H  height of a latent, 48 in the released model (384 pixels)
W  width, equal to H
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from janus_minimal.errors import InputError, quoted
from janus_minimal.loading.atomic import atomic_write
from janus_minimal.loading.weights import DTYPES, open_safetensors

KEY = "latents"
RIGHT = "expected a file that `generate --latent` wrote"


def write_latents(
    path: str | Path, latents: Float[Tensor, "B c H W"], about: Mapping[str, str] | None = None
) -> None:
    """Write a safetensors file that holds `latents` as the loop left them.

    They are not yet divided by the VAE's scaling factor, as `to_pictures` does that. `about` says
    how they were made, in words that `read_about` gives back. Raises InputError.
    """
    with atomic_write(Path(path)) as unfinished:
        save_file({KEY: latents.cpu().contiguous()}, unfinished, dict(about or {}))


def read_latents(path: str | Path, channels: int) -> Float[Tensor, "B c H W"]:
    """Read what `write_latents` wrote.

    Raises InputError unless the file holds finite, square latents with this many channels.
    """
    with _opened(path) as file:
        latents = file.get_tensor(KEY).clone()
    side = latents.shape[-1] if latents.ndim == 4 else 0
    if latents.dtype not in DTYPES.values() or tuple(latents.shape[1:]) != (channels, side, side):
        kind = f"{list(latents.shape)}, {latents.dtype}"
        raise InputError(
            f"{path} holds {kind}: expected [images, {channels}, height, width], square, float32"
        )
    if 0 in latents.shape:
        raise InputError(f"{path} holds no image: {RIGHT}")
    if not latents.isfinite().all():
        raise InputError(f"{path} holds numbers that are not finite: such latents make no picture")
    return latents


def read_about(path: str | Path) -> dict[str, str]:
    """Return what `write_latents` was told about the latents of a file. Raises InputError."""
    with _opened(path) as file:
        return file.metadata() or {}


@contextmanager
def _opened(path: str | Path) -> Iterator[safe_open]:
    try:
        with open_safetensors(Path(path)) as file:
            yield file
    except (SafetensorError, OSError) as error:
        reason = quoted(getattr(error, "strerror", None) or error)
        raise InputError(f"{path} holds no latents: {reason}; {RIGHT}") from None
