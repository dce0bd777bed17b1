"""The command inspect: what a checkpoint consists of."""

import sys
from typing import Annotated

import typer

WIDTH = 1000  # of a line in a file: no name is cut


def inspect(
    checkpoint: Annotated[
        str,
        typer.Argument(
            help='"shapes" or "shapes-few", a directory in the official layout, or a hub repository.'
        ),
    ] = "shapes",
) -> None:
    """Print the module tree: official key names, shapes, numbers of parameters."""
    from rich.console import Console

    from janus_minimal.figures.module_tree import module_tree
    from janus_minimal.model import JanusFlow

    tree = module_tree(JanusFlow.from_pretrained(checkpoint), checkpoint)
    # A file has no width, whatever COLUMNS says, and a name that is cut is no official name.
    Console(width=None if sys.stdout.isatty() else WIDTH).print(tree)
