"""The figure of the chapter on fine-tuning: python docs/figures/fine_tuning.py

The bundled model learns a seventh colour and a sixth shape from 200 pictures. Each way to train is measured once, and
kept in data/fine-tuning.json (about a minute of one thread each): python docs/figures/fine_tuning.py measure [WAY ...]
A training that was interrupted goes on from its state, in the folder that TUNING names.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from math import cos, pi, sin
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from canvas import Drawing, figure, main
from diffusers import AutoencoderKL
from PIL import Image
from recipes import DATA, from_text, measured, sheet, to_text
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from janus_minimal import JanusFlow, JanusFlowPipeline, PromptPair, time_grid
from janus_minimal.bench.clock import peak_memory
from janus_minimal.bench.memory import training_memory
from janus_minimal.bench.sizes import random_model, sized
from janus_minimal.config import JanusConfig
from janus_minimal.pipeline import image_noise
from janus_minimal.prompt import TEMPLATE
from janus_minimal.shapes.caption import CATEGORIES, Caption
from janus_minimal.shapes.evaluate import count_satisfied, fresh_captions
from janus_minimal.shapes.examples import draw_example
from janus_minimal.shapes.outline import OUTLINES, REACH, _unit_area
from janus_minimal.shapes.render import PALETTE
from janus_minimal.shapes.scene import COLOURS, RELATIONS, SHAPES, Scene
from janus_minimal.shapes.vae import encode_scenes, pictures
from janus_minimal.solvers import adams_bashforth
from janus_minimal.training.finetune import prepare
from janus_minimal.training.flow import train_flow
from janus_minimal.training.loop import fit
from janus_minimal.training.lora import merge_adapters
from janus_minimal.training.recipe import Recipe
from janus_minimal.training.tuning import Tuning

FOLDER = Path(os.environ.get("TUNING") or tempfile.mkdtemp())
COLOUR, SHAPE = "pink", "heart"
PICTURES = 200
EACH = 16  # captions of each category
STEPS = 8  # of Adams-Bashforth
SEED = 11
WAYS: dict[str, tuple[Tuning, float, bool, int]] = {  # what trains, learning rate, are old pictures mixed in, steps
    "lora, mixed": (Tuning("lora", lora=8), 5e-3, True, 150),
    "lora": (Tuning("lora", lora=8), 5e-3, False, 150),
    "all, mixed": (Tuning("all"), 1e-3, True, 150),
    "all": (Tuning("all"), 1e-3, False, 150),
    "uvit, mixed": (Tuning("uvit"), 1e-3, True, 150),
    "uvit": (Tuning("uvit"), 1e-3, False, 150),
    "all, mixed, longer": (Tuning("all"), 1e-3, True, 600),
}
PROMPT = 20  # tokens of the prompt in the steps whose memory is told
DECODER = Recipe(steps=200, batch_size=16, learning_rate=1e-3, warmup=10, average=0.95, save_every=50)
SHOWN = ("a pink square", "a blue heart", "a pink heart", "a red circle", "a green square above an orange cross")


def recipe(steps: int, rate: float) -> Recipe:
    return Recipe(steps=steps, batch_size=16, learning_rate=rate, warmup=10, average=0.95, save_every=25)


def heart() -> list[tuple[float, float]]:
    """Return the outline of a heart of area 1 around its centre of gravity."""
    angles = [2 * pi * k / 60 for k in range(60)]
    x = np.array([16 * sin(a) ** 3 for a in angles])
    y = np.array([-13 * cos(a) + 5 * cos(2 * a) + 2 * cos(3 * a) + cos(4 * a) for a in angles])
    cross = x * np.roll(y, -1) - np.roll(x, -1) * y  # twice the signed area of the triangles from the origin
    y -= ((y + np.roll(y, -1)) * cross).sum() / (3 * cross.sum())  # it is symmetric in x already
    return _unit_area(list(zip(x.tolist(), y.tolist(), strict=True)))


def widen_the_world() -> None:
    """Let the renderer draw the new colour and shape, and the scorer know them. Old captions are as before."""
    PALETTE[COLOUR] = (226, 120, 160)
    OUTLINES[SHAPE] = heart()
    REACH[SHAPE] = max(float(np.hypot(*point)) for point in OUTLINES[SHAPE])


def new_caption(kind: str, rng: np.random.Generator) -> Caption:
    """Return a caption with something new. A pink heart is in none that training shows."""
    old = (COLOURS[rng.integers(len(COLOURS))], SHAPES[rng.integers(len(SHAPES))])
    pink = (COLOUR, SHAPES[rng.integers(len(SHAPES))])
    hearts = (COLOURS[rng.integers(len(COLOURS))], SHAPE)
    match kind:
        case "new colour":
            return Caption((pink,))
        case "new shape":
            return Caption((hearts,))
        case "new beside old":
            return Caption((pink if rng.random() < 0.5 else hearts, old), relation=list(RELATIONS)[rng.integers(4)])
    return Caption(((COLOUR, SHAPE),))


NEW = ("new colour", "new shape", "new beside old", "both, never shown")


def new_examples() -> list[tuple[Caption, Scene]]:
    rng = np.random.default_rng(SEED)
    captions = [new_caption(NEW[i % 3], rng) for i in range(PICTURES)]
    return [(caption, caption.draw(rng)) for caption in captions]


def old_examples() -> list[tuple[Caption, Scene]]:
    drawn = [draw_example(i, SEED) for i in range(PICTURES)]
    return [(caption, caption.draw(rng)) for caption, rng in drawn]


def with_new_words() -> JanusFlowPipeline:
    """Return the bundled model with two more words. Their vectors are random, as all were before training."""
    pipe = JanusFlowPipeline.from_pretrained("shapes")
    pipe.tokenizer.add_tokens([COLOUR, SHAPE])
    pipe.model.llama.resize_token_embeddings(len(pipe.tokenizer), mean_resizing=False)
    language = replace(pipe.model.config.language, vocab_size=len(pipe.tokenizer))
    pipe.model.config = replace(pipe.model.config, language=language)
    with torch.no_grad():
        nn.init.normal_(pipe.model.llama.embed_tokens.weight[-2:], generator=torch.Generator().manual_seed(SEED))
    return pipe


class Decoder(nn.Module):
    """The VAE's decoder, to be trained alone: latents keep their meaning, so the flow keeps what it knows."""

    def __init__(self, vae: AutoencoderKL):
        super().__init__()
        self.vae = vae.requires_grad_(False)
        vae.decoder.requires_grad_(True)

    def forward(self, latents: Tensor) -> Tensor:
        return self.vae.decode(latents / self.vae.config.scaling_factor).sample


