"""The figures of the chapter on time: waves, their likeness, and what each of time's two ways into the network does.

    python docs/figures/time.py

draws them from data/time.json. Delete that file first to measure again, which takes some minutes.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import matplotlib.pyplot as plt
import numpy as np
import torch
from canvas import BLUE, GREEN, INK, ORANGE, PINK, RED, SKY, Drawing, figure, main
from machine import (
    album,
    apart,
    arrow,
    box,
    broken,
    changed_pictures,
    errors,
    examples,
    intact_velocities,
    kept,
    pipeline,
    replaced,
    svg,
    text,
    velocities,
)
from torch import Tensor

from janus_minimal.uvit import sinusoids

TIMES = [0.02, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.98]
EACH = 6  # captions of each category
HELD = 0.5  # what a part is told at every time when it is held


# What is measured.


def embedded(t: float, rows: int) -> Tensor:
    """Return the model's embedding of a time."""
    return pipeline().model.vision_gen_enc_model.time_embed(torch.full((rows,), 1000 * t))


@contextmanager
def token_as(change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Give the language model change(t_emb) for a time token, for a while; the blocks still get t_emb."""
    with replaced(pipeline().model, "align_in", lambda align, x_emb, t_emb: align(x_emb, change(t_emb))):
        yield


@contextmanager
def film_as(change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Give the convolutional blocks change(t_emb), for a while; the language model still gets t_emb."""
    model = pipeline().model
    with ExitStack() as stack:
        for part in (model.vision_gen_enc_model, model.vision_gen_dec_model):
            stack.enter_context(
                replaced(part.mid_block, "forward", lambda forward, x, t_emb: forward(x, change(t_emb)))
            )
        yield


@contextmanager
def film_off() -> Iterator[None]:
    """Make scale and shift zero in every block, for a while."""
    model = pipeline().model
    with ExitStack() as stack:
        for part in (model.vision_gen_enc_model, model.vision_gen_dec_model):
            for block in part.mid_block.res_blocks:
                mapper = block.cond_embeds_mapper
                stack.enter_context(replaced(mapper, "forward", lambda forward, x: torch.zeros_like(forward(x))))
        yield


def held(t_emb: Tensor) -> Tensor:
    """Return the embedding of one time for all, whatever the time is."""
    return embedded(HELD, len(t_emb))


@contextmanager
def both_held() -> Iterator[None]:
    """Hold both ways."""
    with token_as(held), film_as(held):
        yield


@contextmanager
def waves_as(change: Callable[[Tensor, int], Tensor]) -> Iterator[None]:
    """Compute the waves in another way, for a while: change(timestep, channels)."""
    embed = pipeline().model.vision_gen_enc_model.time_embed

    def forward(_forward, timestep):
        waves = change(timestep, embed.channels)
        return embed.linear_2(torch.nn.functional.silu(embed.linear_1(waves)))

    with replaced(embed, "forward", forward):
        yield


def one_too_few(timestep: Tensor, channels: int) -> Tensor:
    """Return waves whose frequencies are spread over half - 1 gaps."""
    half = channels // 2
    angles = timestep[:, None] * 10000 ** (-torch.arange(half) / (half - 1))
    return torch.cat([angles.cos(), angles.sin()], -1)


def told(rule: Callable[[Tensor], Tensor]) -> Callable[[Tensor, int], Tensor]:
    """Return a change of the waves that tells rule(1000 t) in place of 1000 t."""
    return lambda timestep, channels: sinusoids(rule(timestep), channels)


VARIANTS = {
    "intact": ExitStack,
    "token held": lambda: token_as(held),
    "token zero": lambda: token_as(torch.zeros_like),
    "blocks held": lambda: film_as(held),
    "blocks off": film_off,
    "both held": both_held,
    "sine first": lambda: waves_as(lambda s, channels: sinusoids(s, channels).roll(channels // 2, -1)),
    "half - 1": lambda: waves_as(one_too_few),
    "t without 1000": lambda: waves_as(told(lambda s: s / 1000)),
    "1 - t": lambda: waves_as(told(lambda s: 1000 - s)),
}
SCORED = (
    "intact",
    "token held",
    "token zero",
    "blocks held",
    "blocks off",
    "both held",
    "sine first",
    "half - 1",
    "t without 1000",
    "1 - t",
)


def direction() -> dict:
    """Compare direction and size of the velocities with the intact model's, where the blocks are not told the time."""
    intact, answer = intact_velocities(tuple(TIMES), EACH), {}
    for variant in ("blocks held", "blocks off"):
        with VARIANTS[variant]():
            changed = [velocities(t, EACH) for t in TIMES]
        pairs = list(zip(changed, intact, strict=True))
        cosine = torch.nn.functional.cosine_similarity
        answer[variant] = {
            "cosine": [cosine(a.flatten(), b.flatten(), 0).item() for a, b in pairs],
            "size": [(a.norm() / b.norm()).item() for a, b in pairs],
        }
    return answer


def rounding() -> dict:
    """Round 1000 t to bfloat16 at the times of a loop of 30 steps, and compare velocities."""
    answer: dict = {"times": [k / 30 for k in range(1, 30, 4)], "told": [], "apart": []}
    for t in answer["times"]:
        intact = velocities(t, EACH)
        with waves_as(told(lambda s: s.bfloat16().float())):
            answer["apart"].append(apart(velocities(t, EACH), intact))
        answer["told"].append(torch.tensor(1000 * t).bfloat16().item())
    return answer


def wrong_clock() -> dict:
    """Tell the network other times than those of its latents: all pairs of two times."""
    times, each = [0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.95], 4
    _, z_1, z_0 = examples(each)
    losses = []
    for t in times:
        line = []
        for other in times:
            with waves_as(told(lambda s, other=other: torch.full_like(s, 1000 * other))):
                line.append((velocities(t, each) - (z_1 - z_0)).square().mean().item())
        losses.append(line)
    return {"times": times, "loss": losses}


def scales() -> dict:
    """Record scale and shift of every block over time."""
    model = pipeline().model
    grid = torch.linspace(0, 1, 101)
    t_emb = model.vision_gen_enc_model.time_embed(1000 * grid)
    answer: dict = {"times": grid}
    for name, part in {"encoder": model.vision_gen_enc_model, "decoder": model.vision_gen_dec_model}.items():
        for i, block in enumerate(part.mid_block.res_blocks, 1):
            scale, shift = block.cond_embeds_mapper(torch.nn.functional.silu(t_emb)).chunk(2, -1)
            order = scale.std(0).argsort(descending=True)[:12]
            answer[f"{name} {i}"] = {
                "scales": (1 + scale[:, order]).T,
                "from": (1 + scale).amin().item(),
                "to": (1 + scale).amax().item(),
                "spread of scale": scale.std(0).mean().item(),
                "spread of shift": shift.std(0).mean().item(),
            }
    return answer


def likeness() -> dict:
    """Compare the embedding of every time with that of t = 0.5: waves, waves of t itself, and learned embedding."""
    grid = torch.linspace(0, 1, 201)
    cosine = torch.nn.functional.cosine_similarity
    middle = torch.tensor([0.5])
    embed = pipeline().model.vision_gen_enc_model.time_embed
    near = torch.tensor([500.0, 510.0])
    pair, raw = sinusoids(near, 96), sinusoids(near / 1000, 96)
    return {
        "times": grid,
        "waves of 1000 t": cosine(sinusoids(1000 * grid, 96), sinusoids(1000 * middle, 96)),
        "waves of t": cosine(sinusoids(grid, 96), sinusoids(middle, 96)),
        "learned": cosine(embed(1000 * grid), embed(1000 * middle)),
        "0.50 to 0.51": (pair[0] - pair[1]).norm().item(),
        "0.50 to 0.51 of t": (raw[0] - raw[1]).norm().item(),
        "length": pair[0].norm().item(),
    }


MEASURES = {
    "likeness": likeness,
    "scales": scales,
    "wrong clock": wrong_clock,
    "rounding": rounding,
    "direction": direction,
    **{f"errors, {name}": (lambda change=VARIANTS[name]: errors(change, TIMES, EACH)) for name in VARIANTS},
    **{f"pictures, {name}": (lambda change=VARIANTS[name]: changed_pictures(change, EACH)) for name in SCORED},
}


def data(key: str) -> dict:
    """Return one of the measurements."""
    return kept("time", key, MEASURES[key])


# Drawings.


@figure("time_waves")
def waves() -> Drawing:
    """Draw the sinusoids over time, as a picture and as curves."""
    t = torch.linspace(0, 1, 401)
    e = sinusoids(1000 * t, 96)
    frequencies = 10000 ** (-np.arange(48) / 48)
    picture, (left, right) = plt.subplots(1, 2, figsize=(8.6, 3.6), width_ratios=(1.25, 1), layout="constrained")
    shown = left.imshow(e, aspect="auto", cmap="cividis", extent=(0, 96, 1, 0), interpolation="nearest")
    left.axvline(48, color="white", linewidth=1)
    left.set(xlabel="channel: 48 cosines, then 48 sines", ylabel="time t")
    picture.colorbar(shown, ax=left, ticks=[-1, 0, 1])
    chosen = (18, 24, 30, 47)
    for i, colour in zip(chosen, (SKY, BLUE, ORANGE, RED), strict=True):
        right.plot(t, e[:, i], color=colour, label=f"i = {i}: {1000 * frequencies[i] / (2 * np.pi):.2g} turns")
    right.set(xlabel="time t", ylabel="cos(1000 t f_i)")
    right.legend(frameon=False, fontsize=9, loc="upper center", bbox_to_anchor=(0.5, 1.32), ncols=2)
    turns = 1000 * frequencies / (2 * np.pi)
    return Drawing(
        picture,
        "Left: a heat map with fine stripes in the first channels of each half, broad ones further right, and flat "
        "colour at the "
        "end. Right: four cosines over time, from fast to slow.",
        "The embedding of all times at C = 96, the bundled size. Left: each row is e(t) of one time. Right: four of "
        "its channels. From t = 0 "
        f"to 1 the fastest wave (i = 0) turns {turns[0]:.0f} times, the slowest (i = 47) {turns[-1]:.3f} times, "
        f"which is {360 * turns[-1]:.0f} degrees.",
    )


@figure("time_likeness")
def alike() -> Drawing:
    """Draw how alike the embeddings of different times are."""
    told = data("likeness")
    picture, ax = plt.subplots(figsize=(7.5, 3), layout="constrained")
    for name, colour in (("waves of 1000 t", BLUE), ("learned", ORANGE), ("waves of t", RED)):
        label = {"learned": "t_emb, after the two linear layers"}.get(name, name)
        ax.plot(told["times"], told[name], color=colour, label=label)
    ax.set(xlabel="time t", ylabel="cosine with t = 0.5", ylim=(None, 1.04))
    ax.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1, 0.5))
    return Drawing(
        picture,
        "A blue curve with a sharp peak at 0.5 that falls on both sides, an orange one that falls too, and a red "
        "line that stays near 1.",
        "How alike the embedding of a time is to that of t = 0.5 (cosine of the angle). Waves of 1000 t fall to "
        f"{min(told['waves of 1000 t']):.2f}: every time has an embedding of its own, and near times are alike. "
        "Waves of t itself stay above "
        f"{min(told['waves of t']):.3f}: all times look almost the same.",
    )


@figure("time_paths")
def paths() -> Drawing:
    """Draw the two ways of the time into the network."""
    drawing = svg(
        760,
        236,
        text(22, 64, "t", 16),
        arrow([(32, 59), (62, 59)]),
        box(64, 38, 90, 42, "x 1000", SKY),
        arrow([(154, 59), (178, 59)]),
        box(180, 38, 120, 42, "sinusoids|C = 768", SKY, 12),
        arrow([(300, 59), (324, 59)]),
        box(326, 38, 170, 42, "Linear, SiLU, Linear|t_emb, D = 2048", SKY, 12),
        arrow([(496, 59), (520, 59), (520, 32), (546, 32)], ORANGE),
        box(548, 12, 204, 42, "one token, first of the new ones,|for attention in all 24 layers", ORANGE, 12),
        arrow([(520, 59), (520, 90), (546, 90)], GREEN),
        box(548, 70, 204, 42, "SiLU, Linear D to 2K, in each|of the four blocks: scale, shift", GREEN, 12),
        text(
            30, 146, "Way 1, the token: image tokens may look at it, if attention has learned to.", 13, "start", ORANGE
        ),
        text(
            30,
            170,
            "Way 2, FiLM: x becomes x (1 + scale) + shift, at every position, whether it helps or not.",
            13,
            "start",
            GREEN,
        ),
        text(
            30,
            200,
            "Through way 2 the encoder's map x_emb already depends on t before the language model reads it.",
            13,
            "start",
        ),
        text(
            30,
            224,
            "So image tokens carry the time too, and way 1 is not the only one into the language model.",
            13,
            "start",
        ),
    )
    return Drawing(
        drawing,
        "A row of boxes from t to t_emb, which then splits into two arrows: one to a token, one to scale and shift "
        "in each block.",
        "How the time enters the released model. The embedding is computed once per step and used in two ways: as a token of the "
        "language model, and as scale and shift in the blocks of encoder and decoder.",
    )


@figure("time_film")
def film() -> Drawing:
    """Draw the factors 1 + scale over time."""
    told = data("scales")
    picture, axes = plt.subplots(1, 4, figsize=(9, 2.5), sharey=True, layout="constrained")
    blocks = [name for name in told if name != "times"]
    for ax, name in zip(axes, blocks, strict=True):
        for i, line in enumerate(told[name]["scales"]):
            ax.plot(told["times"], line, linewidth=1, color=(BLUE, ORANGE, GREEN, PINK, SKY, RED)[i % 6])
        ax.set(xlabel="time t", title=name)
        ax.title.set_fontsize(10)
    axes[0].set_ylabel("1 + scale")
    low, high = min(told[n]["from"] for n in blocks), max(told[n]["to"] for n in blocks)
    return Drawing(
        picture,
        "Four panels of twelve curves each. In every block some channels are turned up early and down late, others "
        "the other way.",
        "What FiLM multiplies channels by, over time, in the four blocks of the bundled model: the twelve channels "
        "of each block that "
        f"change most. Over all channels and times the factor goes from {low:.2f} to {high:.2f}; 1 would mean that "
        "the time changes nothing.",
    )


CURVES = {
    "intact": ("intact", INK),
    "token held": ("token always says 0.5", ORANGE),
    "token zero": ("token = 0", PINK),
    "blocks held": ("blocks always told 0.5", GREEN),
    "blocks off": ("scale = shift = 0", SKY),
    "both held": ("both always told 0.5", RED),
}


@figure("time_silenced")
def silenced() -> Drawing:
    """Draw the loss with each way of the time held or cut."""
    told = {name: data(f"errors, {name}") for name in CURVES}
    picture, ax = plt.subplots(figsize=(7.8, 3.4), layout="constrained")
    for name, (label, colour) in CURVES.items():
        ax.semilogy(
            TIMES, told[name]["loss"], "o-" if name != "both held" else "o--", markersize=3.5, color=colour, label=label
        )
    ax.set(xlabel="true time t", ylabel="loss")
    ax.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1, 0.5))
    i = TIMES.index(0.9)
    loss = {name: one["loss"][i] for name, one in told.items()}
    return Drawing(
        picture,
        "Curves of the loss over time. With the token held or zero the curve lies on the intact one. With the "
        "blocks held it "
        "touches the intact one only at 0.5.",
        f"Mean squared error of the velocity with one of time's two ways silenced. At t = 0.9: {loss['intact']:.2f} "
        f"intact, {loss['token held']:.2f} if the token always "
        f"says 0.5, {loss['blocks held']:.2f} if the blocks are always told 0.5, {loss['blocks off']:.2f} with scale "
        "and shift 0. At t = 0.5 holding changes nothing.",
    )


