"""The figures of the chapter on training: python docs/figures/training.py [NAME ...]

What takes long is measured once and kept in data/: delete a file there to measure it again (one to four minutes each,
one thread).
"""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from canvas import BLUE, DATA, GREEN, INK, ORANGE, PINK, Drawing, figure, main
from matplotlib.figure import Figure
from torch import Tensor

from janus_minimal import JanusFlow, JanusFlowPipeline, PromptPair, denoise, interpolate, time_grid
from janus_minimal.config import DecoderConfig, EncoderConfig, JanusConfig, LanguageConfig
from janus_minimal.pipeline import image_noise
from janus_minimal.prompt import TEMPLATE
from janus_minimal.shapes.evaluate import fresh_captions
from janus_minimal.shapes.examples import draw_example, encode_examples, tokenize_examples
from janus_minimal.shapes.scene import SIDE
from janus_minimal.shapes.score import satisfies
from janus_minimal.shapes.vae import encode_scenes
from janus_minimal.training.batch import LOGIT_MEAN, LOGIT_STD, draw_batch
from janus_minimal.training.loss import flow_loss
from janus_minimal.training.optimizers import build_optimizers
from janus_minimal.training.recipe import Recipe

TIMES = (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
FRESH, KNOWN = 1, 0  # seeds of scenes: the bundled model was trained on those of 0
NUMBER = 200  # scenes
TINY = Recipe(steps=500, batch_size=32, learning_rate=4e-3, warmup=20, average=0.99)
CHOICES = {"uniform": None, "0, 1": (0.0, 1.0), f"{LOGIT_MEAN:g}, {LOGIT_STD:g}": (LOGIT_MEAN, LOGIT_STD)}


def measured(name: str, measure: Callable[[], Any]) -> Any:
    """Return the numbers of data/name.json. Measure them first if they are not there."""
    path = DATA / f"{name}.json"
    if not path.exists():
        DATA.mkdir(exist_ok=True)
        path.write_text(json.dumps(measure(), indent=1) + "\n", encoding="utf-8")
    return json.loads(path.read_text(encoding="utf-8"))


@torch.no_grad()
def measure_loss() -> dict[str, Any]:
    """Measure the bundled model's error at each time, with the caption, with another one, and without."""
    pipe = JanusFlowPipeline.from_pretrained("shapes")
    found: dict[str, Any] = {"scenes": NUMBER}
    for name, seed in (("fresh", FRESH), ("known", KNOWN)):
        z_1 = encode_examples(pipe.vae, NUMBER, seed)
        ids = tokenize_examples(pipe.tokenizer, NUMBER, seed)
        rows = PromptPair.from_ids(ids, pad_id=pipe.tokenizer.pad_token_id).rows
        own = torch.arange(NUMBER)
        asked = {"own caption": own}
        if name == "fresh":
            asked |= {"other caption": own.roll(7), "no caption": own + NUMBER}
        z_0 = torch.randn(z_1.shape, generator=torch.Generator().manual_seed(seed))
        for caption, index in asked.items():
            found[f"{name}, {caption}"] = [at(pipe.model, z_0, z_1, t, rows[index]) for t in TIMES]
    found["best answer for 1000 scenes"] = best_answers(encode_examples(pipe.vae, 1000, KNOWN), z_0)
    return found


def at(model: JanusFlow, z_0: Tensor, z_1: Tensor, t: float, rows: Any) -> dict[str, float]:
    """Return the means over all numbers that say how good the prediction at this time is."""
    times = torch.full((len(z_0),), t)
    z_t, target = interpolate(z_0, z_1, times)
    v = model(z_t, times, rows)
    return {
        "t": t,
        "loss": (v - target).square().mean().item(),
        "target": target.square().mean().item(),
        "predicted": v.square().mean().item(),
        "product": (v * target).mean().item(),
    }


def best_answers(data: Tensor, z_0: Tensor) -> list[dict[str, float]]:
    """Return the loss of the network that would be best for these scenes alone, without captions.

    For finitely many latents the average velocity is known: weigh each latent by how likely it is, given z_t.
    """
    found, flat = [], data.flatten(1)
    for t in TIMES:
        z_t, target = interpolate(z_0, data[: len(z_0)], torch.full((len(z_0),), t))
        squared = (torch.cdist(z_t.flatten(1).double(), t * flat.double()) / (1 - t)).square()
        z_1 = ((-squared / 2).softmax(dim=1) @ flat.double()).reshape(target.shape)
        found.append({"t": t, "loss": ((z_1 - z_t) / (1 - t) - target).square().mean().item()})
    return found


def tiny(vocabulary: int) -> JanusFlow:
    """Return an untrained model of about an eighth of the bundled one's parameters."""
    model = JanusFlow(
        JanusConfig(
            EncoderConfig(block_out_channels=(48,), padding=0, hidden_size=96),
            DecoderConfig(in_channels=48, block_out_channels=(48,), hidden_size=96),
            LanguageConfig(vocabulary, 96, 256, 3, 4, 4, max_position_embeddings=512),
            image_size=SIDE,
        )
    )
    torch.nn.init.normal_(model.llama.embed_tokens.weight)
    for name, parameter in model.named_parameters():
        if "cond_embeds_mapper" in name or "unpatch_conv" in name:
            torch.nn.init.zeros_(parameter)
    return model


def small_world(pipe: JanusFlowPipeline, number: int, seed: int) -> tuple[list[Any], list[Tensor], Tensor]:
    """Return captions of one coloured thing each, their token ids, and the latents of scenes for them."""
    captions, rng = fresh_captions("colours", number, seed), np.random.default_rng(seed)
    ids = [torch.tensor(pipe.tokenizer.encode(TEMPLATE.format(prompt=str(caption)))) for caption in captions]
    return captions, ids, encode_scenes(pipe.vae, [caption.draw(rng) for caption in captions])


def as_chosen(t: Tensor, choice: str) -> Tensor:
    """Return these logit-normal times as times of another distribution, with the same ranks."""
    normal = (t.logit() - LOGIT_MEAN) / LOGIT_STD
    if CHOICES[choice] is None:
        return torch.distributions.Normal(0, 1).cdf(normal)
    mean, std = CHOICES[choice]
    return (mean + std * normal).sigmoid()


def measure_choice(choice: str) -> dict[str, Any]:
    """Train a tiny model on scenes of one coloured thing, with times of one distribution."""
    pipe = JanusFlowPipeline.from_pretrained("shapes")
    _, ids, latents = small_world(pipe, 1000, 11)
    torch.manual_seed(0)
    model = tiny(len(pipe.tokenizer)).train()
    optimizers = build_optimizers(model, TINY)
    for step in range(TINY.steps):
        batch = draw_batch(step, ids, latents, TINY.batch_size, TINY.seed)
        loss = flow_loss(model, replace(batch, t=as_chosen(batch.t, choice)), pipe.tokenizer.pad_token_id)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = TINY.learning_rate_at(step)
            optimizer.step()
            optimizer.zero_grad()
    return {"steps": TINY.steps, "batch": TINY.batch_size, "parameters": sum(p.numel() for p in model.parameters())} | (
        judge_tiny(JanusFlowPipeline(model.eval(), pipe.vae, pipe.tokenizer))
    )


@torch.no_grad()
def judge_tiny(pipe: JanusFlowPipeline) -> dict[str, Any]:
    """Return the losses at each time for fresh scenes, and how many fresh captions are obeyed."""
    _, ids, z_1 = small_world(pipe, 128, 12)
    rows = PromptPair.from_ids(ids, pad_id=pipe.tokenizer.pad_token_id).rows
    z_0, own = torch.randn(z_1.shape, generator=torch.Generator().manual_seed(12)), torch.arange(len(z_1))
    times = [0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9]
    losses = {
        name: [at(pipe.model, z_0, z_1, t, rows[index])["loss"] for t in times]
        for name, index in (("own caption", own), ("other caption", own.roll(7)))
    }
    captions, _, _ = small_world(pipe, 40, 13)
    noise = torch.Generator().manual_seed(13)
    pictures = pipe([str(caption) for caption in captions], 20, 2.0, generator=noise, progress=False).images
    score = np.mean([satisfies(np.asarray(p), c) for p, c in zip(pictures, captions, strict=True)])
    return {"times": times, **losses, "captions": len(captions), "score": float(score)}


MEASURES = {"training-loss": measure_loss}
MEASURES |= {f"training-times-{i}": lambda c=c: measure_choice(c) for i, c in enumerate(CHOICES)}

if __name__ == "__main__":
    import sys

    if sys.argv[1:2] == ["measure"]:
        for name in sys.argv[2:]:
            measured(name, MEASURES[name])
    else:
        main()