def tuned_vae(vae: AutoencoderKL, folder: Path) -> AutoencoderKL:
    """Teach the decoder the new colour, from new and old pictures. It knows six colours and makes pink purple."""
    scenes = [scene for _, scene in new_examples() + old_examples()]
    latents, x = encode_scenes(vae, scenes), pictures(scenes)

    def loss(network: nn.Module, step: int) -> Tensor:
        chosen = torch.randint(len(x), (DECODER.batch_size,), generator=torch.Generator().manual_seed(step))
        return (network(latents[chosen]) - x[chosen]).abs().mean()

    state = folder / "decoder.safetensors"
    return fit(Decoder(vae), loss, DECODER, state, Accelerator(cpu=True), lambda *_: None).vae.eval()


def tune(way: str, folder: Path) -> JanusFlowPipeline:
    """Fine-tune in one of the ways. What is in the folder is gone on with."""
    tuning, rate, mixed, steps = WAYS[way]
    pipe = with_new_words()
    examples = new_examples() + (old_examples() if mixed else [])
    latents = encode_scenes(pipe.vae, [scene for _, scene in examples])
    vae = tuned_vae(pipe.vae, folder)
    ids = [torch.tensor(pipe.tokenizer.encode(TEMPLATE.format(prompt=str(caption)))) for caption, _ in examples]
    torch.manual_seed(SEED)
    tuned = train_flow(
        prepare(pipe.model, tuning),
        latents,
        ids,
        pipe.tokenizer.pad_token_id,
        folder / f"{way}.safetensors",
        Accelerator(cpu=True),
        lambda *_: None,
        recipe(steps, rate),
    )
    return JanusFlowPipeline(merge_adapters(tuned).eval(), vae, pipe.tokenizer)


