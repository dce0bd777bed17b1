"""The figures of the chapter on the U-ViT: its blocks, what its parts do, and what the skip carries.

    python docs/figures/uvit.py

draws them from data/uvit.json. Delete that file first to measure again, which takes some minutes.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import matplotlib.pyplot as plt
import numpy as np
import torch
from canvas import BLUE, GREEN, INK, ORANGE, PINK, RED, SKY, Drawing, figure, main
from einops import rearrange
from machine import (
    album,
    arrow,
    box,
    broken,
    changed_pictures,
    errors,
    examples,
    kept,
    pipeline,
    replaced,
    rows,
    svg,
    text,
    velocities,
)
from torch import Tensor, nn
from torch.nn import functional as F

from janus_minimal.config import JanusConfig
from janus_minimal.model import JanusFlow

TIMES = [0.02, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.98]
EACH = 6  # captions of each category


# What is measured.


def parameters() -> dict:
    """Count the parameters of every part, at both sizes."""
    bundled = pipeline().model.config
    with torch.device("meta"):
        models = {"released": JanusFlow(JanusConfig()), "bundled": JanusFlow(bundled)}
    answer = {}
    for name, model in models.items():
        encoder, decoder = model.vision_gen_enc_model, model.vision_gen_dec_model
        block = encoder.mid_block.res_blocks[0]
        named = {
            "encoder": encoder,
            "in_conv": encoder.in_conv,
            "time_embed": encoder.time_embed,
            "encoder blocks": encoder.mid_block,
            "decoder": decoder,
            "decoder blocks": decoder.mid_block,
            "out_convs": decoder.out_convs,
            "language model": model.llama,
            "align in": model.vision_gen_enc_aligner,
            "align out": nn.ModuleList([model.vision_gen_dec_aligner_norm, model.vision_gen_dec_aligner]),
            "one encoder block": block,
            "depthwise": block.depthwise,
            "linear_1": block.channelwise_linear_1,
            "GRN": block.channelwise_norm,
            "linear_2": block.channelwise_linear_2,
            "mapper": block.cond_embeds_mapper,
            "all": model,
        }
        answer[name] = {key: sum(p.numel() for p in part.parameters()) for key, part in named.items()}
        channels = model.config.encoder.channels
        answer[name]["full 7 x 7"] = 49 * channels**2
    return answer


@contextmanager
def skip_as(change) -> Iterator[None]:
    """Give the decoder change(skip) in place of the skip, for a while."""
    with replaced(pipeline().model, "decode", lambda decode, back, t_emb, skip: decode(back, t_emb, change(skip))):
        yield


def noise_like(x: Tensor) -> Tensor:
    """Return noise with the mean and the standard deviation that each channel of x has."""
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(11))
    mean, std = x.mean((0, 2, 3), keepdim=True), x.std((0, 2, 3), keepdim=True)
    return mean + std * noise


def unit_rows(x: Tensor) -> Tensor:
    """Return x with every position's channel vector brought to the mean length."""
    length = x.norm(dim=1, keepdim=True)
    return x / length * length.mean()


@contextmanager
def language_model_silent() -> Iterator[None]:
    """Give the decoder zeros in place of what comes back from the language model, for a while."""
    with replaced(
        pipeline().model, "decode", lambda decode, back, t_emb, skip: decode(torch.zeros_like(back), t_emb, skip)
    ):
        yield


@contextmanager
def without_grn() -> Iterator[None]:
    """Make every response norm the identity, for a while."""
    model = pipeline().model
    blocks = [*model.vision_gen_enc_model.mid_block.res_blocks, *model.vision_gen_dec_model.mid_block.res_blocks]
    with ExitStack() as stack:
        for block in blocks:
            stack.enter_context(replaced(block.channelwise_norm, "forward", lambda _forward, x: x))
        yield


