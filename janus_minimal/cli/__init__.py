"""The command line, one file a command: generate, edit, demo, decode, evaluate, compare, sweep, bench,
inspect, train, reflow.

PyTorch and all that needs it are imported inside functions, so that help and refusals appear at once.
"""

import os
import sys
import warnings
from typing import Any

import typer

from janus_minimal.cli import (
    bench,
    compare,
    decode,
    demo,
    edit,
    evaluate,
    generate,
    inspect,
    reflow,
    sweep,
    train,
)
from janus_minimal.errors import InputError, one_line

INTERRUPTED = 130  # the usual status after Ctrl-C
UsageError: Any = typer.BadParameter.__base__  # of every wrong option; typer does not export it
OUT_OF_MEMORY = ("out of memory", "not enough memory", "can't allocate memory", "Cannot allocate")
NO_MEMORY = "the memory is too small: expected fewer pictures at a time, or a smaller batch"
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def janus_minimal() -> None:
    """JanusFlow, step by step: make pictures from captions."""


app.command()(generate.generate)
app.command()(edit.edit)
app.command()(demo.demo)
app.command()(decode.decode)
app.command()(evaluate.evaluate)
app.command()(compare.compare)
app.command()(sweep.sweep)
app.command()(bench.bench)
app.command()(inspect.inspect)
app.command()(train.train)
app.command()(reflow.reflow)


def main() -> None:
    """Run the command line. Whatever goes wrong is one line: status 2 for the user, 130 for Ctrl-C."""
    for library in ("TRANSFORMERS", "DIFFUSERS"):
        os.environ.setdefault(f"{library}_VERBOSITY", "error")  # their remarks quote the checkpoint
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: _say_warning(message)
        raise SystemExit(_run(sys.argv[1:] or ["--help"]))


def _run(arguments: list[str]) -> int:
    try:
        status = app(arguments, standalone_mode=False) or 0
    except InputError as error:
        return _say(str(error), 2)
    except UsageError as error:
        return _say(f"{error.format_message()} (--help shows the options)", error.exit_code)
    except (MemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        return _say(f"{NO_MEMORY} ({one_line(error, 100)})", 2)
    except (KeyboardInterrupt, typer.Abort):
        status = INTERRUPTED
    if status == INTERRUPTED:
        return _say("interrupted; no file was left half written", status)
    return status


def _is_out_of_memory(error: MemoryError | RuntimeError) -> bool:
    """Return whether memory ended. torch says so in a RuntimeError, with other words on each device."""
    return isinstance(error, MemoryError) or any(words in str(error) for words in OUT_OF_MEMORY)


def _say(message: str, status: int) -> int:
    typer.echo(f"janus-minimal: {one_line(message)}", err=True)
    return status


def _say_warning(message: Warning | str) -> None:
    """Show a warning without the line of code that Python adds, which is of no use to a user."""
    typer.echo(f"janus-minimal: warning: {one_line(message)}", err=True)