def draw(pipe: JanusFlowPipeline, captions: Sequence[str]) -> list[Image.Image]:
    pair = PromptPair.from_text(captions, pipe.tokenizer)
    z: Tensor = image_noise(pipe.latent_shape, len(captions), torch.Generator().manual_seed(SEED))
    *_, last = adams_bashforth(pipe.model, pair, z, time_grid(STEPS))
    return pipe.to_pictures(last.z_next)


def score(pipe: JanusFlowPipeline) -> dict[str, Any]:
    """Return the share of true pictures, of new captions and of the seven old categories."""
    rng = np.random.default_rng(SEED + 1)
    asked = {kind: [new_caption(kind, rng) for _ in range(EACH)] for kind in NEW}
    asked |= {category: fresh_captions(category, EACH, SEED) for category in CATEGORIES}
    found = {
        kind: count_satisfied(draw(pipe, [str(c) for c in captions]), captions) / EACH
        for kind, captions in asked.items()
    }
    new, old = ([found[kind] for kind in kinds] for kinds in (NEW, CATEGORIES))
    return {"scores": found, "new": sum(new) / len(new), "old": sum(old) / len(old)}


def measure_before() -> dict[str, Any]:
    """Score the model before training, with the VAE as it is."""
    pipe = with_new_words()
    shown = [to_text(picture) for picture in draw(pipe, SHOWN)]
    return score(pipe) | {"pictures": shown, "examples": PICTURES, "captions": EACH, "shown": SHOWN}


def measure_decoder() -> dict[str, Any]:
    """Return the share of pictures that are still true after the VAE, before and after its decoder was trained."""
    examples = {"new": new_examples(), "old": old_examples()}
    pipe, found = with_new_words(), {}
    latents = {name: encode_scenes(pipe.vae, [scene for _, scene in some]) for name, some in examples.items()}

    def right(name: str) -> float:
        decoded = pipe.to_pictures(latents[name])
        return count_satisfied(decoded, [caption for caption, _ in examples[name]]) / PICTURES

    found["before"] = {name: right(name) for name in examples}
    pipe.vae = tuned_vae(pipe.vae, FOLDER)
    return found | {"after": {name: right(name) for name in examples}, "steps": DECODER.steps}


def measure_way(way: str) -> dict[str, Any]:
    """Fine-tune in one of the ways, and score the result."""
    begun = time.process_time()
    pipe = tune(way, FOLDER)
    seconds = time.process_time() - begun
    tuning, rate, _, steps = WAYS[way]
    model = prepare(with_new_words().model, tuning)
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    about = {"trainable": trainable, "learning rate": rate, "steps": steps, "seconds": seconds}
    return score(pipe) | about | {"pictures": [to_text(picture) for picture in draw(pipe, SHOWN)]}


STEP = {  # one example, one step: the size, and what trains
    "middle": ("middle", Tuning("lora", lora=16)),
    "middle, checkpointing": ("middle", Tuning("lora", lora=16, gradient_checkpointing=True)),
    "released": ("released", Tuning("lora", lora=16)),
}


def measure_step(tuning: Tuning, size: str) -> dict[str, Any]:
    """Take two steps on one example, in this process: the highest memory, and the processor time of the second."""
    config, times = sized(size), []
    torch.manual_seed(SEED)
    model = prepare(random_model(config, torch.float32, torch.device("cpu")), tuning)
    side, begun = config.image_size // 8, peak_memory(torch.device("cpu"))
    with tempfile.TemporaryDirectory() as folder:
        latents, ids = torch.randn(1, 4, side, side), [torch.arange(1, PROMPT + 2)]
        recipe = Recipe(steps=2, batch_size=1, learning_rate=1e-4, save_every=2)

        def clock(_: nn.Module, inputs: Any) -> None:
            times.append(time.process_time())

        model.register_forward_pre_hook(clock)
        train_flow(model, latents, ids, 0, Path(folder) / "state", Accelerator(cpu=True), lambda *_: None, recipe)
    return {
        "size": size,
        "parameters": sum(p.numel() for p in model.parameters()),
        "prompt tokens": PROMPT,
        "peak": peak_memory(torch.device("cpu")),
        "peak before": begun,
        "seconds": times[1] - times[0],
        "counted": training_memory(config, tuning, side, 1, PROMPT),
    }