VARIANTS = {
    "intact": ExitStack,
    "skip zero": lambda: skip_as(torch.zeros_like),
    "skip noise": lambda: skip_as(noise_like),
    "skip equal length": lambda: skip_as(unit_rows),
    "language model silent": language_model_silent,
    "GRN off": without_grn,
}


def probes() -> dict:
    """Ask by linear regression what is in the skip, and what comes back from the language model.

    From one position's channels, its patch of z_t (16 numbers) and its patch of z_1 are predicted. Half of the scenes
    teach, the other half are asked. R^2 is the share of the variance that is predicted.
    """
    model, each = pipeline().model, 40
    _, z_1, z_0 = examples(each)
    chosen = torch.randperm(len(z_1), generator=torch.Generator().manual_seed(0))
    answer: dict = {"times": [0.05, 0.2, 0.4, 0.6, 0.8, 0.95]}

    def patches(z: Tensor) -> Tensor:
        return rearrange(z, "b c (h p) (w q) -> b (h w) (c p q)", p=2, q=2)

    for t in answer["times"]:
        z_t = (1 - t) * z_0 + t * z_1
        seen = []

        def decode(original, back, t_emb, skip, seen=seen):
            seen += [back, skip]
            return original(back, t_emb, skip)

        with replaced(model, "decode", decode):
            model(z_t, torch.tensor(t), rows(each))
        for name, x in zip(("language model", "skip"), seen, strict=True):
            x = rearrange(x, "b C h w -> b (h w) C")
            for target, y in {"z_t": patches(z_t), "z_1": patches(z_1)}.items():
                answer.setdefault(f"{target} from {name}", []).append(r_squared(x[chosen], y[chosen]))
    return answer


def r_squared(x: Tensor, y: Tensor) -> float:
    """Return the share of y's variance that a ridge regression from x predicts on the second half of the scenes."""
    half = len(x) // 2
    x, y = x.double(), y.double()
    x = F.pad((x - x.mean((0, 1))) / x.std((0, 1)).clamp(min=1e-6), (0, 1), value=1)
    a, b = x[:half].flatten(0, 1), y[:half].flatten(0, 1)
    weights = torch.linalg.solve(a.T @ a + 1.0 * torch.eye(a.shape[1]), a.T @ b)
    rest = y[half:] - x[half:] @ weights
    spread = y[half:] - y[half:].mean((0, 1))
    return 1 - (rest.square().sum() / spread.square().sum()).item()


def response_norms() -> dict:
    """Record what the response norm does in each block: norms over the mean, and the factor weight n + 1."""
    model = pipeline().model
    blocks = {
        "encoder 1": model.vision_gen_enc_model.mid_block.res_blocks[0],
        "encoder 2": model.vision_gen_enc_model.mid_block.res_blocks[1],
        "decoder 1": model.vision_gen_dec_model.mid_block.res_blocks[0],
        "decoder 2": model.vision_gen_dec_model.mid_block.res_blocks[1],
    }
    answer = {}
    with ExitStack() as stack:
        for name, block in blocks.items():

            def forward(original, x, name=name, norm=block.channelwise_norm):
                g = x.norm(dim=(1, 2))
                n = (g / g.mean(-1, keepdim=True)).mean(0)
                factor = norm.weight.flatten() * n + 1
                flat = F.normalize(x.flatten(0, 2).T, dim=1)  # 4K positions
                likeness = flat @ flat.T
                answer[name] = {
                    "n": n.sort(descending=True).values,
                    "factor": factor[n.argsort(descending=True)],
                    "below a tenth": (n < 0.1).float().mean().item(),
                    "negative": (norm.weight < 0).float().mean().item(),
                    "distance": (1 - likeness).mean().item() / 2,
                }
                return original(x)

            stack.enter_context(replaced(block.channelwise_norm, "forward", forward))
        velocities(0.4, EACH)
    return answer


