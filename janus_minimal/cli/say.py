"""What a command says: one line, whatever the names of the files in it are.

A file's name may hold any byte: line breaks, which make one line look like two, and sequences that
recolour a terminal or rewrite its title. A message about an error loses them (`errors.one_line`).
The name of a file that was written is needed to find it, so here each of them is shown by its escape.
"""

import typer


def say(line: str, err: bool = False) -> None:
    r"""Print a line, on standard error if asked, with all that cannot be seen as Python writes it: "\x1b"."""
    typer.echo("".join(map(_visible, line)), err=err)


def _visible(character: str) -> str:
    return character if character.isprintable() else repr(character)[1:-1]
