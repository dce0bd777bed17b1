"""The command demo: a page in the browser, to try prompts and settings and to watch each step."""

import os
from importlib.util import find_spec
from threading import Event
from typing import Annotated

import typer

from janus_minimal.cli.generate import load_pipeline
from janus_minimal.cli.options import CheckpointOption, DeviceOption, DtypeOption, VaeOption
from janus_minimal.cli.say import say
from janus_minimal.errors import InputError

KEPT = {"GRADIO_TEMP_DIR", "GRADIO_ROOT_PATH"}


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
    pipe = load_pipeline(checkpoint, vae, dtype, device)
    _forget_settings_of_gradio()  # it reads some of them when it is imported
    from janus_minimal.demo.serve import serving

    with serving(pipe, checkpoint, host, port) as address:
        say(f"open {address} in a browser; Ctrl-C ends the demo")
        Event().wait()


def _forget_settings_of_gradio() -> None:
    """Remove the variables that change what Gradio serves, where, and to whom: the options say that.

    Another program's GRADIO_ALLOWED_PATHS would give the files of this machine to whoever asks. And
    no proxy is needed from here on: Gradio asks its own address whether it serves.

    Two stay, which no option stands for: where its temporary files lie, and below which path another
    server shows the page.
    """
    for name in {name for name in os.environ if name.startswith("GRADIO_")} - KEPT:
        del os.environ[name]
    os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "no_proxy": "*"}