def sight() -> dict:
    """Differentiate the velocity of one patch by the latent at each patch, with and without the language model."""
    pipe = pipeline()
    _, z_1, z_0 = examples(1)
    answer = {}
    for name, t in {"early": 0.1, "late": 0.7}.items():
        for way in ("whole", "convolutions alone"):
            z = ((1 - t) * z_0 + t * z_1).requires_grad_()
            held: list[Tensor] = []
            change = (
                (lambda backbone, tokens, r, cache: backbone(tokens, r, cache).detach())
                if way != "whole"
                else (lambda backbone, *a: backbone(*a))
            )
            with torch.enable_grad(), replaced(pipe.model, "backbone", change):
                v = pipe.model(z, torch.tensor(t), rows(1))
                out = v[:, :, 4:6, 4:6]  # the patch in row 2, column 2
                for seed in range(8):
                    direction = torch.randn(out.shape, generator=torch.Generator().manual_seed(seed))
                    (grad,) = torch.autograd.grad((out * direction).sum(), z, retain_graph=seed < 7)
                    held.append(grad.square())
            total = torch.stack(held).mean(0).sum(1).mean(0)  # 12 12
            answer[f"{name}, {way}"] = rearrange(total, "(h p) (w q) -> h w (p q)", p=2, q=2).sum(-1).sqrt()
    return answer


def gelus() -> dict:
    """Measure how far the two GELUs are apart."""
    x = torch.linspace(-6, 6, 120001, dtype=torch.float64)
    gap = F.gelu(x, approximate="tanh") - F.gelu(x)
    at = gap.abs().argmax()
    return {"most": gap.abs().max().item(), "at": abs(x[at].item())}


MEASURES = {
    "parameters": parameters,
    "gelu": gelus,
    "response norms": response_norms,
    "probes": probes,
    "sight": sight,
    **{f"errors, {name}": (lambda change=VARIANTS[name]: errors(change, TIMES, EACH)) for name in VARIANTS},
    **{f"pictures, {name}": (lambda change=VARIANTS[name]: changed_pictures(change, EACH)) for name in VARIANTS},
}


def data(key: str) -> dict:
    """Return one of the measurements."""
    return kept("uvit", key, MEASURES[key])


# Drawings.


