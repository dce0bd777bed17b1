"""The figures of the chapter on training: python docs/figures/training.py [NAME ...]

What takes long is measured once and kept in data/NAME.json. To repeat a measurement, delete its file and run
python docs/figures/training.py measure NAME (one to four minutes on one thread). MEASURES has the names.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from canvas import BLUE, GREEN, INK, ORANGE, PINK, Drawing, figure, main, measured
from matplotlib.figure import Figure
from torch import Tensor

from janus_minimal import JanusFlow, JanusFlowPipeline, PromptPair, interpolate
from janus_minimal.config import DecoderConfig, EncoderConfig, JanusConfig, LanguageConfig
from janus_minimal.prompt import TEMPLATE
from janus_minimal.shapes.evaluate import fresh_captions
from janus_minimal.shapes.examples import SmallWorld, draw_example, tokenize_examples
from janus_minimal.shapes.scene import SIDE
from janus_minimal.shapes.score import satisfies
from janus_minimal.shapes.vae import encode_scenes
from janus_minimal.training.batch import LOGIT_MEAN, LOGIT_STD, draw_batch
from janus_minimal.training.loss import flow_loss
from janus_minimal.training.optimizers import build_optimizers
from janus_minimal.training.recipe import Recipe
from janus_minimal.training.small import untrained_flow
from janus_minimal.training.source import encode_examples

TIMES = (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
FRESH, KNOWN = 1, 0  # seeds of scenes: the bundled model was trained on those of 0
NUMBER = 200  # scenes
TINY = Recipe(steps=500, batch_size=32, learning_rate=4e-3, warmup=20, average=0.99)
CHOICES = {"uniform": None, "0, 1": (0.0, 1.0), f"{LOGIT_MEAN:g}, {LOGIT_STD:g}": (LOGIT_MEAN, LOGIT_STD)}


@torch.no_grad()
def measure_loss() -> dict[str, Any]:
    """Measure the bundled model's error at each time, with the caption, with another one, and without."""
    pipe = JanusFlowPipeline.from_pretrained("shapes")
    found: dict[str, Any] = {"scenes": NUMBER}
    for name, seed in (("fresh", FRESH), ("known", KNOWN)):
        z_1 = encode_examples(pipe.vae, SmallWorld(NUMBER, seed))
        ids = tokenize_examples(pipe.tokenizer, NUMBER, seed)
        rows = PromptPair.from_ids(ids, pad_id=pipe.tokenizer.pad_token_id).rows
        own = torch.arange(NUMBER)
        asked = {"own caption": own}
        if name == "fresh":
            asked |= {"other caption": own.roll(7), "no caption": own + NUMBER}
        z_0 = torch.randn(z_1.shape, generator=torch.Generator().manual_seed(seed))
        for caption, index in asked.items():
            found[f"{name}, {caption}"] = {f"{t:g}": at(pipe.model, z_0, z_1, t, rows[index]) for t in TIMES}
    found["best answer for 1000 scenes"] = best_answers(encode_examples(pipe.vae, SmallWorld(1000, KNOWN)), z_0)
    return found


@torch.no_grad()
def measure_start() -> dict[str, Any]:
    """Measure the irreducible loss at t = 0 without a network: how much do scenes of one caption differ?"""
    pipe, captions, each = JanusFlowPipeline.from_pretrained("shapes"), 60, 8
    examples = [draw_example(i, FRESH) for i in range(captions)]
    z_1 = encode_scenes(pipe.vae, [caption.draw(rng) for caption, rng in examples for _ in range(each)])
    floor = z_1.unflatten(0, (captions, each)).var(dim=1).mean().item()
    ids = tokenize_examples(pipe.tokenizer, captions, FRESH)
    rows = PromptPair.from_ids(ids, pad_id=pipe.tokenizer.pad_token_id).rows
    z_0 = torch.randn(z_1.shape, generator=torch.Generator().manual_seed(FRESH))
    found = at(pipe.model, z_0, z_1, 0.0, rows[torch.arange(captions).repeat_interleave(each)])
    return {"captions": captions, "scenes of each": each, "floor": floor, "loss": found["loss"]}


