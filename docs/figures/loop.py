"""The figures of the page with the loop, and its running example: python docs/figures/loop.py [NAME ...]

One step of the bundled model is taken apart, line by line, and kept in data/loop.json: delete it to take it again
(one minute, one thread).
"""

import json
import os
from itertools import product
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from canvas import BLUE, OUT, RED, Drawing, figure, main, measured
from matplotlib import colormaps
from matplotlib.figure import Figure
from svg import DARK, box, latent_png, lines, picture, png_of, svg, text
from torch import Tensor

from janus_minimal import JanusFlowPipeline, PromptPair, Step, denoise, euler_step, guide, time_grid
from janus_minimal.pipeline import image_noise
from janus_minimal.prompt import duplicate_for_cfg

CAPTION, SEED, STEPS, WEIGHT = "a red circle left of a blue square", 0, 30, 2.0
STEP = 5  # the step that is taken apart: t = 5/30
PLACE = (0, 3, 2)  # channel, row and column of the number that is followed, counted from 0
PROMPTS = (CAPTION, "three purple stars", "a yellow cross and a green triangle", "a green star")
SEEDS = (0, 1, 2)
SCALE = 4.0  # of latents and velocities
STAGES = ("1 encode", "2 align", "3 language\nmodel", "4 align", "5 decode", "6 guide", "7 Euler")


@torch.no_grad()
def measure() -> dict[str, Any]:
    """Measure everything with the bundled model."""
    pipe = JanusFlowPipeline.from_pretrained("shapes")
    return {"example": example(pipe), "apart": apart(pipe), "strip": strip(pipe), "released step": released_step()}


def released_step() -> dict[str, dict[str, float]]:
    """Return the seconds of each line at the released size, its share, and its operations in units of 10^12."""
    bench = json.loads((OUT.parent.parent / "bench" / "released-20.json").read_text(encoding="utf-8"))
    names = ("encode", "align in", "language model", "align out", "decode", "guide and Euler")
    ms = {name: bench["stages"][name]["median"] for name in names}
    return {
        name: {
            "seconds": ms[name] / 1000,
            "share, %": 100 * ms[name] / sum(ms.values()),
            "operations": bench["operations"].get(name, 0) / 1e12,
        }
        for name in names
    }


def start(pipe: JanusFlowPipeline, seed: int = SEED) -> Tensor:
    return image_noise(pipe.latent_shape, 1, torch.Generator().manual_seed(seed))


def size(x: Tensor) -> float:
    """Return the root mean square: the size of a typical number."""
    return x.square().mean().sqrt().item()


def example(pipe: JanusFlowPipeline) -> dict[str, Any]:
    """Take one step apart, as the loop's seven lines do it, and keep sizes, one number and small pictures."""
    model, times = pipe.model, time_grid(STEPS)
    prompt = PromptPair.from_text(CAPTION, pipe.tokenizer)
    step = list(denoise(model, prompt, start(pipe), times, WEIGHT))[STEP]
    rows, cache, z, t, t_next = prompt.batch(), model.prefill(prompt), step.z, step.t, step.t_next
    x_emb, t_emb, skip = model.encode(z, t)
    tokens = model.align_in(x_emb, t_emb)
    tokens, t_emb, skip = duplicate_for_cfg(tokens, t_emb, skip)
    hidden = model.backbone(tokens, rows, cache)
    back = model.align_out(hidden, skip)
    v_cond, v_uncond = model.decode(back, t_emb, skip).chunk(2)
    v = guide(v_cond, v_uncond, WEIGHT)
    z_next = euler_step(z, v, t, t_next)
    assert torch.equal(z_next, step.z_next)

    tensors = {"z": z, "x_emb": x_emb, "t_emb": t_emb[:1], "tokens": tokens, "hidden": hidden, "back": back}
    latents = {"z": z, "v_cond": v_cond, "v_uncond": v_uncond, "v": v, "z_next": z_next}
    tensors |= latents
    c, i, j = PLACE
    cond, uncond = hidden[:, 1:]
    moved = (cond - uncond).norm(dim=1) / cond.norm(dim=1)
    maps = {
        "x_emb": x_emb[0].norm(dim=0),
        "tokens": tokens[0, 1:].norm(dim=1).reshape(6, 6),
        "hidden": moved.reshape(6, 6),
        "back": back[0].norm(dim=0),
    }
    pictures = {name: latent_png(x[0].numpy(), SCALE) for name, x in latents.items()}
    pictures |= {name: shaded(x) for name, x in maps.items()}
    pictures["denoised"] = png_of(pipe.to_pictures(step.denoised)[0])
    return {
        "t": t.item(),
        "t_next": t_next.item(),
        "timestep": 1000 * t.item(),
        "shapes": {name: " × ".join(map(str, x.shape)) for name, x in tensors.items()},
        "size": {name: size(x) for name, x in tensors.items()},
        "number": {name: x[0, c, i, j].item() for name, x in latents.items()},
        "prompt tokens": rows.ids.shape[1],
        "hidden states moved, %": 100 * ((cond - uncond).norm() / cond.norm()).item(),
        "hidden states moved most, %": 100 * moved.max().item(),
        "velocities apart, %": 100 * ((v_cond - v_uncond).norm() / v_cond.norm()).item(),
        "step over z, %": 100 * ((z_next - z).norm() / z.norm()).item(),
        "pictures": pictures,
    }


