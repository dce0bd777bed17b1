"""The command train: the small model, from random weights to a checkpoint."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from janus_minimal.runtime.device import pick_device
from janus_minimal.training.recipe import Recipe

AnyRecipe = TypeVar("AnyRecipe", bound=Recipe)

MOST = 10**7  # steps or scenes: beyond what anybody trains the small model on


def train(
    out: Annotated[
        Path, typer.Option(help="The directory of the run. An interrupted run continues there.")
    ],
    steps: Annotated[
        int | None, typer.Option(min=1, max=MOST, help="Training steps of the flow.")
    ] = None,
    vae_steps: Annotated[
        int | None, typer.Option(min=1, max=MOST, help="Training steps of the VAE.")
    ] = None,
    examples: Annotated[
        int | None,
        typer.Option(min=1, max=MOST, help="The number of scenes that the flow learns from."),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, max=2**16, help="The number of scenes in one step.")
    ] = None,
    save_every: Annotated[
        int | None, typer.Option(min=1, max=MOST, help="Steps between two checkpoints.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, max=2**40, help="The seed of the whole run.")
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(help="cpu: do not use the accelerator of this machine, if there is one."),
    ] = None,
) -> None:
    """Train the small model, VAE and flow, from random weights.

    Options that are left out have the values that trained the bundled model.
    """
    where = pick_device(device)
    from accelerate import Accelerator

    from janus_minimal.shapes.flow import FLOW_RECIPE
    from janus_minimal.shapes.run import EXAMPLES, train_all
    from janus_minimal.shapes.vae import VAE_RECIPE

    shared = {"batch_size": batch_size, "save_every": save_every, "seed": seed}
    vae_recipe, flow_recipe = (
        changed(VAE_RECIPE, steps=vae_steps, **shared),
        changed(FLOW_RECIPE, steps=steps, **shared),
    )
    accelerator = Accelerator(cpu=where.type == "cpu", mixed_precision="no")
    train_all(out, accelerator, vae_recipe, flow_recipe, EXAMPLES if examples is None else examples)


def changed(recipe: AnyRecipe, **fields: int | None) -> AnyRecipe:
    """Return the recipe with those fields replaced that are not None."""
    return replace(recipe, **{name: value for name, value in fields.items() if value is not None})