@figure("uvit_whole")
def whole() -> Drawing:
    """Draw the whole model as a U."""
    left, right, width = 20, 560, 210
    small = "font-style='italic'"
    drawing = svg(
        790,
        452,
        # down
        box(left, 8, width, 36, "z_t: 4 x 48 x 48", GREEN),
        arrow([(125, 44), (125, 64)]),
        box(left, 66, width, 40, "Conv2d 2 x 2, stride 2", BLUE),
        text(132, 124, "768 x 24 x 24", 11, "start", more=small),
        arrow([(125, 106), (125, 132)]),
        box(left, 134, width, 40, "2 ConvNeXt blocks", BLUE),
        arrow([(125, 174), (125, 262)]),
        box(left, 264, width, 40, "Linear 768 to 2048", ORANGE),
        arrow([(125, 304), (125, 346)]),
        text(132, 330, "576 image tokens", 11, "start", more=small),
        # the language model
        box(left, 348, 750, 50, "", PINK),
        text(395, 370, "language model: 24 Llama layers, causal", 13),
        text(395, 388, "prompt tokens, then the time token, then 576 image tokens, each of width 2048", 11.5),
        arrow([(40, 430), (40, 400)]),
        text(50, 424, "prompt: L tokens, embedded", 11.5, "start"),
        # up
        arrow([(665, 348), (665, 306)]),
        text(658, 330, "576 hidden states", 11, "end", more=small),
        box(right, 264, width, 40, "RMSNorm, Linear 2048 to 768", ORANGE, 12),
        arrow([(665, 264), (665, 240)]),
        box(right, 198, width, 40, "[ RMSNorm(back) ; skip ]", BLUE),
        text(658, 191, "1536 x 24 x 24", 11, "end", more=small),
        arrow([(665, 198), (665, 176)]),
        box(right, 134, width, 40, "2 ConvNeXt blocks, 1536 wide", BLUE, 12),
        arrow([(665, 134), (665, 108)]),
        box(right, 66, width, 40, "RMSNorm, 1 x 1, pixel shuffle", BLUE),
        arrow([(665, 66), (665, 46)]),
        box(right, 8, width, 36, "v: 4 x 48 x 48", GREEN),
        # the skip
        arrow([(125, 218), (558, 218)], RED, 2.5),
        text(150, 212, "skip = x_emb", 12, "start", RED),
        text(410, 212, "768 x 24 x 24", 12, "start", RED),
        # the time
        box(300, 8, 190, 54, "1000 t: sinusoids 768|time_embed: t_emb 2048", SKY),
        arrow([(300, 52), (262, 52), (262, 154), (232, 154)], SKY, 1.6, True),
        arrow([(490, 52), (528, 52), (528, 154), (558, 154)], SKY, 1.6, True),
        text(268, 130, "scale, shift", 11, "start", SKY),
        text(522, 130, "scale, shift", 11, "end", SKY),
        arrow([(395, 62), (395, 346)], SKY, 1.6),
        text(402, 300, "one token", 11, "start", SKY),
    )
    count = data("parameters")["released"]
    return Drawing(
        drawing,
        "A diagram in the form of a U: down the left side the encoder, along the bottom the language model, up the "
        "right "
        "side the decoder. A red arrow, the skip, crosses from left to right. The time goes to both sides and to "
        "the bottom.",
        f"The released model. Blue: the U-ViT ({count['encoder'] / 1e6:.1f} M parameters on the left with the time "
        "embedding, "
        f"{count['decoder'] / 1e6:.1f} M on the right). Orange: the two aligners "
        f"({(count['align in'] + count['align out']) / 1e6:.1f} M). "
        f"Pink: the language model ({count['language model'] / 1e9:.2f} B). The skip (red) goes around the language "
        "model. The time "
        "goes two ways: into the blocks of both sides as scale and shift, and into the language model as one token.",
    )


@figure("uvit_block")
def block() -> Drawing:
    """Draw one ConvNeXt block."""
    count = data("parameters")["released"]
    steps = [
        ("depthwise|7 x 7", f"{count['depthwise']:,}", "K h w", BLUE),
        ("RMSNorm", "768", "h w K", SKY),
        ("Linear|K to 4K", f"{count['linear_1']:,}", "h w 4K", ORANGE),
        ("GELU", "0", "h w 4K", SKY),
        ("GRN", f"{count['GRN']:,}", "h w 4K", SKY),
        ("Linear|4K to K", f"{count['linear_2']:,}", "K h w", ORANGE),
    ]
    parts, x = [text(8, 88, "x", 15, "start"), arrow([(22, 84), (38, 84)])], 40
    for words, number, shape, colour in steps:
        parts += [
            box(x, 60, 84, 48, words, colour),
            text(x + 42, 126, number, 11),
            text(x + 42, 142, shape, 11, more="font-style='italic'"),
        ]
        parts.append(arrow([(x + 84, 84), (x + 102, 84)]))
        x += 104
    parts += [
        f'<circle cx="{x + 10}" cy="84" r="11" fill="none" stroke="{INK}" stroke-width="1.5"/>',
        text(x + 10, 89, "+", 16),
        arrow([(28, 84), (28, 28), (x + 10, 28), (x + 10, 71)], RED, 1.8),
        text(330, 20, "residual: x goes past the branch", 12, colour=RED),
        arrow([(x + 21, 84), (x + 37, 84)]),
        box(x + 39, 60, 104, 48, "FiLM: x (1+scale)|+ shift", GREEN, 11.5),
        arrow([(x + 143, 84), (x + 161, 84)]),
        box(x - 130, 176, 150, 36, "SiLU, Linear D to 2K", GREEN, 12),
        arrow([(x + 20, 194), (x + 91, 194), (x + 91, 110)], GREEN, 1.6),
        arrow([(x - 172, 194), (x - 132, 194)], GREEN, 1.6),
        text(x - 196, 199, "t_emb", 13),
        text(x - 55, 230, f"{count['mapper']:,}", 11),
    ]
    return Drawing(
        svg(x + 164, 240, *parts),
        "A row of boxes: depthwise convolution, RMSNorm, a linear layer that widens, GELU, GRN, a linear layer that "
        "narrows. "
        "A red arrow goes from the input past all of them to a plus sign. After the plus sign the time scales and "
        "shifts.",
        "One ConvNeXt block. Numbers below the boxes: parameters of a block of the released encoder, K = 768, D = 2048 "
        f"({count['one encoder block']:,} in all). Italic: the shape that leaves the box. The time acts after the "
        "sum, so it "
        "also changes what came along the red line.",
    )