def at(model: JanusFlow, z_0: Tensor, z_1: Tensor, t: float, rows: Any) -> dict[str, float]:
    """Return the means over all numbers that say how good the prediction at this time is."""
    times = torch.full((len(z_0),), t)
    z_t, target = interpolate(z_0, z_1, times)
    v = model(z_t, times, rows)
    return {
        "loss": (v - target).square().mean().item(),
        "target": target.square().mean().item(),
        "predicted": v.square().mean().item(),
        "product": (v * target).mean().item(),
    }


def best_answers(data: Tensor, z_0: Tensor) -> dict[str, float]:
    """Return the loss of the network that would be best for these scenes alone, without captions.

    For finitely many latents the average velocity is known: weigh each latent by how likely it is, given z_t.
    """
    found, flat = {}, data.flatten(1)
    for t in TIMES:
        z_t, target = interpolate(z_0, data[: len(z_0)], torch.full((len(z_0),), t))
        squared = (torch.cdist(z_t.flatten(1).double(), t * flat.double()) / (1 - t)).square()
        z_1 = ((-squared / 2).softmax(dim=1) @ flat.double()).reshape(target.shape)
        found[f"{t:g}"] = ((z_1 - z_t) / (1 - t) - target).square().mean().item()
    return found


def tiny(vocabulary: int) -> JanusFlow:
    """Return an untrained model of about a sixth of the bundled one's parameters."""
    return untrained_flow(
        JanusConfig(
            EncoderConfig(block_out_channels=(48,), padding=0, hidden_size=96),
            DecoderConfig(in_channels=48, block_out_channels=(48,), hidden_size=96),
            LanguageConfig(vocabulary, 96, 256, 3, 4, 4, max_position_embeddings=512),
            image_size=SIDE,
        )
    )


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


def measure_choice(choice: str, muon: bool = True) -> dict[str, Any]:
    """Train a tiny model on scenes of one coloured thing, with times of one distribution."""
    pipe = JanusFlowPipeline.from_pretrained("shapes")
    _, ids, latents = small_world(pipe, 1000, 11)
    torch.manual_seed(0)
    model = tiny(len(pipe.tokenizer)).train()
    optimizers = build_optimizers(model, TINY)
    if not muon:
        optimizers = [torch.optim.AdamW(model.parameters(), weight_decay=TINY.weight_decay, betas=(0.9, 0.99))]
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


@figure("loss_floor")
def loss_floor() -> Drawing:
    """The measured loss, and what of it no network could remove."""
    found = measured("training-loss", measure_loss)
    rows = {float(t): row for t, row in found["fresh, own caption"].items()}
    t, told = list(rows), list(rows.values())
    floor = np.array([row["target"] - row["predicted"] for row in told])
    loss = np.array([row["loss"] for row in told])
    fig = Figure(figsize=(7.0, 3.6), layout="constrained")
    ax = fig.subplots()
    ax.plot(t, [row["target"] for row in told], ":", color=INK, label="E |Y|^2: a network that answers 0")
    ax.plot(t, loss, "-o", color=BLUE, ms=4, label="measured loss")
    ax.plot(t, floor, "--", color=ORANGE, label="estimated irreducible loss: E |Y|^2 - E |v|^2")
    ax.set(xlabel="t", ylabel="mean over all numbers of the latent", ylim=(0, None))
    ax.legend(frameon=False, fontsize=9)
    least = min(rows, key=lambda time: rows[time]["loss"])
    apart = np.abs(loss - floor)
    return Drawing(
        fig,
        "Three curves over t. The mean square of the target is flat near 2. The loss starts below it, falls steeply until "
        "the middle, and rises towards t = 1. The estimated irreducible loss runs close to it.",
        f"The bundled model on {found['scenes']} fresh scenes with their captions. The loss is {rows[0.0]['loss']:.2f} at t = 0, "
        f"least at t = {least:g} ({rows[least]['loss']:.2f}), and {rows[0.98]['loss']:.2f} at t = 0.98. The dashed line "
        f"estimates how much of it is left for the best possible network; the two differ by {apart.max():.3f} at most and "
        f"{apart.mean():.3f} on average.",
    )


