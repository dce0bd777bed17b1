"""The small world as a source, and the run that trained the bundled model on it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from accelerate import Accelerator
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from janus_minimal.shapes.caption import CATEGORIES
from janus_minimal.shapes.evaluate import fresh_captions
from janus_minimal.shapes.examples import draw_example
from janus_minimal.shapes.tokenizer import build_tokenizer
from janus_minimal.shapes.vae import draw_scenes, pictures
from janus_minimal.training.recipe import Recipe
from janus_minimal.training.run import train_checkpoint
from janus_minimal.training.small import FLOW_RECIPE, VAE_RECIPE

EXAMPLES = 60_000  # scenes that the flow learns from


@dataclass(frozen=True)
class SmallWorld:
    """The first examples of a seed: a `Source`. Pictures are drawn when they are asked for."""

    examples: int
    seed: int

    @property
    def about(self) -> Mapping[str, int]:
        """Return the number of examples; the seed is a setting of the flow."""
        return {"examples": self.examples}

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """Return the tokenizer of 33 tokens."""
        return build_tokenizer()

    @cached_property
    def captions(self) -> Sequence[str]:
        """Return the captions of all examples."""
        return [str(draw_example(i, self.seed)[0]) for i in range(self.examples)]

    @property
    def shown(self) -> Sequence[str]:
        """Return four captions of each category, which need not be among the examples."""
        return [str(c) for category in CATEGORIES for c in fresh_captions(category, 4, seed=1)]

    def pictures(self, numbers: range) -> Float[Tensor, "n 3 S S"]:
        """Return the scenes of these examples, rendered."""
        drawn = (draw_example(i, self.seed) for i in numbers)
        return pictures([caption.draw(rng) for caption, rng in drawn])

    def draw(self, number: int, seed: Sequence[int]) -> Float[Tensor, "number 3 S S"]:
        """Return scenes of all categories, rendered; the VAE never sees one twice."""
        return pictures(draw_scenes(number, seed))


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
