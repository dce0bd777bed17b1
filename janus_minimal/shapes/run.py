"""The run that trained the bundled model, from nothing to a checkpoint in one directory."""

from pathlib import Path

from accelerate import Accelerator

from janus_minimal.shapes.examples import SmallWorld
from janus_minimal.training.recipe import Recipe
from janus_minimal.training.run import train_checkpoint
from janus_minimal.training.small import FLOW_RECIPE, VAE_RECIPE

EXAMPLES = 60_000  # scenes that the flow learns from


def train_all(
    out: Path,
    accelerator: Accelerator,
    vae_recipe: Recipe = VAE_RECIPE,
    flow_recipe: Recipe = FLOW_RECIPE,
    examples: int = EXAMPLES,
) -> None:
    """Train VAE and flow on the small world, in the directory `out`.

    Args:
        out: the directory of the run.
        accelerator: the device, and the processes that share each batch.
        vae_recipe: how to train the VAE.
        flow_recipe: how to train the flow. Its seed also draws the examples.
        examples: the number of scenes that the flow learns from.

    Raises:
        InputError: as `train_checkpoint` does.
    """
    source = SmallWorld(examples, flow_recipe.seed)
    train_checkpoint(out, source, accelerator, vae_recipe, flow_recipe)