@figure("loss_over_t")
def loss_over_t() -> Drawing:
    """The loss with the own caption, another one, and none."""
    found = measured("training-loss", measure_loss)
    t = [float(time) for time in found["fresh, own caption"]]
    looks = {
        "fresh, own caption": (BLUE, "-", "own caption"),
        "fresh, other caption": (ORANGE, "--", "another scene's caption"),
        "fresh, no caption": (PINK, "-.", "no caption"),
        "known, own caption": (INK, ":", "own caption, scenes of the training set"),
    }
    fig = Figure(figsize=(9.2, 3.6), layout="constrained")
    left, right = fig.subplots(1, 2)
    curves = {name: np.array([row["loss"] for row in found[name].values()]) for name in looks}
    for name, (colour, line, label) in looks.items():
        left.plot(t, curves[name], line, color=colour, label=label)
    best = [found["best answer for 1000 scenes"][f"{time:g}"] for time in t]
    left.plot(t, best, "-", color=GREEN, lw=1, label="best field for 1,000 scenes alone")
    left.set(xlabel="t", ylabel="loss", ylim=(0, 2.1))
    left.legend(frameon=False, fontsize=8, loc="upper right")
    gap = curves["fresh, other caption"] - curves["fresh, own caption"]
    without = curves["fresh, no caption"] - curves["fresh, own caption"]
    right.plot(t, gap, "--", color=ORANGE, label="another caption, minus own")
    right.plot(t, without, "-.", color=PINK, label="no caption, minus own")
    right.set(xlabel="t", ylabel="difference of losses", ylim=(0, None))
    right.legend(frameon=False, fontsize=8)
    peak, known = int(gap.argmax()), np.abs(curves["known, own caption"] - curves["fresh, own caption"]).mean()
    return Drawing(
        fig,
        "Left: losses over t. All fall from t = 0 and rise at the end; with another scene's caption the loss is highest, "
        "with the own caption lowest. The best field for 1,000 scenes falls to zero early. Right: two differences. That of "
        "no caption has a peak at small t and is near zero from 0.4 on; that of another caption has a higher peak, a minimum "
        "at 0.6, and rises again.",
        f"The bundled model on {found['scenes']} scenes. Left: with its own caption, another scene's, none. Right: by how much "
        f"the loss rises without its own caption. Another caption costs most at t = {t[peak]:g} ({gap[peak]:.2f}), no caption "
        f"at t = {t[int(without.argmax())]:g} ({without.max():.2f}); at t = 0.6 they cost {gap[t.index(0.6)]:.2f} and "
        f"{without[t.index(0.6)]:.3f}. Scenes of the training set (dotted) and fresh ones differ by {known:.3f} on average. Thin line: the best "
        "field for 1,000 stored scenes without captions, which has memorised them.",
    )


@figure("logit_normal")
def logit_normal() -> Drawing:
    """Densities of the time."""
    t = np.linspace(0.001, 0.999, 999)
    fig = Figure(figsize=(7.0, 3.4), layout="constrained")
    ax = fig.subplots()
    shares = {}
    choices = (
        ((0.0, 1.0), BLUE, "--"),
        ((LOGIT_MEAN, LOGIT_STD), ORANGE, "-"),
        ((0.0, 0.4), GREEN, "-."),
        ((0.0, 2.5), PINK, ":"),
    )
    ax.axvspan(0.1, 0.3, color=INK, alpha=0.08, lw=0)
    for (mean, std), colour, line in choices:
        logit = np.log(t / (1 - t))
        heights = np.exp(-((logit - mean) ** 2) / 2 / std**2) / (std * np.sqrt(2 * np.pi) * t * (1 - t))
        shares[mean, std] = heights[(t > 0.1) & (t < 0.3)].sum() * (t[1] - t[0])
        ax.plot(t, heights, line, color=colour, lw=2, label=f"m = {mean:g}, s = {std:g}")
    ax.set(xlabel="t", ylabel="density", ylim=(0, 4.2))
    ax.legend(frameon=False, fontsize=9, loc="upper right", bbox_to_anchor=(0.93, 1.0))
    return Drawing(
        fig,
        "Four densities over t. m = 0 and s = 1 is a broad hump around 0.5; m = -0.8 and s = 1.2 is a hump at about 0.14 with "
        "a long right side; s = 0.4 is narrow; s = 2.5 is low in the middle and high near both ends.",
        "Logit-normal densities. Grey: t from 0.1 to 0.3. A time falls there with probability "
        f"{shares[0.0, 1.0]:.2f} for m = 0, s = 1 (Stable Diffusion 3's standard), {shares[LOGIT_MEAN, LOGIT_STD]:.2f} for "
        f"m = {LOGIT_MEAN:g}, s = {LOGIT_STD:g} (here), {shares[0.0, 0.4]:.2f} for s = 0.4, {shares[0.0, 2.5]:.2f} for s = 2.5; "
        "a uniform time falls there with 0.20.",
    )


