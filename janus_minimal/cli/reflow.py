"""The command reflow: a student of the small model that needs few steps and no guidance."""

from pathlib import Path
from typing import Annotated

import typer

from janus_minimal.cli.names import folder_option
from janus_minimal.cli.options import TrainDeviceOption
from janus_minimal.cli.train import MOST, changed
from janus_minimal.runtime.device import pick_device


def reflow(
    out: Annotated[
        Path,
        folder_option(help="The directory of the run. An interrupted run continues there."),
    ],
    student: Annotated[
        str,
        typer.Option(help="The checkpoint the student begins with: shapes, or an earlier student."),
    ] = "shapes",
    pairs: Annotated[
        int | None, typer.Option(min=1, max=MOST, help="The number of pairs of noise and picture.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, max=MOST, help="Training steps.")] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, max=2**16, help="The number of pairs in one step.")
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(min=1e-9, max=1.0, help="The highest learning rate.")
    ] = None,
    save_every: Annotated[
        int | None, typer.Option(min=1, max=MOST, help="Steps between two checkpoints.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, max=2**40, help="The seed of the whole run.")
    ] = None,
    device: TrainDeviceOption = None,
) -> None:
    """Train a student of the bundled model that draws in few steps and without guidance.

    Options that are left out have the values of REFLOW_RECIPE in shapes/reflow.py.
    """
    where = pick_device(device)
    from accelerate import Accelerator

    from janus_minimal.runtime.processes import begin_together
    from janus_minimal.shapes.reflow import REFLOW_RECIPE, train_few

    recipe = changed(
        REFLOW_RECIPE,
        pairs=pairs,
        steps=steps,
        batch_size=batch_size,
        learning_rate=learning_rate,
        save_every=save_every,
        seed=seed,
    )
    accelerator = begin_together(Accelerator, where, mixed_precision="no")
    train_few(out, accelerator, recipe, student)
