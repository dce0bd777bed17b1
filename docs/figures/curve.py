"""Which loss is normal at which step: python docs/figures/curve.py (half an hour on one thread)

Writes data/training-curve.json. All are means over 100 steps. "bundled": the losses of the bundled flow were kept as a
picture only, so they are read back from its dark line. "again": the first steps of the same recipe, on the bundled VAE and
today's scenes. "shipped": the loss of the shipped weights, on the first batches that such a run draws.
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
from PIL import Image
from torch import Tensor

from janus_minimal import JanusFlowPipeline
from janus_minimal.shapes.examples import SmallWorld
from janus_minimal.shapes.run import EXAMPLES
from janus_minimal.training.batch import draw_batch
from janus_minimal.training.flow import train_flow
from janus_minimal.training.loss import flow_loss
from janus_minimal.training.small import FLOW_RECIPE, build_flow
from janus_minimal.training.source import encode_examples
from janus_minimal.training.tokenizer import tokenize

PICTURE = Path(__file__).parents[1] / "pictures" / "flow-loss.png"
LINE = (0, 114, 178)  # the colour of the mean
SMOOTH = 100  # steps of a mean
BUNDLED, AGAIN = (100, 300, 1_000, 3_000, 10_000, 23_900), (100, 300, 1_000)


def main() -> None:
    """Read the picture, train the first steps again, and judge the shipped weights."""
    pipe, world = JanusFlowPipeline.from_pretrained("shapes"), SmallWorld(EXAMPLES, FLOW_RECIPE.seed)
    latents, ids = encode_examples(pipe.vae, world), tokenize(world.tokenizer, world.captions)
    losses = first_losses(latents, ids, pipe.tokenizer)
    found: dict[str, Any] = {"bundled": {str(step): read_picture(step) for step in BUNDLED}}
    found["again"] = {str(step): float(np.mean(losses[step - SMOOTH : step])) for step in AGAIN}
    found |= {"again, lowest of 900 to 1,000": min(losses[900:]), "again, highest of 900 to 1,000": max(losses[900:])}
    found["shipped"] = float(np.mean([shipped_loss(pipe, step, ids, latents) for step in range(SMOOTH)]))
    (DATA / "training-curve.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def read_picture(step: int) -> float:
    """Return the loss where the dark line stands. Axes are logarithmic, with long ticks at powers of ten."""
    pixels = np.asarray(Image.open(PICTURE).convert("RGB")).astype(int)
    dark = pixels.sum(axis=2) < 200
    left, bottom = dark.sum(axis=0).argmax(), np.flatnonzero(dark.mean(axis=1) > 0.5).max()
    x, y = np.flatnonzero(dark[bottom + 5]), np.flatnonzero(dark[:, left - 5])  # of 1, 10, ..., and of 1, 0.1
    column = round(x[0] + (x[-1] - x[0]) / (len(x) - 1) * np.log10(step))
    line = np.flatnonzero(np.abs(pixels[:, column] - LINE).sum(axis=1) < 60)
    return float(10 ** ((line.mean() - y[0]) / (y[0] - y[1])))


def first_losses(latents: Tensor, ids: Sequence[Tensor], tokenizer: Any) -> list[float]:
    """Return the losses of the first steps of the bundled model's recipe."""
    recipe = replace(FLOW_RECIPE, save_every=max(AGAIN))
    torch.manual_seed(recipe.seed)  # of the initial weights
    model = build_flow(len(tokenizer))
    with TemporaryDirectory() as folder:
        state = Path(folder) / "flow.training.safetensors"
        try:
            train_flow(model, latents, ids, tokenizer.pad_token_id, state, Accelerator(cpu=True), stop, recipe)
        except EnoughError as enough:
            return enough.losses
    raise AssertionError("the recipe has fewer steps")


class EnoughError(Exception):
    """The losses of a run that need not go on."""

    def __init__(self, losses: list[float]):
        self.losses = losses


def stop(_: Any, losses: list[float]) -> None:
    """End the training at its first save."""
    raise EnoughError(losses)


@torch.no_grad()
def shipped_loss(pipe: JanusFlowPipeline, step: int, ids: Sequence[Tensor], latents: Tensor) -> float:
    """Return the loss of the shipped weights on the batch of a step."""
    batch = draw_batch(step, ids, latents, FLOW_RECIPE.batch_size, FLOW_RECIPE.seed)
    return flow_loss(pipe.model, batch, pipe.tokenizer.pad_token_id).item()


if __name__ == "__main__":
    main()
