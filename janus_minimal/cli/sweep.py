"""The command sweep: what steps, solver, weight and time grid are worth on the small world."""

import os
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Annotated

import typer

from janus_minimal.cli.names import file_option
from janus_minimal.cli.outputs import check_outputs
from janus_minimal.cli.say import say
from janus_minimal.cli.write import write_json
from janus_minimal.loading.atomic import held

STEPS = [2, 4, 8, 16, 30]
SOLVERS = ["euler", "midpoint", "adams-bashforth"]
WEIGHTS = [1.0, 2.0, 4.0, 8.0]
SHIFTS = [1.0, 3.0]


def sweep(
    steps: Annotated[
        list[int], typer.Option(help="Repeat the option to try several values.")
    ] = STEPS,
    solver: Annotated[
        list[str], typer.Option(help="euler, midpoint, heun, adams-bashforth.")
    ] = SOLVERS,
    cfg_weight: Annotated[list[float], typer.Option(help="Repeat it, too.")] = WEIGHTS,
    shift: Annotated[
        list[float], typer.Option(min=0.01, max=100.0, help="Repeat it, too.")
    ] = SHIFTS,
    captions: Annotated[
        int, typer.Option(min=1, max=100_000, help="The number of new captions in each category.")
    ] = 8,
    seed: Annotated[
        int, typer.Option(min=0, max=2**62, help="The seed of the captions and of the noise.")
    ] = 0,
    checkpoint: Annotated[
        str, typer.Option(help='"shapes", or a directory of a model that the command train made.')
    ] = "shapes",
    processes: Annotated[
        int | None,
        typer.Option(
            min=1, max=1024, help="Each computes on one core; left out: as many as there are."
        ),
    ] = None,
    json_file: Annotated[
        Path,
        file_option("--json", help="The report. What it already holds is not measured again."),
    ] = Path("sweep.json"),
) -> None:
    """Try all combinations of steps, solver, weight and shift: score, exactness and cost.

    An interrupted sweep continues. A sweep of other values into the same file adds to it.
    """
    check_outputs([json_file], [checkpoint])
    from tqdm.auto import tqdm

    from janus_minimal.shapes.sweep import (
        Setting,
        begin_sweep,
        read_sweep,
        run_sweep,
        together_with,
    )

    report = begun = read_sweep(json_file, begin_sweep(checkpoint, captions, seed))
    settings = [Setting(*values) for values in product(steps, solver, cfg_weight, shift)]
    with tqdm(total=len(begun.missing(settings)), unit="setting") as bar:
        for report in run_sweep(begun, settings, processes or os.cpu_count() or 1):
            with held(json_file):
                report = together_with(json_file, report)
                write_json(json_file, asdict(report))
            bar.update()
    typer.echo(report.to_table())
    say(f"{len(report.runs)} settings: {json_file}", err=True)
