"""Training examples: captions, and the scenes that they describe.

Example i is drawn from (seed, i) alone. So captions and scenes can be drawn at different times, by
different processes, and still belong together.
"""

import numpy as np
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from janus_minimal.shapes.caption import Caption, draw_caption
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


def tokenize_examples(tokenizer: PreTrainedTokenizerBase, number: int, seed: int) -> list[Tensor]:
    """Return the token ids of the first `number` captions in the chat template."""
    return tokenize(tokenizer, [str(draw_example(i, seed)[0]) for i in range(number)])