@figure("time_pictures")
def drawn_pictures() -> Drawing:
    """Show pictures with each way of the time held."""
    chosen = ("intact", "token held", "blocks held", "both held", "blocks off")
    told = {name: data(f"pictures, {name}") for name in chosen}
    names = [f"{broken(CURVES[name][0], 15)}|{100 * one['score']:.0f} % true" for name, one in told.items()]
    return Drawing(
        album(
            [broken(words) for words in told["intact"]["texts"]],
            names,
            [one["pictures"] for one in told.values()],
            side=84,
            left=130,
            top=56,
            gap=6,
        ),
        "Rows of seven pictures: by the intact model, with the token held, with the blocks held, with both held, "
        "with scale and "
        "shift zero.",
        "Pictures of the bundled model with time's ways silenced, the same noise in each column, 30 steps, guidance "
        f"2. Of {told['intact']['captions']} captions "
        f"the picture is true of {100 * told['intact']['score']:.0f} % (intact), "
        f"{100 * told['token held']['score']:.0f} % (token held), "
        f"{100 * told['blocks held']['score']:.0f} % (blocks held), {100 * told['both held']['score']:.0f} % (both) "
        f"and {100 * told['blocks off']['score']:.0f} % (scale and shift 0).",
    )


@figure("time_clock")
def clock() -> Drawing:
    """Draw the loss for all pairs of a true time and a time that is told."""
    told = data("wrong clock")
    times, loss = told["times"], np.array(told["loss"])
    ratio = loss / np.diag(loss)[:, None]
    picture, ax = plt.subplots(figsize=(7.5, 3.6), layout="constrained")
    shown = ax.imshow(np.log10(ratio), cmap="cividis", origin="lower", vmin=0, vmax=2, aspect="auto")
    ax.set(
        xticks=range(len(times)),
        xticklabels=times,
        yticks=range(len(times)),
        yticklabels=times,
        xlabel="time that the network is told",
        ylabel="true time of z_t",
    )
    ax.tick_params(labelsize=8)
    bar = picture.colorbar(shown, ax=ax, ticks=[0, 1, 2])
    bar.ax.set_yticklabels(["1", "10", "100"])
    bar.set_label("loss / loss when told right")
    i, up = times.index(0.55), times.index(0.65)
    far = times.index(0.95)
    return Drawing(
        picture,
        "A heat map with a dark diagonal, bright away from it.",
        "What a wrong time costs the bundled model. Each row is one true time; colours: the loss relative to that "
        "of the right time, which "
        f"is the diagonal. At t = 0.55, being told 0.65 makes the loss {ratio[i, up]:.1f} times as large, being told "
        f"0.95 {ratio[i, far]:.0f} times.",
    )