RELEASED = {
    "all": Tuning("all"),
    "all, bfloat16": Tuning("all", dtype="bfloat16"),
    "uvit, bfloat16": Tuning("uvit", dtype="bfloat16"),
    "lora 16": Tuning("lora", lora=16),
    "lora 16, bfloat16": Tuning("lora", lora=16, dtype="bfloat16"),
    "lora 16, bfloat16, checkpointing": Tuning("lora", lora=16, dtype="bfloat16", gradient_checkpointing=True),
}


def count_released() -> dict[str, Any]:
    """Count the memory of a step of the released size, in GB, for one example and for what each further one adds."""
    found = {}
    for name, tuning in RELEASED.items():
        parts = {part: number / 1e9 for part, number in training_memory(JanusConfig(), tuning, 48, 1, PROMPT).items()}
        found[name] = parts | {"sum": sum(parts.values())}
    return found | {"prompt tokens": PROMPT}


OPERATIONS = {
    "all": Tuning("all"),
    "all, checkpointing": Tuning("all", gradient_checkpointing=True),
    "lora 16": Tuning("lora", lora=16),
    "lora 16, checkpointing": Tuning("lora", lora=16, gradient_checkpointing=True),
    "uvit": Tuning("uvit"),
}


def count_operations() -> dict[str, Any]:
    """Count the operations of one example of the released size, in TFLOP, as PyTorch's own counter does."""
    return {name: operations(tuning) for name, tuning in OPERATIONS.items()} | {"prompt tokens": PROMPT}


def operations(tuning: Tuning) -> dict[str, float]:
    """Count forward and backward pass. On the meta device: nothing is computed, and no weight takes memory."""
    with torch.device("meta"):
        model, tokens = prepare(JanusFlow(JanusConfig()), tuning), PROMPT + 577
        z, t = torch.randn(1, 4, 48, 48), torch.rand(1)
        mask = torch.ones(1, 1, tokens, tokens, dtype=torch.bool)  # transformers takes it as it is, and reads no number
    run = model.llama.forward
    model.llama.forward = lambda **given: run(**(given | {"attention_mask": mask}))
    rows = PromptPair.from_ids([torch.arange(PROMPT + 1)], pad_id=0).to("meta").rows[torch.tensor([0])]
    with FlopCounterMode(display=False) as forward:
        loss = model(z, t, rows).square().mean()
    with FlopCounterMode(display=False) as backward:
        loss.backward()
    counts = {"forward": forward.get_total_flops() / 1e12, "backward": backward.get_total_flops() / 1e12}
    return counts | {"sum": sum(counts.values())}


MEASURES = {
    "decoder": measure_decoder,
    "before": measure_before,
    **{way: partial(measure_way, way) for way in WAYS},
    **{f"step, {name}": partial(measure_step, tuning, size) for name, (size, tuning) in STEP.items()},
    "released": count_released,
    "operations": count_operations,
}


def data() -> dict[str, Any]:
    """Return what the figure shows: the model before, and after each way that has been measured."""
    stored = json.loads((DATA / "fine-tuning.json").read_text(encoding="utf-8"))
    return {name: stored[name] for name in ("before", *WAYS) if name in stored}


@figure("fine_tuning")
def fine_tuning() -> Drawing:
    found = data()
    rows = [(name, [from_text(text) for text in one["pictures"]]) for name, one in found.items()]
    asked = ", ".join(f'"{caption}"' for caption in SHOWN)
    told = "; ".join(f"{name}: {one['new']:.2f} and {one['old']:.2f}" for name, one in found.items())
    return Drawing(
        sheet([fill(caption, 14) for caption in SHOWN], rows),
        alt="Rows of five pictures, one row before fine-tuning and one for each way to fine-tune.",
        caption=f"Pictures of {asked}, from one noise for each column, before and after training on "
        f"{PICTURES} pictures; mixed: and on as many old pictures. Scores of new and of old captions, {EACH} captions "
        f"of each of {len(NEW)} new and {len(CATEGORIES)} old categories: {told}.",
    )


if __name__ == "__main__":
    widen_the_world()
    if sys.argv[1:2] == ["measure"]:
        for name in sys.argv[2:] or MEASURES:
            measured("fine-tuning", name, MEASURES[name])
    else:
        main()
