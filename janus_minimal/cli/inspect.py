"""The command inspect: what a checkpoint consists of."""

from typing import Annotated

import typer


def inspect(
    checkpoint: Annotated[
        str,
        typer.Argument(
            help='"shapes" or "shapes-few", a directory in the official layout, or a hub repository.'
        ),
    ] = "shapes",
) -> None:
    """Print the module tree: official key names, shapes, numbers of parameters."""
    from rich import print as rich_print

    from janus_minimal.figures.module_tree import module_tree
    from janus_minimal.model import JanusFlow

    rich_print(module_tree(JanusFlow.from_pretrained(checkpoint), checkpoint))
