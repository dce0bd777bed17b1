"""The command line, one file a command: generate, edit, decode, evaluate, sweep, bench, inspect, train.

PyTorch and all that needs it are imported inside functions, so that help and refusals appear at once.
"""

import typer

from janus_minimal.cli import bench, decode, edit, evaluate, generate, inspect, sweep, train
from janus_minimal.errors import InputError

INTERRUPTED = 130  # typer's status after Ctrl-C

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def janus_minimal() -> None:
    """JanusFlow, step by step: make pictures from captions."""


app.command()(generate.generate)
app.command()(edit.edit)
app.command()(decode.decode)
app.command()(evaluate.evaluate)
app.command()(sweep.sweep)
app.command()(bench.bench)
app.command()(inspect.inspect)
app.command()(train.train)


def main() -> None:
    """Run the command line. An InputError becomes one line and status 2, Ctrl-C one line and status 130."""
    try:
        app()
    except InputError as error:
        typer.echo(f"janus-minimal: {error}", err=True)
        raise SystemExit(2) from None
    except SystemExit as stop:
        if stop.code == INTERRUPTED:
            typer.echo("\njanus-minimal: interrupted; no file was left half written", err=True)
        raise