@figure("uvit_cost")
def cost() -> Drawing:
    """Compare the parameters of a block with those of a full convolution."""
    count = data("parameters")["released"]
    picture, ax = plt.subplots(figsize=(7.5, 2.1), layout="constrained")
    parts = ("depthwise", "linear_1", "linear_2", "mapper")
    left = 0.0
    for part, colour in zip(parts, (BLUE, ORANGE, PINK, GREEN), strict=True):
        ax.barh(1, count[part] / 1e6, left=left, color=colour, label={"mapper": "FiLM's mapper"}.get(part, part))
        left += count[part] / 1e6
    ax.barh(0, count["full 7 x 7"] / 1e6, color="#999999")
    ax.set(
        yticks=[0, 1],
        yticklabels=["one full 7 x 7\nconvolution", "a whole\nConvNeXt block"],
        xlabel="million parameters",
    )
    ax.legend(frameon=False, fontsize=9, loc="center right", bbox_to_anchor=(1, 0.72))
    ratio = count["full 7 x 7"] / count["one encoder block"]
    return Drawing(
        picture,
        "Two bars: a whole ConvNeXt block is about a quarter as long as a single full convolution.",
        f"Parameters at K = 768. A full 7 x 7 convolution has {count['full 7 x 7'] / 1e6:.1f} M weights, {ratio:.1f} "
        "times as many as the whole "
        f"ConvNeXt block. The depthwise convolution has {count['depthwise']:,}; its bar is too thin to be seen.",
    )


@figure("uvit_windows")
def windows() -> Drawing:
    """Draw which patches a patch sees through the language model and through the convolutions."""
    cell, row, column = 11, 11, 11
    parts = []
    for index, (x0, title) in enumerate(
        ((10, "language model: causal"), (290, "one 7 x 7 convolution"), (570, "two 7 x 7 convolutions"))
    ):
        parts.append(text(x0 + 12 * cell, 16, title, 12.5))
        squares: dict[str, str] = {}  # of each colour, as one path: the drawing is a sixth as large
        for i in range(24):
            for j in range(24):
                seen = (
                    i * 24 + j <= row * 24 + column if index == 0 else max(abs(i - row), abs(j - column)) <= 3 * index
                )
                here = (i, j) == (row, column)
                colour = RED if here else (BLUE if index else ORANGE) if seen else "none"
                side = cell - 1.5
                square = f"M{x0 + cell * j} {26 + cell * i}h{side}v{side}h-{side}z"
                squares[colour] = squares.get(colour, "") + square
        parts += [
            f'<path d="{d}" fill="{colour}" fill-opacity="{1 if colour == RED else 0.6}" '
            f'stroke="{INK}" stroke-opacity="0.25" stroke-width="0.5"/>'
            for colour, d in squares.items()
        ]
    earlier = row * 24 + column
    return Drawing(
        svg(845, 26 + 24 * cell + 8, *parts),
        "Three grids of 24 x 24 cells around one red cell: everything above and to the left, a square of 7 x 7, a "
        "square of 13 x 13.",
        "What the patch in row 12, column 12, counted from 1 (red), can be told of at the released size. Left: in the language model "
        "it attends to itself and to the "
        f"{earlier} of 576 patches that come before it in raster order, and to none below it. Middle and right: "
        "convolutions see all "
        "directions, one block 7 x 7 = 49 patches, two blocks 13 x 13 = 169.",
    )


