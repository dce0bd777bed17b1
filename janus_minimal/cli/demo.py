"""The command demo: a page in the browser, to try prompts and settings and to watch each step."""

from importlib.util import find_spec
from threading import Event
from typing import Annotated

import typer

from janus_minimal.cli.generate import load_pipeline
from janus_minimal.cli.options import CheckpointOption, DeviceOption, DtypeOption, VaeOption
from janus_minimal.errors import InputError


def demo(
    checkpoint: CheckpointOption = "shapes",
    vae: VaeOption = None,
    device: DeviceOption = None,
    dtype: DtypeOption = "float32",
    host: Annotated[
        str,
        typer.Option(
            help="The address to listen at; 0.0.0.0 lets in everybody who can reach this machine."
        ),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port to listen at.")] = 7860,
) -> None:
    """Serve a page to play with: prompt and settings in, and every step shown as it is taken.

    It needs the extra demo. Ctrl-C ends it.
    """
    if find_spec("gradio") is None:
        raise InputError('the demo needs Gradio: expected pip install --editable ".[demo]" before')
    from janus_minimal.demo.serve import serving

    pipe = load_pipeline(checkpoint, vae, dtype, device)
    with serving(pipe, checkpoint, host, port) as address:
        typer.echo(f"open {address} in a browser; Ctrl-C ends the demo")
        Event().wait()
