"""The figures of the chapter on numerics: python docs/figures/numerics.py [NAME ...]

What takes long is measured once, with the bundled model on a CPU, and kept in data/numerics.json: delete it to measure
it again (five minutes, one thread).
"""

import os
import warnings
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from canvas import BLUE, GREEN, INK, ORANGE, OUT, RED, Drawing, figure, main, measured
from diffusers import AutoencoderKL
from diffusers.image_processor import VaeImageProcessor
from diffusers.utils import logging
from matplotlib.figure import Figure
from safetensors.torch import load_file
from svg import DARK, box, lines, path, picture, png_of, svg, text, tips
from torch import Tensor, nn

from janus_minimal import JanusFlow, JanusFlowPipeline, PromptPair, guide
from janus_minimal.pipeline import image_noise
from janus_minimal.prompt import TEMPLATE

CAPTIONS = (
    "a red circle left of a blue square",
    "three purple stars",
    "a yellow cross and a green triangle",
    "a green star",
    "four orange circles",
    "a blue triangle above a red star",
    "two squares",
    "an orange cross",
)
STEPS, WEIGHT = 30, 2.0
GOLDEN = OUT.parent.parent.parent / "tests" / "golden" / "golden.safetensors"
LARGEST_HALF = torch.finfo(torch.float16).max
FACTORS = (1, 1000, 10000)  # of one convolution of the VAE, whose result the next layer normalises


@torch.no_grad()
def measure() -> dict[str, Any]:
    """Measure everything with the bundled model."""
    logging.set_verbosity_error()  # diffusers warns of every cast of a VAE, and casts are what is measured here
    pipe = JanusFlowPipeline.from_pretrained("shapes")
    return {
        "variants": variants(pipe),
        "batch": batch(pipe),
        "steps": by_steps(pipe),
        "golden": golden(),
        "rope": rope(),
        "vae": vae(pipe),
    }


def loop(
    model: JanusFlow,
    pair: PromptPair,
    z: Tensor,
    steps: int = STEPS,
    told: bool = False,
    step: bool = False,
    state: bool = False,
    low: torch.dtype = torch.bfloat16,
) -> list[Tensor]:
    """Take Euler steps with some numbers rounded to a lower precision. Return every latent.

    told: the time that the network is told. step: the length of a step. state: noise, velocity and latent.
    """

    def rounded(x: Tensor, where: bool) -> Tensor:
        return x.to(low).float() if where else x

    cache, z, latents = model.prefill(pair), rounded(z, state), []
    h = rounded(torch.tensor(1 / steps), step)
    for k in range(steps):
        t = rounded(torch.tensor(1000 * k / steps), told) / 1000
        v = rounded(guide(*model.velocity(z, t, pair, cache), WEIGHT), state)
        z = rounded(z + rounded(h * v, state), state)
        latents.append(z)
    return latents


def relative(a: Tensor, b: Tensor) -> Tensor:
    """Return the distance of each latent from its reference, in per cent of the reference's length."""
    return 100 * (a - b).flatten(1).norm(dim=1) / b.flatten(1).norm(dim=1)


def with_rounded_table(model: JanusFlow) -> JanusFlow:
    """Return the model with the rotary table rounded to bfloat16, as a plain cast of the model would do."""
    other = deepcopy(model)
    other.llama.rotary_emb.inv_freq = other.llama.rotary_emb.inv_freq.bfloat16().float()
    return other


def variants(pipe: JanusFlowPipeline) -> dict[str, Any]:
    """Return how far the last latents move when some numbers are rounded, in per cent: median and range."""
    pair = PromptPair.from_text(CAPTIONS, pipe.tokenizer)
    z = image_noise(pipe.latent_shape, len(CAPTIONS), torch.Generator().manual_seed(0))
    half, other = (JanusFlow.from_pretrained("shapes", dtype=d) for d in (torch.bfloat16, torch.float16))
    every = {"told": True, "step": True, "state": True}
    cases = {
        "time told": (pipe.model, {"told": True}),
        "length of a step": (pipe.model, {"step": True}),
        "noise, velocity, latent": (pipe.model, {"state": True}),
        "rotary table": (with_rounded_table(pipe.model), {}),
        "weights and activations": (half, {}),
        "everything": (half, every),
        "float16: weights and activations": (other, {}),
    }
    exact = loop(pipe.model, pair, z)
    found: dict[str, Any] = {"captions": len(CAPTIONS), "exact": shown(pipe, exact[-1])}
    for name, (model, how) in cases.items():
        latents = loop(model, pair, z, **how)
        error = relative(latents[-1], exact[-1])
        found[name] = {
            "median": error.median().item(),
            "least": error.min().item(),
            "most": error.max().item(),
            "worst": int(error.argmax()),
            "by step": [relative(a, b).median().item() for a, b in zip(latents, exact, strict=True)],
            "pictures": shown(pipe, latents[-1]),
        }
    return found


