"""The command compare: is one evaluation better than another, or is it chance?"""

from pathlib import Path
from typing import Annotated

import typer

from janus_minimal.cli.names import file_option
from janus_minimal.cli.outputs import check_outputs
from janus_minimal.cli.write import write_json


def compare(
    a: Annotated[Path, typer.Argument(help="A report that evaluate --json wrote.")],
    b: Annotated[Path, typer.Argument(help="Another one, of the same seed and captions.")],
    json_file: Annotated[
        Path | None,
        file_option("--json", help="Write the comparison to this file, too."),
    ] = None,
) -> None:
    """Compare two evaluations of the same captions, picture by picture."""
    check_outputs([json_file], [a, b])
    from janus_minimal.shapes.compare import compare as by_picture
    from janus_minimal.shapes.report import read_evaluation

    found = by_picture(read_evaluation(a), read_evaluation(b))
    if json_file is not None:
        write_json(json_file, found.to_dict())
    typer.echo(found.to_table())