CHOICE_LOOKS = (
    (PINK, ":", "uniform"),
    (BLUE, "--", "m = 0, s = 1"),
    (ORANGE, "-", f"m = {LOGIT_MEAN:g}, s = {LOGIT_STD:g}"),
)


def compare(runs: list[dict[str, Any]], looks: Sequence[tuple[str, str, str]]) -> Figure:
    """Draw the losses of several tiny models, and how much each uses the caption."""
    fig = Figure(figsize=(9.2, 3.4), layout="constrained")
    left, right = fig.subplots(1, 2)
    for (colour, line, label), run in zip(looks, runs, strict=True):
        own, other = np.array(run["own caption"]), np.array(run["other caption"])
        left.plot(run["times"], own, line, color=colour, marker="o", ms=4, label=label)
        right.plot(run["times"], other - own, line, color=colour, marker="o", ms=4, label=label)
    left.set(xlabel="t", ylabel="loss on fresh scenes", ylim=(0, None))
    right.set(xlabel="t", ylabel="other caption, minus own", ylim=(0, None))
    left.legend(frameon=False, fontsize=9)
    return fig


def choices() -> list[dict[str, Any]]:
    return [measured(f"training-times-{i}", lambda c=c: measure_choice(c)) for i, c in enumerate(CHOICES)]


@figure("time_choice")
def time_choice() -> Drawing:
    """What three distributions of times bring to a tiny model."""
    runs = choices()
    told = [f"{label}: {run['score']:.2f}" for (_, _, label), run in zip(CHOICE_LOOKS, runs, strict=True)]
    some = runs[0]
    return Drawing(
        compare(runs, CHOICE_LOOKS),
        "Left: loss over t of three tiny models, one for each distribution of times; up to 0.3 they are close, at 0.9 the "
        "model with m = -0.8 is the worst. Right: how much each uses the caption; the model with m = -0.8 is above the "
        "others at every t.",
        f"Three models of {some['parameters']:,} parameters after {some['steps']} steps, batches of {some['batch']}, that "
        f"differ only in the times that training drew. Share of {some['captions']} fresh captions that their pictures "
        f"satisfy, w = 2, 20 Euler steps: {'; '.join(told)}.",
    )


@figure("muon_or_adamw")
def muon_or_adamw() -> Drawing:
    """What Muon brings to a tiny model."""
    muon, adamw = choices()[-1], measured("training-adamw", lambda: measure_choice(list(CHOICES)[-1], muon=False))
    looks = ((ORANGE, "-", "Muon and AdamW"), (BLUE, "--", "AdamW alone"))
    at = muon["times"].index(0.2)
    gaps = [run["other caption"][at] - run["own caption"][at] for run in (muon, adamw)]
    losses = [run["own caption"][at] for run in (muon, adamw)]
    return Drawing(
        compare([muon, adamw], looks),
        "Left: loss over t of two tiny models; the one with Muon is lower from 0.2 on. Right: how much each uses the "
        "caption; the one with Muon is above the other at every t.",
        f"The same tiny model after {muon['steps']} steps, with Muon for its matrices and with AdamW for everything, at the "
        f"same learning rate. At t = 0.2 the loss is {losses[0]:.2f} and {losses[1]:.2f}, and under another "
        f"scene's caption it is higher by {gaps[0]:.2f} and {gaps[1]:.2f}.",
    )


def measure_muon() -> dict[str, Any]:
    """Return the singular values of a gradient, and of the steps that AdamW and Muon make of ten such gradients."""
    pipe = JanusFlowPipeline.from_pretrained("shapes")
    latents, ids = encode_examples(pipe.vae, SmallWorld(200, FRESH)), tokenize_examples(pipe.tokenizer, 200, FRESH)
    weight = pipe.model.llama.layers[3].self_attn.o_proj.weight
    copies = {name: torch.nn.Parameter(torch.zeros_like(weight)) for name in ("AdamW", "Muon")}
    adamw = torch.optim.AdamW([copies["AdamW"]], lr=1.0, weight_decay=0.0, betas=(0.9, 0.99))
    muon = torch.optim.Muon([copies["Muon"]], lr=1.0, weight_decay=0.0, adjust_lr_fn="match_rms_adamw")
    for step in range(10):
        batch = draw_batch(step, ids, latents, 32, FRESH)
        (gradient,) = torch.autograd.grad(flow_loss(pipe.model, batch, pipe.tokenizer.pad_token_id), weight)
        before = {name: copy.detach().clone() for name, copy in copies.items()}
        for copy in copies.values():
            copy.grad = gradient.clone()
        adamw.step()
        muon.step()
    steps = {"gradient": gradient} | {name: copy.detach() - before[name] for name, copy in copies.items()}
    values = {name: torch.linalg.svdvals(step) for name, step in steps.items()}
    return {
        "shape": list(weight.shape),
        "rms": {name: step.square().mean().sqrt().item() for name, step in steps.items()},
        **{name: [round(x, 5) for x in (s / s.max()).tolist()] for name, s in values.items()},
    }