def batch(pipe: JanusFlowPipeline) -> dict[str, Any]:
    """Return how far eight pictures in one batch are from the same eight drawn one by one, in per cent."""
    half = JanusFlow.from_pretrained("shapes", dtype=torch.bfloat16)
    z = image_noise(pipe.latent_shape, len(CAPTIONS), torch.Generator().manual_seed(0))
    given = {"other lengths": CAPTIONS, "one length": CAPTIONS[:1] * len(CAPTIONS)}
    found: dict[str, Any] = {"lengths": [len(pipe.tokenizer.encode(TEMPLATE.format(prompt=c))) - 1 for c in CAPTIONS]}
    for name, captions in given.items():
        for dtype, model in (("float32", pipe.model), ("bfloat16", half)):
            together, alone = first_and_last(pipe, model, captions, z), one_by_one(pipe, model, captions, z)
            found[f"{name}, {dtype}"] = between(together, alone)
    exact, rounded = (one_by_one(pipe, model, CAPTIONS, z) for model in (pipe.model, half))
    return found | {"bfloat16 against float32": between(rounded, exact)}


def first_and_last(
    pipe: JanusFlowPipeline, model: JanusFlow, captions: Sequence[str], z: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the first guided velocity and the last latent of each caption, computed in one batch."""
    pair = PromptPair.from_text(captions, pipe.tokenizer)
    v = guide(*model.velocity(z, torch.tensor(0.0), pair, model.prefill(pair)), WEIGHT)
    return v, loop(model, pair, z)[-1]


def one_by_one(pipe: JanusFlowPipeline, model: JanusFlow, captions: Sequence[str], z: Tensor) -> tuple[Tensor, Tensor]:
    """Return the same, computed in batches of one."""
    each = [first_and_last(pipe, model, [caption], z[i : i + 1]) for i, caption in enumerate(captions)]
    return torch.cat([v for v, _ in each]), torch.cat([last for _, last in each])


def between(a: tuple[Tensor, Tensor], b: tuple[Tensor, Tensor]) -> dict[str, float]:
    """Return how far velocities and latents are apart, and how many of the velocities are equal to the bit."""
    found: dict[str, float] = {"equal": sum(x.equal(y) for x, y in zip(a[0], b[0], strict=True))}
    for name, x, y in zip(("first velocity", "latent"), a, b, strict=True):
        error = relative(x, y)
        found |= {f"{name}, median": error.median().item(), f"{name}, most": error.max().item()}
    return found


def shown(pipe: JanusFlowPipeline, z: Tensor) -> list[str]:
    return [png_of(found) for found in pipe.to_pictures(z)]


def by_steps(pipe: JanusFlowPipeline) -> dict[str, list[float]]:
    """Return the error of a bfloat16 latent, and of a bfloat16 network, for several numbers of steps."""
    pair = PromptPair.from_text(CAPTIONS[:2], pipe.tokenizer)
    z = image_noise(pipe.latent_shape, 2, torch.Generator().manual_seed(0))
    half = JanusFlow.from_pretrained("shapes", dtype=torch.bfloat16)
    found: dict[str, list[float]] = {"steps": [10, 30, 100, 300], "latent": [], "weights": []}
    for steps in found["steps"]:
        exact = loop(pipe.model, pair, z, steps)[-1]
        found["latent"].append(relative(loop(pipe.model, pair, z, steps, state=True)[-1], exact).mean().item())
        found["weights"].append(relative(loop(half, pair, z, steps)[-1], exact).mean().item())
    return found


def golden() -> dict[str, float]:
    """Return how far the official modules' own bfloat16 loop ends from their float32 loop, in per cent."""
    values = load_file(GOLDEN)
    error = relative(values["loop_bf16_z"][-1].float(), values["loop_w_z"][-1])
    return {"least": error.min().item(), "most": error.max().item()}


def rope(width: int = 128, position: int = 596) -> dict[str, float]:
    """Return the largest error of an angle, in radians, if the released model's rotary table is rounded to bfloat16."""
    table = 10000.0 ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    apart = (table - table.bfloat16().double()).abs() * position
    pair = int(apart.argmax())
    return {"radians": apart.max().item(), "pair": pair, "frequency": table[pair].item(), "position": position}


def vae(pipe: JanusFlowPipeline) -> dict[str, Any]:
    """Decode one latent in three precisions, with one convolution made larger by a factor that changes nothing."""
    pair = PromptPair.from_text(CAPTIONS[0], pipe.tokenizer)
    z = loop(pipe.model, pair, image_noise(pipe.latent_shape, 1, torch.Generator().manual_seed(0)))[-1]
    z = z / pipe.vae.config.scaling_factor
    found: dict[str, Any] = {"largest half": LARGEST_HALF}
    right = pipe.vae.decode(z).sample
    for factor in FACTORS:
        larger = deepcopy(pipe.vae)
        convolution = larger.decoder.mid_block.resnets[1].conv1
        convolution.weight.mul_(factor)
        convolution.bias.mul_(factor)
        found[str(factor)] = {"largest activation": largest_activation(larger, z)}
        for dtype in (torch.float32, torch.bfloat16, torch.float16):
            pixels = deepcopy(larger).to(dtype).decode(z.to(dtype)).sample.float()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # NaN becomes 0 here: that is the black picture
                shown_ = VaeImageProcessor().postprocess(pixels)[0]
            found[str(factor)][str(dtype).removeprefix("torch.")] = {
                "finite": bool(pixels.isfinite().all()),
                "apart": (pixels - right).abs().max().nan_to_num(0).item(),
                "picture": png_of(shown_),
            }
    return found


def largest_activation(network: AutoencoderKL, z: Tensor) -> float:
    """Return the largest number that any convolution of the decoder gives, in float32."""
    most: list[float] = []
    layers = [module for module in network.decoder.modules() if isinstance(module, nn.Conv2d)]
    hooks = [layer.register_forward_hook(lambda _, __, out: most.append(out.abs().max().item())) for layer in layers]
    network.decode(z)
    for hook in hooks:
        hook.remove()
    return max(most)


def low(x: float) -> float:
    """Return the nearest bfloat16 number."""
    return torch.tensor(x).bfloat16().item()


@figure("numerics_grid")
def number_line() -> Drawing:
    """Two pieces of the bfloat16 number line."""
    parts, found = [], []
    for y, exact, first, gap, name in (
        (60, 29000 / 30, 956, 4, "time of step 29, times 1000"),
        (150, 1 / 30, 134 * 2**-12, 2**-12, "length of a step, 1/30"),
    ):
        near = low(exact)
        found.append((exact, near))
        parts.append(text(20, y - 32, name, 12, "start", bold=True))
        parts.append(path(f"M20 {y}H640", line=1, opacity=0.6))
        for k in range(6):
            x, number = 50 + 110 * k, first + gap * k
            parts.append(path(f"M{x} {y - 6}V{y + 6}", line=1.2))
            label = f"{number:.0f}" if gap > 1 else f"{number:.6f}"
            parts.append(text(x, y + 22, label, 11, opacity=DARK))
        at, to = (50 + 110 * (number - first) / gap for number in (exact, near))
        parts.append(f'<circle cx="{at:.1f}" cy="{y}" r="4.5" fill="{RED}"/>')
        said = f"{exact:.2f}" if gap > 1 else f"{exact:.6f}"
        parts.append(text(at, y - 14, said, 11.5, colour=RED, bold=True))
        parts.append(path(f"M{at:.1f} {y}L{to + (-5 if to > at else 5):.1f} {y}", RED, 2.5, tip=True))
    (time, told), (step, taken) = found
    return Drawing(
        svg(660, 184, tips(RED), *parts),
        "Two number lines with marks at the numbers that bfloat16 can hold. A red point between two marks moves to"
        " the nearer one.",
        f"Marks: numbers that bfloat16 can hold. Red: what is meant, and where rounding moves it. {time:.2f} becomes"
        f" {told:.0f}, and {step:.6f} becomes {taken:.6f}; {STEPS} steps of this length end at t ="
        f" {STEPS * taken:.4f}.",
    )


@figure("numerics_clock")
def clock() -> Drawing:
    steps = np.arange(STEPS + 1)
    exact = 1000 * steps / STEPS
    told = np.array([low(t) for t in exact]) - exact
    walked = 1000 * steps * low(1 / STEPS) - exact
    drawing = Figure(figsize=(6.6, 2.9), layout="constrained")
    axes = drawing.subplots()
    axes.plot(steps[:-1], told[:-1], "-", color=BLUE, marker=".", label="what the network is told")
    axes.plot(steps, walked, "--", color=RED, marker=".", label="where the latent is: steps of bfloat16's 1/30")
    axes.axhline(0, color=INK, lw=0.6)
    axes.set(xlabel="step k", ylabel="error of t, in thousandths")
    axes.legend(fontsize=9, framealpha=0)
    worst = int(np.abs(told[:-1]).argmax())
    return Drawing(
        drawing,
        "Two curves over the steps: one jumps around zero, more widely at late steps; the other rises in a straight"
        " line.",
        f"What a bfloat16 clock does in {STEPS} steps. The time that the network is told is off by at most"
        f" {abs(told[worst]):.2f} thousandths of t (step {worst}). The latent runs ahead of it, because every step is a little too"
        f" long: at the end by {walked[-1]:.2f} thousandths of t, so that it stops at t = {1 + walked[-1] / 1000:.4f}.",
    )


NAMES = {
    "time told": "the time told, 1000 t",
    "length of a step": "the length of a step",
    "noise, velocity, latent": "noise, velocity and latent",
    "rotary table": "the rotary table",
    "weights and activations": "weights and activations (ours)",
    "everything": "all of these (as in the demo)",
    "float16: weights and activations": "weights and activations, float16",
}


@figure("numerics_variants")
def rounding() -> Drawing:
    data = measured("numerics", measure)["variants"]
    drawing = Figure(figsize=(6.9, 3.2), layout="constrained")
    axes = drawing.subplots()
    for i, name in enumerate(NAMES):
        found, colour = (
            data[name],
            GREEN if "float16" in name else ORANGE if name == "weights and activations" else BLUE,
        )
        axes.plot([found["least"], found["most"]], [-i, -i], "-", color=colour, lw=2.5, alpha=0.5)
        axes.plot(found["median"], -i, "o", color=colour, ms=7)
    axes.set_yticks([-i for i in range(len(NAMES))], list(NAMES.values()))
    axes.set(xscale="log", xlabel="distance from the float32 latent, % of its length")
    axes.set_xticks([0.02, 0.05, 0.1, 0.2, 0.5, 1, 2], ["0.02", "0.05", "0.1", "0.2", "0.5", "1", "2"])
    axes.minorticks_off()
    ours, latent, all_ = (data[name] for name in ("weights and activations", "noise, velocity, latent", "everything"))
    return Drawing(
        drawing,
        "Seven lines with a dot each on a logarithmic scale. The rotary table and the time told are lowest; the"
        " latent and everything together reach furthest to the right.",
        "What is rounded to bfloat16, and how far the final latent moves (dot: median, line: range of"
        f" {data['captions']} captions). Weights and activations: median {ours['median']:.2f} %, at most"
        f" {ours['most']:.2f} %. Noise, velocity and latent, with exact weights: median {latent['median']:.2f} %, at"
        f" most {latent['most']:.2f} %. All together: median {all_['median']:.2f} %, at most {all_['most']:.2f} %.",
    )


@figure("numerics_drift")
def drift() -> Drawing:
    data = measured("numerics", measure)["variants"]
    drawing = Figure(figsize=(6.6, 2.7), layout="constrained")
    axes = drawing.subplots()
    lines_ = {"weights and activations": (ORANGE, "-"), "everything": (RED, "--")}
    for name, (colour, style) in lines_.items():
        axes.plot(range(1, STEPS + 1), data[name]["by step"], style, color=colour, marker=".", label=NAMES[name])
    axes.set(xlabel="after step", ylabel="distance, %", ylim=(0, None))
    axes.legend(fontsize=9, framealpha=0)
    first, last = ({name: data[name]["by step"][i] for name in lines_} for i in (0, -1))
    a, b = lines_
    return Drawing(
        drawing,
        "Two rising curves over the steps. The one for everything in bfloat16 begins higher and ends higher.",
        "Median distance of the latent from the float32 run, step by step. With bfloat16 weights it grows from"
        f" {first[a]:.3f} % to {last[a]:.2f} %. With everything in bfloat16 it begins at {first[b]:.2f} %, because"
        f" the noise itself is rounded, and ends at {last[b]:.2f} %.",
    )


@figure("numerics_steps")
def more_steps() -> Drawing:
    data = measured("numerics", measure)["steps"]
    drawing = Figure(figsize=(6.6, 2.6), layout="constrained")
    axes = drawing.subplots()
    axes.loglog(data["steps"], data["latent"], "-", color=RED, marker="o", label="bfloat16 latent")
    axes.loglog(data["steps"], data["weights"], "--", color=ORANGE, marker="s", label="bfloat16 weights (ours)")
    axes.set_xticks(data["steps"], [str(s) for s in data["steps"]])
    axes.minorticks_off()
    axes.set_yticks([0.5, 1, 2, 5], ["0.5", "1", "2", "5"])
    axes.set(xlabel="steps", ylabel="distance, %")
    axes.legend(fontsize=9, framealpha=0)
    said = ", ".join(f"{error:.2f} % at {n}" for n, error in zip(data["steps"], data["latent"], strict=True))
    ours = ", ".join(f"{error:.2f} % at {n}" for n, error in zip(data["steps"], data["weights"], strict=True))
    return Drawing(
        drawing,
        "Two curves over the number of steps, on logarithmic scales. The one for a bfloat16 latent rises steeply after"
        " 30 steps, the other falls slowly.",
        "Distance of the final latent from a float32 run with as many steps (mean of two captions). With a bfloat16"
        f" latent: {said} steps. With bfloat16 weights and a float32 latent: {ours} steps.",
    )


@figure("numerics_pictures")
def same_noise() -> Drawing:
    data = measured("numerics", measure)["variants"]
    worst = data["everything"]["worst"]
    columns = {
        "exact": ["float32"],
        "weights and activations": ["bfloat16 weights", "(ours)"],
        "noise, velocity, latent": ["bfloat16 noise,", "velocity, latent"],
        "everything": ["everything", "in bfloat16"],
        "float16: weights and activations": ["float16 weights"],
    }
    side, parts, told = 112, [], []
    for i, (name, words) in enumerate(columns.items()):
        png = data["exact"][worst] if name == "exact" else data[name]["pictures"][worst]
        parts.append(picture(4 + i * (side + 12), 4, side, png, " ".join(words)))
        parts.append(lines(4 + i * (side + 12) + side / 2, side + 20, words, 12))
        told.append(png)
    return Drawing(
        svg(5 * (side + 12), side + 42, *parts),
        "Five small pictures of the same scene that can hardly be told apart.",
        f"The caption that everything in bfloat16 moves most ({data['everything']['most']:.1f} %),"
        f" “{CAPTIONS[worst]}”, from one noise in five precisions. Rounding of this size moves edges and shades; the"
        " scene stays.",
    )


@figure("numerics_vae")
def vae_overflow() -> Drawing:
    data, side = measured("numerics", measure)["vae"], 96
    dtypes = ("float32", "bfloat16", "float16")
    parts = [text(150 + i * (side + 16) + side / 2, 22, dtype, 12.5, bold=True) for i, dtype in enumerate(dtypes)]
    for r, factor in enumerate(FACTORS):
        found, y = data[str(factor)], 34 + r * (side + 12)
        parts.append(text(138, y + 36, f"factor {factor:,}", 12.5, "end", bold=True))
        parts.append(text(138, y + 54, "largest activation", 10.5, "end", opacity=DARK))
        parts.append(text(138, y + 69, f"{found['largest activation']:,.0f}", 11.5, "end"))
        for i, dtype in enumerate(dtypes):
            parts.append(picture(150 + i * (side + 16), y, side, found[dtype]["picture"], f"{dtype}, factor {factor}"))
            parts.append(box(150 + i * (side + 16), y, side, side, line=0.5, corner=0))
            if not found[dtype]["finite"]:
                parts.append(text(150 + i * (side + 16) + side / 2, y + side / 2 + 4, "NaN", 13, colour="#ffffff"))
    largest = {factor: data[str(factor)]["largest activation"] for factor in FACTORS}
    finite = [factor for factor in FACTORS if data[str(factor)]["float16"]["finite"]]
    broken = [factor for factor in FACTORS if factor not in finite]
    apart = max(data[str(factor)]["float32"]["apart"] for factor in FACTORS)
    return Drawing(
        svg(500, 34 + len(FACTORS) * (side + 12), *parts),
        "A grid of nine pictures, three precisions by three factors. Eight show the same scene; the one in float16"
        " with the largest factor is black.",
        "The bundled VAE decodes one latent. One convolution is made larger by a factor that the normalisation"
        f" after it removes, so in float32 the picture is the same (within {apart:.0e}). With factor {broken[0]:,}"
        f" an activation reaches {largest[broken[0]]:,.0f}, more than float16's largest number,"
        f" {data['largest half']:,.0f}: the picture is NaN, shown black. The VAE as it is (factor 1) reaches"
        f" {largest[1]:.0f} and is safe in all three.",
    )


if __name__ == "__main__":
    main()
