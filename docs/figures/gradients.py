"""How large the gradient is, and how often it is clipped: python docs/figures/gradients.py (four minutes, one thread)

Writes data/gradients.json, always anew. "start": the first steps of the bundled flow's recipe, from untrained weights.
"shipped": the gradient at the shipped weights, on the first batches that such a run draws; nothing is learned there.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from canvas import DATA
from torch import Tensor

from janus_minimal import JanusFlow, JanusFlowPipeline
from janus_minimal.shapes.examples import SmallWorld
from janus_minimal.training import loop
from janus_minimal.training.flow import train_flow
from janus_minimal.training.recipe import Recipe
from janus_minimal.training.small import FLOW_RECIPE, build_flow
from janus_minimal.training.source import encode_examples
from janus_minimal.training.tokenizer import tokenize

SCENES = 2000
FIRST, SHIPPED = 300, 50  # steps
PARTS = ((0, 10), (10, 50), (50, 100), (100, 200), (200, 300))


def main() -> None:
    """Train the first steps, then look at the gradient where the bundled training ended."""
    pipe, world = JanusFlowPipeline.from_pretrained("shapes"), SmallWorld(SCENES, FLOW_RECIPE.seed)
    latents, ids = encode_examples(pipe.vae, world), tokenize(world.tokenizer, world.captions)
    torch.manual_seed(FLOW_RECIPE.seed)  # of the initial weights
    start = norms(build_flow(len(pipe.tokenizer)), latents, ids, pipe, replace(FLOW_RECIPE, save_every=FIRST), FIRST)
    still = replace(FLOW_RECIPE, steps=SHIPPED, learning_rate=0.0, weight_decay=0.0)
    shipped = norms(pipe.model, latents, ids, pipe, still, SHIPPED)
    found: dict[str, Any] = {"clip": loop.CLIP, "start": {f"{a} to {b}": told(start[a:b]) for a, b in PARTS}}
    found |= {"first": start[0], "shipped": told(shipped)}
    (DATA / "gradients.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def told(values: Sequence[float]) -> dict[str, Any]:
    """Return the middle and the range of these norms, and how many are above the limit."""
    clipped = sum(value > loop.CLIP for value in values)
    spread = {"median": float(np.median(values)), "least": min(values), "most": max(values)}
    return spread | {"clipped": clipped, "steps": len(values)}


def norms(
    model: JanusFlow, latents: Tensor, ids: Sequence[Tensor], pipe: JanusFlowPipeline, recipe: Recipe, number: int
) -> list[float]:
    """Train so many steps. Return the norm of the gradient of each, before it is clipped."""
    found: list[float] = []

    def keep(step: int, loss: float, norm: float) -> None:
        found.append(norm)
        if len(found) == number:
            raise EnoughError

    check, loop._check_finite = loop._check_finite, keep
    try:
        with TemporaryDirectory() as folder:
            state = Path(folder) / "flow.training.safetensors"
            train_flow(
                model.train(), latents, ids, pipe.tokenizer.pad_token_id, state, Accelerator(cpu=True),
                lambda _, losses: None, recipe,
            )  # fmt: skip
    except EnoughError:
        pass
    finally:
        loop._check_finite = check
    return found


class EnoughError(Exception):
    """The run need not go on."""


if __name__ == "__main__":
    main()
