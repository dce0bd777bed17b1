"""Training examples: captions, and the scenes that they describe.

Example i is drawn from (seed, i) alone. So captions and scenes can be drawn at different times, by
different processes, and still belong together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from janus_minimal.shapes.caption import CATEGORIES, Caption, draw_caption
from janus_minimal.shapes.evaluate import fresh_captions
from janus_minimal.shapes.tokenizer import build_tokenizer
from janus_minimal.shapes.vae import draw_scenes, pictures
from janus_minimal.training.tokenizer import tokenize

# Hard categories are drawn more often: which colour belongs to which shape is learned last, and only
# captions with two kinds of things teach it. The counts add up to 20.
MIXTURE = (
    *("single object",),
    *("colours",) * 2,
    *("two objects",) * 3,
    *("position",) * 4,
    *("counting",) * 5,
    *("colour attribution",) * 5,
)


def draw_example(index: int, seed: int) -> tuple[Caption, np.random.Generator]:
    """Return the caption of one example, and the generator that then draws its scene.

    >>> caption, rng = draw_example(0, seed=0)
    >>> scene = caption.draw(rng)
    >>> caption.holds(scene)
    True
    """
    rng = np.random.default_rng((seed, 2, index))
    return draw_caption(MIXTURE[index % len(MIXTURE)], rng), rng


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


def tokenize_examples(tokenizer: PreTrainedTokenizerBase, number: int, seed: int) -> list[Tensor]:
    """Return the token ids of the first `number` captions in the chat template."""
    return tokenize(tokenizer, SmallWorld(number, seed).captions)