@figure("muon_update")
def muon_update() -> Drawing:
    """Singular values of a gradient, and of the steps that two optimisers make of it."""
    found = measured("training-muon", measure_muon)
    fig = Figure(figsize=(7.0, 3.5), layout="constrained")
    ax = fig.subplots()
    above = {}
    for name, colour, line in (("gradient", INK, ":"), ("AdamW", BLUE, "--"), ("Muon", ORANGE, "-")):
        values = np.array(found[name])
        above[name] = (values > 0.5).mean()
        ax.semilogy(np.arange(1, len(values) + 1), values, line, color=colour, lw=2, label=name)
    ax.set(xlabel="number of the singular value", ylabel="singular value / the largest", ylim=(1e-4, 1.5))
    ax.legend(frameon=False)
    return Drawing(
        fig,
        "Singular values in falling order, logarithmic. Those of the gradient fall fastest, AdamW's step more slowly, and "
        "those of Muon's step stay close to the largest.",
        f"A weight matrix of the bundled model ({found['shape'][0]} x {found['shape'][1]}, output projection of the fourth block's "
        "attention): singular values of one gradient, and of the tenth steps that AdamW and Muon make of ten such gradients. "
        f"More than half as large as the largest are {100 * above['gradient']:.0f} % of the gradient's, "
        f"{100 * above['AdamW']:.0f} % of AdamW's, {100 * above['Muon']:.0f} % of Muon's.",
    )


@figure("ema")
def ema() -> Drawing:
    """A simulated weight with noise, and its averages."""
    rng = np.random.default_rng(0)
    steps, w, last = 6000, 4.0, 2000
    path = []
    for _ in range(steps):
        w -= 0.05 * (w + 4 * rng.standard_normal())
        path.append(w)
    fig = Figure(figsize=(7.0, 3.4), layout="constrained")
    ax = fig.subplots()
    ax.plot(range(0, steps, 5), path[::5], color=INK, alpha=0.35, lw=0.8, label="weight after each step")
    errors = {"weight": np.square(path[-last:]).mean() ** 0.5}
    for decay, colour, line in ((0.99, BLUE, "--"), (0.999, ORANGE, "-")):
        average = [path[0]]
        for value in path[1:]:
            average.append(decay * average[-1] + (1 - decay) * value)
        errors[decay] = np.square(average[-last:]).mean() ** 0.5
        ax.plot(range(0, steps, 5), average[::5], line, color=colour, lw=2, label=f"average, decay {decay:g}")
    ax.set(xlabel="step", ylabel="distance from the best value")
    ax.legend(frameon=False, loc="upper right")
    return Drawing(
        fig,
        "A noisy curve that falls from 4 to about 0 and then jitters. The average with decay 0.99 follows it closely and "
        "jitters a little; the one with 0.999 comes down late and is almost smooth.",
        "Simulation: one weight, pulled to its best value 0 by noisy gradients of a constant learning rate. Root mean square "
        f"distance over the last {last:,} steps: {errors['weight']:.2f} for the weight, {errors[0.99]:.2f} for its average with "
        f"decay 0.99, {errors[0.999]:.2f} with decay 0.999. That one needs thousands of steps to forget its start.",
    )


MEASURES = {"training-loss": measure_loss, "training-muon": measure_muon, "training-start": measure_start}
MEASURES |= {f"training-times-{i}": lambda c=c: measure_choice(c) for i, c in enumerate(CHOICES)}
MEASURES["training-adamw"] = lambda: measure_choice(f"{LOGIT_MEAN:g}, {LOGIT_STD:g}", muon=False)

if __name__ == "__main__":
    main(MEASURES)
