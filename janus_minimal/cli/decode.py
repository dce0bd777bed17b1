"""The command decode: latents become pictures."""

from pathlib import Path
from typing import Annotated

import typer

from janus_minimal.cli.names import file_option
from janus_minimal.cli.options import PICTURE, DeviceOption
from janus_minimal.cli.outputs import check_outputs
from janus_minimal.cli.say import say
from janus_minimal.cli.write import write_sheet
from janus_minimal.runtime.device import pick_device


def decode(
    latent: Annotated[Path, typer.Argument(help="A file that generate --latent wrote.")],
    vae: Annotated[str, typer.Option(help="The VAE's directory or hub repository.")],
    device: DeviceOption = None,
    out: Annotated[Path, file_option(help="The PNG to write.")] = PICTURE,
) -> None:
    """Decode latents with the VAE and write the pictures as one PNG."""
    check_outputs([out], [latent, vae])
    from janus_minimal.loading.hub import VAE_FILES, find_checkpoint
    from janus_minimal.loading.latents import read_latents
    from janus_minimal.loading.vae import load_vae, to_pictures

    where = pick_device(device)
    decoder = load_vae(find_checkpoint(vae, files=VAE_FILES), where)
    latents = read_latents(latent, decoder.config.latent_channels)
    write_sheet(out, to_pictures(decoder, latents.to(where)))
    say(f"{len(latents)} pictures of {latent}: {out}")