def shaded(values: Tensor) -> str:
    """Return a small map, dark where a value is least and light where it is most."""
    v = values.numpy()
    rgb = colormaps["viridis"]((v - v.min()) / (v.max() - v.min()))[..., :3]
    return png_of((255 * rgb).round().astype(np.uint8))


def runs(pipe: JanusFlowPipeline) -> list[Step]:
    """Return the steps of every prompt with every seed, in one batch."""
    pair = PromptPair.from_text(PROMPTS, pipe.tokenizer, len(SEEDS))
    generators = [torch.Generator().manual_seed(seed) for _, seed in product(PROMPTS, SEEDS)]
    z = image_noise(pipe.latent_shape, len(generators), generators)
    return list(denoise(pipe.model, pair, z, time_grid(STEPS), WEIGHT))


def apart(pipe: JanusFlowPipeline) -> dict[str, Any]:
    """Return how far v_uncond is from v_cond at each step, in per cent of v_cond's length, for each picture."""
    steps = runs(pipe)
    found = torch.stack([100 * length(s.v_cond - s.v_uncond) / length(s.v_cond) for s in steps])
    early = found[: STEPS // 6 + 1]
    return {
        "t": [step.t.item() for step in steps],
        "each": found.tolist(),
        "early least, %": early.min().item(),
        "early most, %": early.max().item(),
        "early until": steps[STEPS // 6].t.item(),
    }


def length(v: Tensor) -> Tensor:
    return v.flatten(1).norm(dim=1)


def strip(pipe: JanusFlowPipeline) -> dict[str, Any]:
    """Return the latent and the denoised prediction, decoded, at seven steps."""
    prompt = PromptPair.from_text(CAPTION, pipe.tokenizer)
    steps = list(denoise(pipe.model, prompt, start(pipe), time_grid(STEPS), WEIGHT))
    chosen = [steps[k] for k in (0, 3, 5, 8, 12, 20, 29)]
    return {
        "t": [step.t.item() for step in chosen],
        "z": [png_of(pipe.to_pictures(step.z)[0]) for step in chosen],
        "denoised": [png_of(pipe.to_pictures(step.denoised)[0]) for step in chosen],
    }


SHOWN = (  # pictures of each line: the key, what is written below, and whose size
    (("z", "z", "z"), ("x_emb", "x_emb", "x_emb")),
    (("tokens", "tokens", "tokens"),),
    (("hidden", "rows apart", None),),
    (("back", "back", "back"),),
    (("v_cond", "v_cond", "v_cond"), ("v_uncond", "v_uncond", "v_uncond")),
    (("v", "v", "v"),),
    (("z_next", "z_next", "z_next"), ("denoised", "denoised", None)),
)


@figure("loop_example")
def running_example() -> Drawing:
    data = measured("loop", measure)["example"]
    side, wide, top = 78, 96, 46
    parts = []
    for k, (title, pictures) in enumerate(zip(STAGES, SHOWN, strict=True)):
        x = 6 + wide * k
        inside = [lines(x + side / 2, 16, title.split("\n"), 11.5, bold=True)]
        for r, (key, said, whose) in enumerate(pictures):
            y = top + r * (side + 44)
            part = [picture(x, y, side, data["pictures"][key], said), box(x, y, side, side, line=0.5, corner=0)]
            part.append(text(x + side / 2, y + side + 14, said, 11))
            if whose:
                told = f"size {data['size'][whose]:.2f}"
                part.append(text(x + side / 2, y + side + 28, told, 10, opacity=DARK))
            inside.append(f'<g class="part">{"".join(part)}</g>')
        parts.append(f'<g data-line="{k + 1}">{"".join(inside)}</g>')
    n, h = data["number"], data["t_next"] - data["t"]
    c, i, j = (p + 1 for p in PLACE)
    return Drawing(
        svg(6 + wide * 7, top + 2 * (side + 44), *parts),
        "Seven columns, one for each line of the loop, with small pictures of the tensors that the line computes: the"
        " latent, maps of six by six patches, the two velocities, the guided velocity and the next latent.",
        f"Step {STEP} for “{CAPTION}” (bundled model, steps 0 to {STEPS - 1}, t = {data['t']:.3f}), line by line. Latents and"
        f" velocities: four channels, orange below zero and purple above, from -{SCALE:g} to {SCALE:g}. Other maps:"
        " length of the vector at each patch (line 3: how far apart the two rows' hidden states are), dark least,"
        f" light most. Size is the root mean square. One number, channel {c}, row {i}, column {j}: v = {WEIGHT:g} ·"
        f" ({n['v_cond']:.4f}) - {WEIGHT - 1:g} · ({n['v_uncond']:.4f}) = {n['v']:.4f}, and z_next ="
        f" {n['z']:.4f} + {h:.5f} · ({n['v']:.4f}) = {n['z_next']:.4f}.",
    )


@figure("loop_apart")
def rows_apart() -> Drawing:
    data = measured("loop", measure)["apart"]
    each = np.array(data["each"])
    median = np.median(each, axis=1)
    drawing = Figure(figsize=(6.6, 2.8), layout="constrained")
    axes = drawing.subplots()
    least, most = each.min(axis=1), each.max(axis=1)
    axes.fill_between(data["t"], least, most, color=BLUE, alpha=0.25, lw=0, label="least to most")
    axes.plot(data["t"], median, color=BLUE, marker=".", label="median")
    axes.axvline(data["early until"], color=RED, lw=0.8, ls="--")
    axes.set(xlabel="t", ylabel="v_cond to v_uncond, %", ylim=(0, None))
    axes.legend(fontsize=9, framealpha=0)
    low = int(median.argmin())
    return Drawing(
        drawing,
        "A band with a line over t. It is high until about t = 0.2, falls to a few per cent, and rises a little at the"
        " end.",
        "How far the velocity without the prompt is from the one with it, in per cent of the latter's length:"
        f" {each.shape[1]} pictures ({len(PROMPTS)} captions, {len(SEEDS)} noises), guidance {WEIGHT:g}. Until t ="
        f" {data['early until']:.2f} (dashed) it lies between {data['early least, %']:.0f} and"
        f" {data['early most, %']:.0f} %. The median is {median[0]:.0f} % at t = 0 and smallest at"
        f" t = {data['t'][low]:.2f}, with {median[low]:.0f} %.",
    )


@figure("loop_strip")
def film() -> Drawing:
    data, side, left = measured("loop", measure)["strip"], 84, 84
    parts = []
    for row, (name, said) in enumerate((("z", ["latent z"]), ("denoised", ["denoised", "prediction"]))):
        y = 22 + row * (side + 8)
        parts.append(lines(left - 8, y + side / 2, said, 12, anchor="end"))
        for k, png in enumerate(data[name]):
            parts.append(picture(left + k * (side + 6), y, side, png, f"{name} at t = {data['t'][k]:.2f}"))
    for k, t in enumerate(data["t"]):
        parts.append(text(left + k * (side + 6) + side / 2, 14, f"t = {t:.2f}", 11.5))
    return Drawing(
        svg(left + len(data["t"]) * (side + 6), 2 * (side + 8) + 24, *parts),
        "Two rows of seven pictures. The upper row shows blots that become the scene only late. The lower row shows"
        " a blurred scene early and the finished one long before the end.",
        f"“{CAPTION}”, decoded at {len(data['t'])} of the {STEPS} steps. Above: the latent itself. Below: the denoised"
        " prediction z + (1 - t) v of the same step. It shows the scene long before the latent does.",
    )


if __name__ == "__main__":
    main()
