"""How good are the pictures? Fresh captions of every category, drawn, made into pictures, and scored from pixels."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from janus_minimal.pipeline import JanusFlowPipeline
from janus_minimal.shapes.caption import CATEGORIES, Caption, draw_caption
from janus_minimal.shapes.score import satisfies

BATCH = 50  # captions at a time


@dataclass(frozen=True)
class Evaluation:
    """Scores by category, each the share of pictures that satisfy their caption, and what they were measured with."""

    scores: dict[str, float]
    captions: int  # of each category
    seed: int
    steps: int
    cfg_weight: float

    @property
    def overall(self) -> float:
        """The mean over the categories."""
        return sum(self.scores.values()) / len(self.scores)

    def to_table(self) -> str:
        """The report as a Markdown table."""
        head = f"{self.captions} captions each, {self.steps} steps, guidance {self.cfg_weight:g}, seed {self.seed}"
        rows = [*self.scores.items(), ("**overall**", self.overall)]
        width = max(len(head), *(len(name) for name, _ in rows))
        lines = [(head, "score"), ("-" * width, "----:"), *((name, f"{score:5.3f}") for name, score in rows)]
        return "\n".join(f"| {left:<{width}} | {right} |" for left, right in lines)

    def to_dict(self) -> dict[str, Any]:
        """The report as it is written to JSON."""
        return {
            "overall": self.overall,
            "categories": {name: {"score": score, "captions": self.captions} for name, score in self.scores.items()},
            "seed": self.seed,
            "steps": self.steps,
            "cfg_weight": self.cfg_weight,
        }


def score_pipeline(
    pipe: JanusFlowPipeline,
    captions: int,
    steps: int,
    cfg_weight: float,
    seed: int,
    advance: Callable[[int], object] = lambda pictures: None,
) -> Evaluation:
    """Score `captions` pictures of each category; `advance` is told how many pictures have been made since."""
    scores = {}
    for index, category in enumerate(CATEGORIES):
        asked = fresh_captions(category, captions, seed)
        kept = 0
        for first in range(0, captions, BATCH):
            some = asked[first : first + BATCH]
            generators = [_generator(seed, index, i) for i in range(first, first + len(some))]
            pictures = pipe([str(c) for c in some], steps, cfg_weight, generator=generators, progress=False).images
            kept += sum(
                satisfies(np.asarray(picture), caption) for picture, caption in zip(pictures, some, strict=True)
            )
            advance(len(some))
        scores[category] = kept / captions
    return Evaluation(scores, captions, seed, steps, cfg_weight)


def fresh_captions(category: str, number: int, seed: int) -> list[Caption]:
    """Captions drawn anew, from a stream that training does not use."""
    rng = np.random.default_rng((seed, 3, CATEGORIES.index(category)))
    return [draw_caption(category, rng) for _ in range(number)]


def _generator(*seeds: int) -> torch.Generator:
    return torch.Generator().manual_seed(int(np.random.SeedSequence(seeds).generate_state(1)[0]))