@figure("uvit_gelu")
def gelu() -> Drawing:
    """Draw GELU and how far its approximation is off."""
    x = torch.linspace(-5, 5, 501, dtype=torch.float64)
    picture, (left, right) = plt.subplots(1, 2, figsize=(8, 2.6), layout="constrained")
    left.plot(x, F.gelu(x), color=BLUE, label="GELU")
    left.plot(x, F.relu(x), color=INK, linewidth=1, linestyle=":", label="ReLU")
    left.set(xlabel="x", xlim=(-4, 3), ylim=(-0.4, 3))
    left.legend(frameon=False, fontsize=9)
    right.plot(x, 1000 * (F.gelu(x, approximate="tanh") - F.gelu(x)), color=RED)
    right.set(xlabel="x", ylabel="tanh - exact (1/1000)")
    told = data("gelu")
    return Drawing(
        picture,
        "Left: GELU, a smooth ReLU with a small dip below zero. Right: the difference of the two GELUs, a wave "
        "below a thousandth.",
        "Left: GELU beside ReLU. Right: the tanh approximation minus the exact GELU, in thousandths. It is at most "
        f"{told['most']:.5f}, at |x| = {told['at']:.1f}.",
    )


@figure("uvit_grn")
def grn() -> Drawing:
    """Draw the channels' norms, and what the response norm multiplies them by."""
    told = data("response norms")
    picture, (left, right) = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
    for (name, one), colour, style in zip(told.items(), (BLUE, SKY, ORANGE, RED), ("-", "--", "-", "--"), strict=True):
        share = np.linspace(0, 100, len(one["n"]))
        left.plot(share, one["n"], color=colour, linestyle=style, label=name)
        right.plot(one["n"], one["factor"], ".", markersize=3, color=colour)
    left.axhline(1, color=INK, linewidth=0.7)
    left.set(xlabel="channels, strongest first (%)", ylabel="n = norm / mean norm", ylim=(0, None))
    left.legend(frameon=False, fontsize=9)
    right.axhline(1, color=INK, linewidth=0.7)
    right.set(xlabel="n", ylabel="factor weight n + 1")
    most = max(max(one["n"]) for one in told.values())
    factors = [factor for one in told.values() for factor in one["factor"]]
    return Drawing(
        picture,
        "Left: four falling curves, a few channels far above the mean and most a little below it. Right: clouds of "
        "points, "
        "factors on both sides of one.",
        f"GRN in the four blocks of the bundled model, at t = 0.4. Left: the strongest channel has {most:.1f} times "
        "the mean norm. Right: "
        f"what each channel is multiplied by, from {min(factors):.2f} to {max(factors):.2f}; an untrained GRN "
        "multiplies everything by 1 "
        "(thin line). Here the strongest channels are damped: of the encoder's weights "
        f"{100 * told['encoder 1']['negative']:.0f} % and "
        f"{100 * told['encoder 2']['negative']:.0f} % are negative, of the decoder's "
        f"{100 * told['decoder 1']['negative']:.0f} % and {100 * told['decoder 2']['negative']:.0f} %.",
    )


