"""Evaluation: how often does a generated picture show what its caption says?

Fresh captions of every category are drawn, a picture is made for each, and the scorer reads from its
pixels whether the caption is true. This is GenEval's method (arXiv 2310.11513), with a scorer whose
error rate on drawn scenes is known.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from PIL import Image

from janus_minimal.errors import InputError
from janus_minimal.jobs.identity import identity
from janus_minimal.pipeline import JanusFlowPipeline
from janus_minimal.runtime.checks import MOST_IMAGES, whole_number
from janus_minimal.shapes.caption import CATEGORIES, Caption, draw_caption
from janus_minimal.shapes.report import Answers, Evaluation
from janus_minimal.shapes.scene import SIDE
from janus_minimal.shapes.score import satisfies

BATCH = 50  # captions at a time


def check_size(pipe: JanusFlowPipeline) -> None:
    """Raise InputError unless the pipeline draws pictures of the size of the small world's.

    The scorer lays the outlines of drawn scenes over a picture, pixel on pixel. A model of another
    size draws for minutes before that is found.
    """
    side = pipe.model.config.image_size
    if side != SIDE:
        raise InputError(
            f"the model draws pictures of {side} x {side}: "
            f"expected the {SIDE} x {SIDE} of the small world, which the scorer reads"
        )


def score_pipeline(
    pipe: JanusFlowPipeline,
    captions: int,
    steps: int,
    cfg_weight: float,
    seed: int,
    advance: Callable[[int], object] = lambda pictures: None,
) -> Evaluation:
    """Score `captions` pictures of each category.

    Every picture has a noise of its own, drawn from (seed, category, number), so the scores do not
    depend on how many pictures are made at a time. `advance` is called after each batch with the
    number of pictures in it; a progress bar's `update` will do.

    Raises InputError for no captions, and for a model of pictures of another size.
    """
    whole_number("captions", captions, MOST_IMAGES)
    check_size(pipe)
    parts = {}
    for index, category in enumerate(CATEGORIES):
        asked = fresh_captions(category, captions, seed)
        noises = [generator_of(seed, index, i) for i in range(captions)]
        right: list[bool] = []
        for first in range(0, captions, BATCH):
            some, generators = asked[first : first + BATCH], noises[first : first + BATCH]
            texts = [str(caption) for caption in some]
            pictures = pipe(texts, steps, cfg_weight, generator=generators, progress=False).images
            right += are_satisfied(pictures, some)
            advance(len(some))
        parts[category] = Answers([str(caption) for caption in asked], right)
    return Evaluation(parts, seed, steps, cfg_weight, identity(pipe))


def fresh_captions(category: str, number: int, seed: int) -> list[Caption]:
    """Return random captions from a stream of random numbers that training does not use."""
    rng = np.random.default_rng((seed, 3, CATEGORIES.index(category)))
    return [draw_caption(category, rng) for _ in range(number)]


def count_satisfied(pictures: Sequence[Image.Image], captions: Sequence[Caption]) -> int:
    """Return how many of the pictures show what their captions say."""
    return sum(are_satisfied(pictures, captions))


def are_satisfied(pictures: Sequence[Image.Image], captions: Sequence[Caption]) -> list[bool]:
    """Return of each picture whether it shows what its caption says."""
    pairs = zip(pictures, captions, strict=True)
    return [satisfies(np.asarray(picture), caption) for picture, caption in pairs]


def generator_of(*seeds: int) -> torch.Generator:
    """Return PyTorch's generator for several seeds, mixed by NumPy so that none is like another."""
    return torch.Generator().manual_seed(int(np.random.SeedSequence(seeds).generate_state(1)[0]))
