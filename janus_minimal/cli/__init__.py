"""The command line, one file a command: generate, edit, demo, decode, evaluate, compare, sweep, bench,
inspect, train, reflow.

PyTorch and all that needs it are imported inside functions, so that help and refusals appear at once.
"""

import logging
import os
import sys
import warnings
from contextlib import suppress
from io import TextIOWrapper
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
from janus_minimal.errors import InputError, one_line, quoted

INTERRUPTED = 130  # the usual status after Ctrl-C
UsageError: Any = typer.BadParameter.__base__  # of every wrong option; typer does not export it
OUT_OF_MEMORY = (
    *("out of memory", "not enough memory", "can't allocate memory", "Cannot allocate"),
    "bad_alloc",  # of C++
)
NO_MEMORY = "the memory is too small: expected fewer pictures at a time, or a smaller batch"
NO_FILE = "expected a working directory and files that can be read, and an output with room"
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
    """Run the command line. What a user can do wrong is one line: status 2, or 130 for Ctrl-C."""
    _prepare_libraries()
    _prepare_streams()
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: _say_warning(message)
        raise SystemExit(_run(sys.argv[1:] or ["--help"]))


def _prepare_libraries() -> None:
    """Keep libraries quiet, so that an error is one line, and plots in files, whatever MPLBACKEND says."""
    for library in ("TRANSFORMERS", "DIFFUSERS"):
        os.environ.setdefault(f"{library}_VERBOSITY", "error")  # their remarks quote the checkpoint
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it complains of folders and settings
    os.environ["MPLBACKEND"] = "agg"


def _prepare_streams() -> None:
    """Let whatever is said be printed, whatever the streams are.

    Python has None for a stream that was closed (`2>&-`), which progress bars and we would write to.
    And the letters that we print, of the name of a file above all, need not be in the encoding.
    """
    for name in ("stdin", "stdout", "stderr"):  # in this order, each gets its own number: 0, 1, 2
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _run(arguments: list[str]) -> int:
    try:
        os.getcwd()  # in a folder that was deleted, a library of torch ends the process
        status = app(arguments, standalone_mode=False) or 0
    except (InputError, Warning) as error:  # a warning is raised if somebody asks Python for it
        return _say(str(error), 2)
    except UsageError as error:
        return _say(f"{error.format_message()} (--help shows the options)", error.exit_code)
    except (MemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        return _say(f"{NO_MEMORY} ({quoted(error) or type(error).__name__})", 2)
    except OSError as error:
        _drop_what_cannot_be_printed()
        return _say(f"{quoted(error)}; {NO_FILE}", 2)
    except (KeyboardInterrupt, typer.Abort):
        status = INTERRUPTED
    if status == INTERRUPTED:
        return _say("interrupted; no file was left half written", status)
    return status


def _drop_what_cannot_be_printed() -> None:
    """Send the rest of standard output nowhere: Python would try again at its end, and complain."""
    with suppress(OSError):
        sys.stdout.flush()
        return
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _is_out_of_memory(error: MemoryError | RuntimeError) -> bool:
    """Return whether memory ended. torch says so in a RuntimeError, with other words on each device."""
    return isinstance(error, MemoryError) or any(words in str(error) for words in OUT_OF_MEMORY)


def _say(message: str, status: int) -> int:
    with suppress(OSError):  # nobody can be told
        typer.echo(one_line(f"janus-minimal: {message}"), err=True)
    return status


def _say_warning(message: Warning | str) -> None:
    """Show a warning without the line of code that Python adds, which is of no use to a user."""
    typer.echo(one_line(f"janus-minimal: warning: {message}"), err=True)