TRAPS = {
    "half - 1": ("divided by half - 1", SKY),
    "sine first": ("sine first", ORANGE),
    "t without 1000": ("told t, not 1000 t", RED),
    "1 - t": ("told 1 - t", GREEN),
}


@figure("time_traps")
def traps() -> Drawing:
    """Draw how far the velocity is off in each trap."""
    picture, ax = plt.subplots(figsize=(7.8, 3.2), layout="constrained")
    told = {name: data(f"errors, {name}")["apart"] for name in TRAPS}
    for name, (label, colour) in TRAPS.items():
        ax.semilogy(TIMES, [x or float("nan") for x in told[name]], "o-", markersize=3.5, color=colour, label=label)
    rounded = data("rounding")
    points = [(t, x) for t, x in zip(rounded["times"], rounded["apart"], strict=True) if x]
    ax.semilogy(*zip(*points, strict=True), "o-", markersize=3.5, color=PINK, label="1000 t in bfloat16")
    ax.set(xlabel="time t", ylabel="relative error of the velocity")
    ax.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1, 0.5))
    mean = {name: 100 * sum(line) / len(line) for name, line in told.items()}
    return Drawing(
        picture,
        "Five curves of the error over time on a logarithmic axis. Rounding is lowest, the divisor is above it, and "
        "the other three are near one.",
        "How far the velocity of the bundled model is from the right one, |v - v_right| / |v_right|, if its time is "
        "computed wrongly. Means over "
        f"the times: {mean['sine first']:.0f} % with the sine first, {mean['half - 1']:.0f} % with half - 1, "
        f"{mean['t without 1000']:.0f} % without the factor 1000, "
        f"{mean['1 - t']:.0f} % with the time reversed, at most {100 * max(rounded['apart']):.1f} % in bfloat16. "
        "Points without any error are left out.",
    )


@figure("time_trap_pictures")
def trap_pictures() -> Drawing:
    """Show pictures in each trap."""
    chosen = ("intact", "half - 1", "sine first", "t without 1000", "1 - t")
    told = {name: data(f"pictures, {name}") for name in chosen}
    labels = {"intact": "right", **{name: label for name, (label, _) in TRAPS.items()}}
    names = [f"{broken(labels[name], 15)}|{100 * one['score']:.0f} % true" for name, one in told.items()]
    return Drawing(
        album(
            [broken(words) for words in told["intact"]["texts"]],
            names,
            [one["pictures"] for one in told.values()],
            side=84,
            left=130,
            top=56,
            gap=6,
        ),
        "Rows of seven pictures: right, and with the time computed wrongly in four ways.",
        "Pictures of the bundled model with the time computed wrongly, the same noise in each column. The "
        "percentages say of how many of "
        f"{told['intact']['captions']} pictures the caption is true.",
    )


if __name__ == "__main__":
    data("pictures, token zero")  # the page reads it
    data("direction")  # the page reads it
    main()