@figure("uvit_probes")
def probe() -> Drawing:
    """Draw what can be read off the skip and off the language model's answer."""
    told = data("probes")
    picture, axes = plt.subplots(1, 2, figsize=(8, 2.9), sharey=True, layout="constrained")
    for ax, target, name in zip(axes, ("z_t", "z_1"), ("the noisy latent z_t", "the clean latent z_1"), strict=True):
        for source, colour in (("skip", RED), ("language model", PINK)):
            ax.plot(told["times"], told[f"{target} from {source}"], "o-", color=colour, label=f"from the {source}")
        ax.set(xlabel="time t", title=name, ylim=(0, 1.05))
        ax.title.set_fontsize(11)
    axes[0].set_ylabel("share of variance predicted")
    axes[0].legend(frameon=False, fontsize=9)
    low = min(told["z_t from skip"])
    back = told["z_t from language model"]
    i = told["times"].index(0.4)
    return Drawing(
        picture,
        "Two panels of two curves. Left: z_t is predicted almost perfectly from the skip and less well from the "
        "language model. "
        "Right: early, z_1 is predicted better from the language model.",
        "What a linear regression reads at one position. Left: its own patch of z_t. From the skip at least "
        f"{100 * low:.2f} % of the variance "
        f"at every time, from the language model's answer {100 * min(back):.0f} to {100 * max(back):.0f} %. Right: "
        "the patch of the finished latent: at t = "
        f"0.4, {100 * told['z_1 from language model'][i]:.0f} % from the language model and "
        f"{100 * told['z_1 from skip'][i]:.0f} % from the skip.",
    )


NAMES = {
    "intact": "intact",
    "skip zero": "skip = 0",
    "skip noise": "skip = noise",
    "skip equal length": "skip normalised|at each position",
    "language model silent": "language|model = 0",
    "GRN off": "GRN off",
}


@figure("uvit_skip")
def skip() -> Drawing:
    """Show pictures without the skip, and without other parts."""
    told = {name: data(f"pictures, {name}") for name in VARIANTS}
    names = [f"{NAMES[name]}|{100 * one['score']:.0f} % true" for name, one in told.items()]
    columns = [broken(words) for words in told["intact"]["texts"]]
    zero, noise = told["skip zero"]["score"], told["skip noise"]["score"]
    return Drawing(
        album(columns, names, [one["pictures"] for one in told.values()], side=84, left=130, top=56, gap=6),
        "Rows of seven pictures: by the intact model, with a skip of zeros, of noise, of equal length, without the "
        "language "
        "model, without GRN. With a skip of zeros the things are in place but ragged. Without the language model "
        "there are only "
        "coloured patches.",
        "The bundled model with one part cut, the same noise in each column, 30 steps, guidance 2. Percentages: of "
        "how many of "
        f"{told['intact']['captions']} pictures the caption is true: {100 * told['intact']['score']:.0f} % intact, "
        f"{100 * zero:.0f} % with a skip of zeros, "
        f"{100 * noise:.0f} % with a skip of noise of the same strength.",
    )


@figure("uvit_skip_errors")
def skip_errors() -> Drawing:
    """Draw the loss over time without the skip, and without other parts."""
    picture, ax = plt.subplots(figsize=(7.5, 3.3), layout="constrained")
    told = {name: data(f"errors, {name}") for name in VARIANTS}
    for (name, one), colour in zip(told.items(), (INK, RED, ORANGE, GREEN, PINK, SKY), strict=True):
        ax.semilogy(TIMES, one["loss"], "o-", markersize=3.5, color=colour, label=NAMES[name].replace("|", " "))
    ax.axhline(2, color=INK, linewidth=0.7, linestyle=":")
    ax.set(xlabel="time t", ylabel="loss")
    ax.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1, 0.5))
    i = TIMES.index(0.7)
    return Drawing(
        picture,
        "Curves of the loss over time on a logarithmic axis. The intact model is lowest; without the skip the loss "
        "is far "
        "higher at every time.",
        f"Mean squared error of the velocity with one part cut. At t = 0.7: {told['intact']['loss'][i]:.2g} intact, "
        f"{told['skip zero']['loss'][i]:.2g} with a skip of "
        f"zeros, {told['skip noise']['loss'][i]:.2g} with noise, {told['language model silent']['loss'][i]:.2g} with "
        "a silent language model. Dotted: 2, about "
        "what answering zero would give.",
    )


