"""The trainings of the chapter on exchanged parts: python docs/figures/parts.py measures what data/parts.json lacks.

Both run the classes that stand on the page. One thread needs about two minutes for each.
"""

from collections.abc import Callable
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from PIL import Image, ImageFilter
from recipes import measured, run_page
from torch import Tensor

from janus_minimal import JanusFlow, JanusFlowPipeline, PromptPair, denoise, time_grid
from janus_minimal.loading.vae import encode_picture
from janus_minimal.pipeline import image_noise
from janus_minimal.prompt import TEMPLATE
from janus_minimal.shapes.caption import Caption
from janus_minimal.shapes.examples import draw_example
from janus_minimal.shapes.render import render
from janus_minimal.shapes.scene import COLOURS, SHAPES
from janus_minimal.shapes.score import detect
from janus_minimal.shapes.vae import encode_scenes
from janus_minimal.training.batch import LOGIT_MEAN, LOGIT_STD, PROMPT_DROPOUT, Batch
from janus_minimal.training.loop import fit
from janus_minimal.training.loss import flow_loss
from janus_minimal.training.recipe import Recipe

SEED = 11
RECIPE = Recipe(steps=200, batch_size=16, learning_rate=1e-3, warmup=10, average=0.95)
EXAMPLES, SCENES = 400, 200
NOISES = 4  # pictures of each shape and colour

Set = Callable[[JanusFlow, Tensor], None]


def drawn(step: int, ids: list[Tensor], latents: Tensor) -> tuple[Batch, Tensor]:
    """Return the batch of one step, as draw_batch does, and which examples it holds."""
    generator = torch.Generator().manual_seed(step)
    chosen = torch.randint(len(ids), (RECIPE.batch_size,), generator=generator)
    z_1 = latents[chosen]
    z_0, normal = torch.randn(z_1.shape, generator=generator), torch.randn(len(z_1), generator=generator)
    dropped = torch.rand(len(z_1), generator=generator) < PROMPT_DROPOUT
    t = (LOGIT_MEAN + LOGIT_STD * normal).sigmoid()
    return Batch([ids[i] for i in chosen], z_0, z_1, t, dropped), chosen


def trained(model: JanusFlow, ids: list[Tensor], latents: Tensor, condition: Set, pad_id: int) -> JanusFlow:
    """Train all weights; `condition` is told before each step which examples the batch holds."""

    # begin: features
    def loss(network: JanusFlow, step: int) -> Tensor:
        batch, chosen = drawn(step, ids, latents)
        condition(network, chosen)  # network.features = features[chosen]
        return flow_loss(network, batch, pad_id)

    # end: features
    with TemporaryDirectory() as folder:
        state, report = Path(folder, "state.safetensors"), lambda *given: None
        return fit(model, loss, RECIPE, state, Accelerator(cpu=True), report).eval()


def token_ids(pipe: JanusFlowPipeline, text: str) -> Tensor:
    return torch.tensor(pipe.tokenizer.encode(TEMPLATE.format(prompt=text)))


def measure_referring(page: dict[str, Any]) -> dict[str, Any]:
    """Count pictures whose colour is that of the feature, before and after training."""
    pipe, rng = page["pipe"], np.random.default_rng(SEED)
    pairs = [(COLOURS[rng.integers(6)], SHAPES[rng.integers(5)]) for _ in range(EXAMPLES)]
    latents = encode_scenes(pipe.vae, [Caption((pair,)).draw(rng) for pair in pairs])
    features = torch.eye(6)[[COLOURS.index(colour) for colour, _ in pairs]]
    ids = [with_place(token_ids(pipe, f"a {shape}")) for _, shape in pairs]
    torch.manual_seed(SEED)
    model = page["Referring"](pipe.model.config, 6).eval()
    model.load_state_dict(pipe.model.state_dict(), strict=False)
    before = coloured(pipe, model)
    learned = trained(
        model, ids, latents, lambda m, i: setattr(m, "features", features[i]), pipe.tokenizer.pad_token_id
    )
    after = coloured(pipe, learned)
    told = {"steps": RECIPE.steps, "batch size": RECIPE.batch_size, "pictures": 30 * NOISES}
    return told | {"before": before[0], "after": after[0], "one thing": after[1]}


def with_place(ids: Tensor) -> Tensor:
    return torch.cat([ids[:-1], ids[-1:], ids[-1:]])


@torch.no_grad()
def coloured(pipe: JanusFlowPipeline, model: JanusFlow) -> tuple[int, int]:
    """Count pictures with one thing in the asked colour, and with one thing of the asked shape."""
    right = alone = 0
    noise = image_noise(pipe.latent_shape, NOISES, torch.Generator().manual_seed(SEED))
    for (index, colour), shape in product(enumerate(COLOURS), SHAPES):
        ids = with_place(token_ids(pipe, f"a {shape}"))
        pair = PromptPair.from_ids([ids], NOISES, pipe.tokenizer.pad_token_id)
        model.features = torch.eye(6)[[index]]
        *_, last = denoise(model, pair, noise, time_grid(8))
        seen = [detect(np.asarray(picture)) for picture in pipe.to_pictures(last.z_next)]
        right += sum({thing.colour for thing in things} == {colour} for things in seen)
        alone += sum([thing.shape for thing in things] == [shape] for things in seen)
    return right, alone


def measure_aligned(page: dict[str, Any]) -> dict[str, Any]:
    """Ask for the loss on new scenes with their own map, another scene's, and none."""
    pipe = page["pipe"]
    ids, latents, maps = scenes_with_maps(pipe, range(EXAMPLES))
    new = scenes_with_maps(pipe, range(EXAMPLES, EXAMPLES + SCENES))
    torch.manual_seed(SEED)
    model = page["Aligned"](pipe.model.config).eval()
    model.load_state_dict(pipe.model.state_dict(), strict=False)
    before = losses(model, *new, pipe.tokenizer.pad_token_id)

    def condition(network: JanusFlow, chosen: Tensor) -> None:
        kept = chosen % 10 > 0  # a tenth of the examples shows no map
        network.map = maps[chosen] * kept[:, None, None, None]

    learned = trained(model, ids, latents, condition, pipe.tokenizer.pad_token_id)
    told = {"steps": RECIPE.steps, "batch size": RECIPE.batch_size, "scenes": SCENES}
    return told | {"before": before, "after": losses(learned, *new, pipe.tokenizer.pad_token_id)}


def scenes_with_maps(pipe: JanusFlowPipeline, numbers: range) -> tuple[list[Tensor], Tensor, Tensor]:
    """Return token ids, latents and the latents of the edges."""
    examples = [draw_example(i, SEED) for i in numbers]
    scenes = [caption.draw(rng) for caption, rng in examples]
    edges = [Image.fromarray(render(scene)).filter(ImageFilter.FIND_EDGES) for scene in scenes]
    maps = torch.cat([encode_picture(pipe.vae, each, pipe.model.config.image_size) for each in edges])
    ids = [token_ids(pipe, str(caption)) for caption, _ in examples]
    return ids, encode_scenes(pipe.vae, scenes), maps


@torch.no_grad()
def losses(model: JanusFlow, ids: list[Tensor], latents: Tensor, maps: Tensor, pad_id: int) -> dict[str, float]:
    """Return the loss by kind of map, at the same times and noises."""
    generator = torch.Generator().manual_seed(SEED)
    t = (LOGIT_MEAN + LOGIT_STD * torch.randn(len(ids), generator=generator)).sigmoid()
    z_0 = torch.randn(latents.shape, generator=generator)
    batch, found = Batch(ids, z_0, latents, t, torch.zeros(len(ids), dtype=torch.bool)), {}
    for name, given in {"none": torch.zeros_like(maps), "own": maps, "another": maps.roll(1, 0)}.items():
        model.map = given
        found[name] = flow_loss(model, batch, pad_id).item()
    return found


if __name__ == "__main__":
    code = run_page("parts.md")
    measured("parts", "referring", lambda: measure_referring(code))
    measured("parts", "aligned", lambda: measure_aligned(code))