@figure("uvit_sight")
def seen() -> Drawing:
    """Draw on which patches the velocity of one patch depends."""
    told = data("sight")
    picture, axes = plt.subplots(1, 4, figsize=(8.5, 2.5), layout="constrained")
    for ax, (name, values) in zip(axes, told.items(), strict=True):
        grid = np.array(values)
        ax.imshow(
            np.log10(grid / np.array(told[f"{name.split(',')[0]}, whole"]).max()), cmap="cividis", vmin=-3, vmax=0
        )
        ax.set(
            xticks=[], yticks=[], title=name.replace("early", "t = 0.1").replace("late", "t = 0.7").replace(", ", "\n")
        )
        ax.title.set_fontsize(10)
        ax.spines[:].set_visible(False)
    shown = axes[-1].images[0]
    bar = picture.colorbar(shown, ax=axes, shrink=0.8, ticks=[-3, -2, -1, 0])
    bar.ax.set_yticklabels(["0.001", "0.01", "0.1", "1"])

    def below(name: str) -> float:
        grid = np.array(told[name]) ** 2
        return float(grid[3:].sum() / (grid.sum() - grid[2, 2]))

    return Drawing(
        picture,
        "Four small heat maps of 6 x 6 patches. In all of them the patch itself is brightest. At the early time "
        "other patches "
        "are bright too.",
        "How strongly the velocity of one patch (row 3, column 3) depends on the latent at each of the 6 x 6 "
        "patches of the bundled model: the "
        "size of the derivative, relative to the largest. Whole: with the language model. Convolutions alone: the "
        "language model's answer held "
        "fixed. How much comes from the rows below, which causal attention does not reach from here? Square the "
        "derivatives at the 35 other patches and add them up. The patches in the rows below give "
        f"{100 * below('early, whole'):.0f} % of this sum at t = 0.1, and {100 * below('late, whole'):.0f} % at "
        "t = 0.7.",
    )


@figure("uvit_shuffle")
def shuffle() -> Drawing:
    """Draw a pixel shuffle of one position with four channels."""
    values, parts = ("a", "b", "c", "d"), []
    colours = (BLUE, ORANGE, GREEN, PINK)
    for i, (value, colour) in enumerate(zip(values, colours, strict=True)):
        parts.append(box(30, 8 + 38 * i, 60, 34, value, colour, 16))
        parts.append(text(100, 30 + 38 * i, f"channel {i}", 11, "start"))
    parts.append(text(90, 182, "1 x 1 position, 4 channels", 12))
    parts.append(arrow([(230, 95), (320, 95)]))
    parts.append(text(275, 84, "shuffle", 12))
    parts.append(arrow([(320, 115), (230, 115)]))
    parts.append(text(275, 134, "cut into patches", 12))
    for i, (value, colour) in enumerate(zip(values, colours, strict=True)):
        parts.append(box(350 + 52 * (i % 2), 34 + 52 * (i // 2), 50, 50, value, colour, 16))
    parts.append(text(401, 182, "2 x 2 positions, 1 channel", 12))
    parts.append(text(520, 74, "a: row 0, column 0", 12, "start"))
    parts.append(text(520, 96, "b: row 0, column 1", 12, "start"))
    parts.append(text(520, 118, "c: row 1, column 0", 12, "start"))
    parts.append(text(520, 140, "d: row 1, column 1", 12, "start"))
    return Drawing(
        svg(680, 190, *parts),
        "Four boxes a, b, c, d stacked as channels, and the same four boxes as a square of two by two.",
        "Pixel shuffle of one position with four channels. Channel 2 p + q becomes row p, column q. Cutting into "
        "patches is the way back; no number changes.",
    )


if __name__ == "__main__":
    main()
