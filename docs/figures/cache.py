"""The figures of the chapter on attention and the cache: python docs/figures/cache.py [NAME ...]

What takes long is measured once, with the bundled model, and kept in data/cache.json: delete it to measure it again
(three minutes). Times are CPU seconds of one thread, so that other work on the machine hardly matters.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from math import exp, sqrt
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from canvas import BLUE, GREEN, INK, ORANGE, OUT, PINK, RED, SKY, Drawing, figure, main, measured
from matplotlib.figure import Figure
from svg import DARK, box, lines, path, picture, png_of, svg, text
from torch import Tensor
from transformers import DynamicCache

from janus_minimal import JanusFlowPipeline, PromptPair, denoise, guide, time_grid
from janus_minimal.pipeline import image_noise
from janus_minimal.prompt import duplicate_for_cfg

CAPTION = "a red circle left of a blue square"
STEPS, NEW = 30, 37  # Euler steps, and the bundled model's new tokens: one of time, 36 of the image
BENCH = OUT.parent.parent / "bench"
GROWTH = OUT.parent.parent / "growth.json"
LENGTHS = (5, 11, 20, 60, 120, 240)
ROUNDS = 30
NOISES = 12  # for how much the error of a wrong loop depends on the noise
PATCH = (2, 2)  # row and column of the patch whose influences are drawn

Call = Callable[[Tensor], Tensor]  # the new tokens of one step -> their hidden states


# What is measured.


def measure() -> dict[str, Any]:
    """Measure everything with the bundled model."""
    pipe = JanusFlowPipeline.from_pretrained("shapes")
    return {
        "loops": loops(pipe),
        "influence": influence(pipe),
        "times": [times_of(pipe, images, length) for images in (1, 4) for length in LENGTHS],
        "two threads": wall_on_two_threads(),
    }


class Loops:
    """The loop with five ways to treat the cache, all from one caption and one noise."""

    def __init__(self, pipe: JanusFlowPipeline, generator: torch.Generator | list[torch.Generator]) -> None:
        self.model, self.pipe = pipe.model, pipe
        self.pair = PromptPair.from_text(CAPTION, pipe.tokenizer)
        self.rows, self.length = self.pair.batch(), self.pair.rows.ids.shape[1]
        self.embedded = self.model.llama.embed_tokens(self.rows.ids)
        self.z = image_noise(pipe.latent_shape, 1, generator)

    def filled(self) -> DynamicCache:
        cache = DynamicCache()
        self.model.llama(
            inputs_embeds=self.embedded, attention_mask=self.rows.attention_mask, past_key_values=cache, use_cache=True
        )
        return cache

    def llama(self, inputs: Tensor, mask: Tensor, cache: DynamicCache) -> Tensor:
        output = self.model.llama(inputs_embeds=inputs, attention_mask=mask, past_key_values=cache, use_cache=True)
        return output.last_hidden_state

    def read_only(self) -> Call:
        """Read the prompt's keys and values, and keep nothing: ours."""
        cache = self.model.prefill(self.pair)
        return lambda new: self.model.backbone(new, self.rows, cache)

    def growing(self) -> Call:
        """Feed the whole prompt at every step, and keep all that was ever fed."""
        cache = DynamicCache()
        return lambda new: self.llama(torch.cat([self.embedded, new], dim=1), self.rows.mask(NEW), cache)

    def fed_again(self) -> Call:
        """Feed the whole prompt at every step beside a cache that is cropped to the prompt after each."""
        cache = self.filled()
        mask = torch.cat([self.rows.attention_mask, self.rows.mask(NEW)], dim=1)

        def call(new: Tensor) -> Tensor:
            hidden = self.llama(torch.cat([self.embedded, new], dim=1), mask, cache)
            cache.crop(-self.length - NEW)
            return hidden

        return call

    def kept(self) -> Call:
        """Feed new tokens alone, and never crop: each step also attends to the image tokens of all steps before."""
        cache = self.filled()
        return lambda new: self.llama(new, self.rows.mask(NEW + cache.get_seq_length() - self.length), cache)

    def run(self, call: Call) -> Iterator[tuple[Tensor, float, float]]:
        """Yield each step's latent, and how far its two velocities are from the right ones at the same latent."""
        z = self.z
        for t, t_next in pairwise(time_grid(STEPS)):
            x_emb, t_emb, skip = self.model.encode(z, t)
            tokens, t_emb, skip = duplicate_for_cfg(self.model.align_in(x_emb, t_emb), t_emb, skip)
            back = self.model.align_out(call(tokens)[:, -NEW:], skip)
            v_cond, v_uncond = self.model.decode(back, t_emb, skip).chunk(2)
            right = self.model.velocity(z, t, self.pair)
            errors = relative(v_cond, right[0]), relative(v_uncond, right[1])
            z = z + (t_next - t) * guide(v_cond, v_uncond, 2.0)
            yield z, *errors


@torch.no_grad()
def loops(pipe: JanusFlowPipeline) -> dict[str, Any]:
    """Return the error of the latent after each step, of both velocities at each step, and the last picture."""
    loop = Loops(pipe, torch.Generator().manual_seed(0))
    plain = [step.z_next for step in denoise(loop.model, loop.pair, loop.z, time_grid(STEPS), use_cache=False)]
    found: dict[str, Any] = {"no cache": {"picture": shown(pipe, plain[-1])}}
    for name in ("read_only", "fed_again", "growing", "kept"):
        steps = list(loop.run(getattr(loop, name)()))
        cond, uncond = ([100 * step[i] for step in steps] for i in (1, 2))
        found[name.replace("_", " ")] = {
            "latent": [relative(step[0], right) for step, right in zip(steps, plain, strict=True)],
            "v_cond, %": cond,
            "v_uncond, %": uncond,
            "second step, v_cond, %": cond[1],
            "most, v_uncond, %": max(uncond),
            "picture": shown(pipe, steps[-1][0]),
        }
    return found


@torch.no_grad()
def by_noise() -> dict[str, Any]:
    """Return the error of the final latent for each wrong loop, over several noises: how much depends on the noise.

    The museum draws with the first two of them, so their errors are kept too.
    """
    pipe = JanusFlowPipeline.from_pretrained("shapes")
    errors: dict[str, list[float]] = {"fed again": [], "growing": [], "kept": []}
    for seed in range(NOISES):
        loop = Loops(pipe, [torch.Generator().manual_seed(seed)])
        *_, right = denoise(loop.model, loop.pair, loop.z, time_grid(STEPS))
        for name, found in errors.items():
            *_, last = loop.run(getattr(loop, name.replace(" ", "_"))())
            found.append(relative(last[0], right.z_next))
    return {"noises": NOISES} | {name: spread_of(found) for name, found in errors.items()}


def spread_of(errors: list[float]) -> dict[str, Any]:
    return {"least": min(errors), "median": float(np.median(errors)), "most": max(errors), "museum's": errors[:2]}


def shown(pipe: JanusFlowPipeline, z: Tensor) -> str:
    return png_of(pipe.to_pictures(z)[0])


def relative(a: Tensor, b: Tensor) -> float:
    return ((a - b).norm() / b.norm()).item()


def influence(pipe: JanusFlowPipeline) -> dict[str, Any]:
    """Return how much the conditional velocity at each patch depends on the latent at each patch (6 x 6 of them).

    The number for two patches is the root mean square, over random directions of the velocity's patch, of the
    gradient's norm in the latent's patch. Averages are over all pairs of a kind, and over three times.
    """
    loop = Loops(pipe, torch.Generator().manual_seed(0))
    steps = list(denoise(loop.model, loop.pair, loop.z, time_grid(STEPS)))
    row, draw = loop.rows[torch.tensor([0])], torch.Generator().manual_seed(0)
    tables = []
    for k in (5, 15, 25):
        z = steps[k].z.clone().requires_grad_()
        v = loop.model(z, steps[k].t, row)
        table = torch.zeros(36, 36)
        for i in range(36):
            at = v[0, :, 2 * (i // 6) :, 2 * (i % 6) :][:, :2, :2]
            for _ in range(4):
                (gradient,) = torch.autograd.grad(
                    (at * torch.randn(4, 2, 2, generator=draw)).sum(), z, retain_graph=True
                )
                table[i] += gradient[0].square().reshape(4, 6, 2, 6, 2).sum(dim=(0, 2, 4)).flatten() / 4
        tables.append(table.sqrt())
    off = [table - table.diag().diag() for table in tables]
    pairs = 36 * 35 / 2
    earlier, later = (sum(part(t).sum().item() for t in off) / pairs / len(off) for part in (torch.tril, torch.triu))
    here = 6 * PATCH[0] + PATCH[1]
    return {
        "t": [steps[k].t.item() for k in (5, 15, 25)],
        "patch": tables[0][here].reshape(6, 6).tolist(),
        "own": sum(table.diag().mean().item() for table in tables) / len(tables),
        "earlier": earlier,
        "later": later,
        "later over earlier": later / earlier,
    }


@torch.no_grad()
def times_of(pipe: JanusFlowPipeline, images: int, length: int) -> dict[str, Any]:
    """Time the language model with and without the cache, and with a single new token, by turns."""
    ids = [torch.arange(length + 1) % 30 + 3]
    pair = PromptPair.from_ids(ids, images)
    rows, cache = pair.batch(), pipe.model.prefill(pair)
    tokens = torch.randn(2 * images, NEW, 192, generator=torch.Generator().manual_seed(0))
    actions = {
        "without": lambda: pipe.model.backbone(tokens, rows, None),
        "with": lambda: pipe.model.backbone(tokens, rows, cache),
        "one token": lambda: pipe.model.backbone(tokens[:, :1], rows, cache),
        "prefill": lambda: pipe.model.prefill(pair),
    }
    found: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(ROUNDS):
        for name, action in actions.items():
            start = time.process_time()
            action()
            found[name].append(1000 * (time.process_time() - start))
    ms = {name: float(np.median(values)) for name, values in found.items()}
    ratio = ms["without"] / ms["with"]
    return {"images": images, "L": length, "ms": ms, "ratio": ratio, "formula": (length + NEW) / NEW}


def wall_on_two_threads() -> dict[str, float]:
    """Return the spread of the ratio by the wall clock, on two threads, at L = 20 and one image."""
    words = [sys.executable, __file__, "--wall"]
    said = subprocess.run(words, check=True, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "2"})
    return json.loads(said.stdout)


@torch.no_grad()
def wall() -> None:
    """Print how the ratio of neighbouring runs is spread."""
    pipe = JanusFlowPipeline.from_pretrained("shapes")
    pair = PromptPair.from_ids([torch.arange(21) % 30 + 3])
    rows, cache, tokens = pair.batch(), pipe.model.prefill(pair), torch.randn(2, NEW, 192)
    ratios = []
    for _ in range(100):
        seconds = []
        for kept in (None, cache):
            start = time.perf_counter()
            pipe.model.backbone(tokens, rows, kept)
            seconds.append(time.perf_counter() - start)
        ratios.append(seconds[0] / seconds[1])
    low, middle, high = np.quantile(ratios[5:], (0.05, 0.5, 0.95))
    print(
        json.dumps(
            {"low": low, "median": middle, "high": high, "below one, %": 100 * float(np.mean(np.array(ratios[5:]) < 1))}
        )
    )


# What is drawn.

QUERIES = np.array([[1.0, 1.0], [0.0, 2.0], [2.0, 0.0]])
KEYS = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
VALUES = np.array([[4.0, 0.0], [0.0, 4.0], [2.0, 2.0]])
TOKENS = ("prompt", "time", "image")


def attend() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return scores, weights and outputs of the worked example."""
    scores = QUERIES @ KEYS.T / sqrt(2)
    weights = np.array([[exp(s) if j <= i else 0 for j, s in enumerate(row)] for i, row in enumerate(scores)])
    weights /= weights.sum(axis=1, keepdims=True)
    return scores, weights, weights @ VALUES


@figure("cache_attention")
def attention_by_hand() -> Drawing:
    scores, weights, outputs = attend()
    parts, top, cell = [], 74, 34
    titles = (
        (104, 2, "query q"),
        (212, 3, "score q·k / √2"),
        (356, 3, "weight (softmax)"),
        (512, 2, "output Σ weight · v"),
    )
    tables = (QUERIES, scores, weights, outputs)
    for (x, columns, title), table in zip(titles, tables, strict=True):
        parts.append(text(x + columns * cell / 2, 20, title, 12, bold=True))
        for i in range(3):
            for j in range(columns):
                hidden = columns == 3 and j > i
                colour = INK if hidden else (BLUE, GREEN, ORANGE, RED)[titles.index((x, columns, title))]
                weight = 0.06 if hidden else 0.15 if table is not weights else 0.08 + 0.6 * weights[i, j]
                at = (x + cell * j, top + cell * i, cell - 3, cell - 3)
                parts.append(box(*at, fill=colour, opacity=weight, stroke=colour, line=0.5))
                number = "–" if hidden else f"{table[i, j]:.2f}" if table is not QUERIES else f"{table[i, j]:g}"
                parts.append(text(at[0] + cell / 2 - 1.5, at[1] + 20, number, 12))
        if columns == 3:
            for j in range(3):
                parts.append(text(x + cell * j + cell / 2 - 1.5, 62, f"k{j + 1}", 11))
                kept = f"({KEYS[j][0]:g}, {KEYS[j][1]:g})" if x == 212 else f"v{j + 1}"
                parts.append(text(x + cell * j + cell / 2 - 1.5, 46, kept, 10, opacity=DARK))
    for i, name in enumerate(TOKENS):
        parts.append(text(94, top + cell * i + 20, f"{i + 1} {name}", 12, "end"))
    values = ", ".join(f"v{i + 1} = ({v[0]:g}, {v[1]:g})" for i, v in enumerate(VALUES))
    parts.append(text(104, top + 3 * cell + 22, f"values: {values}", 12, "start"))
    w, out = weights[2], outputs[2]
    return Drawing(
        svg(624, top + 3 * cell + 34, *parts),
        "Four small tables side by side: the queries, the scores, the weights and the outputs of three tokens. The"
        " upper triangle of scores and weights is empty.",
        f"Causal attention of three tokens of width 2, computed by hand. Token 3 scores {scores[2, 0]:.2f},"
        f" {scores[2, 1]:.2f} and {scores[2, 2]:.2f}; its weights are {w[0]:.2f}, {w[1]:.2f} and {w[2]:.2f}; its"
        f" output is ({out[0]:.2f}, {out[1]:.2f}). Token 1 sees itself alone, so nothing of tokens 2 and 3 can reach"
        " its output.",
    )


@figure("cache_blocks")
def blocks() -> Drawing:
    """Which part of the attention matrix is computed when."""
    x, y, prompt, time_, image = 140, 66, 90, 24, 150
    ends = (0, prompt, prompt + time_, prompt + time_ + image)
    size = ends[-1]
    parts = [
        text(x + size / 2, 18, "keys and values of", 12, bold=True),
        text(x - 122, y - 10, "queries of", 12, "start", bold=True),
    ]
    names = ("prompt (L)", "time", "image (N)")
    for i, name in enumerate(names):
        middle = (ends[i] + ends[i + 1]) / 2
        parts.append(text(x + middle, y - 8 - 12 * (i == 1), name, 11.5))
        parts.append(text(x - 8, y + middle + 4, name, 11.5, "end"))
    for triangle, colour in (
        (f"M{x} {y}V{y + prompt}H{x + prompt}Z", BLUE),
        (f"M{x + prompt} {y + prompt}V{y + size}H{x + size}Z", ORANGE),
    ):
        filled = f'fill="{colour}" fill-opacity="0.45"'
        parts.append(path(triangle, colour).replace('fill="none"', filled))
    parts.append(box(x, y + prompt, prompt, time_ + image, fill=SKY, opacity=0.4, stroke=SKY, corner=0))
    parts.append(box(x, y, size, size, corner=0, line=0.8))
    parts += [path(f"M{x + e} {y}V{y + size}M{x} {y + e}H{x + size}", opacity=0.4, line=0.6) for e in ends[1:3]]
    parts.append(lines(x + prompt + 92, y + 34, ["empty: no prompt token", "attends to the image"], 11.5))
    note = x + size + 22
    notes = (
        (y + 22, BLUE, ["once: prompt attends to prompt.", "The cache keeps these keys", "and values (prefill)."]),
        (y + 106, SKY, ["every step, from the cache:", "new queries, the prompt's", "old keys and values."]),
        (y + 190, ORANGE, ["every step, anew:", "time and image attend to", "themselves and earlier ones."]),
    )
    for at, colour, words in notes:
        parts.append(box(note, at - 11, 14, 14, fill=colour, opacity=0.45, stroke=colour))
        parts.append(lines(note + 22, at, words, 11.5, anchor="start"))
    return Drawing(
        svg(note + 224, y + size + 10, *parts),
        "A square with queries down and keys across, cut into blocks. The block prompt by prompt is a blue"
        " triangle, the blocks new by prompt are light blue, new by new is an orange triangle, and prompt by new is"
        " empty.",
        "The attention matrix of one layer in blocks (not to scale: in the released model with L = 20 the prompt is"
        " 20 of 597 rows). Causality empties the upper right block. That is why the blue block is the same in every"
        " step and can be computed once.",
    )


@figure("cache_raster")
def raster() -> Drawing:
    data = measured("cache", measure)["influence"]
    values, side, top = np.array(data["patch"]), 34, 58
    here = 6 * PATCH[0] + PATCH[1]
    parts = []
    for x, title in ((20, "what its token attends to"), (310, "what its velocity depends on")):
        parts.append(text(x + 3 * side, 20, title, 12.5, bold=True))
    parts.append(text(20 + 3 * side, 38, f"image token {here + 1} of 36, in any layer", 11, opacity=DARK))
    parts.append(text(310 + 3 * side, 38, f"measured at t = {data['t'][0]:.2f}; own patch left out", 11, opacity=DARK))
    most = np.delete(values.flatten(), here).max()
    for k in range(36):
        i, j = divmod(k, 6)
        at = (20 + side * j, top + side * i, side - 2, side - 2)
        colour = RED if k == here else BLUE if k < here else INK
        parts.append(box(*at, fill=colour, opacity=0.65 if k <= here else 0.06, stroke=colour, line=0.5))
        parts.append(text(at[0] + side / 2 - 1, at[1] + 21, str(k + 1), 11, opacity=1 if k <= here else 0.5))
        at = (310 + side * j, top + side * i, side - 2, side - 2)
        shade = 0 if k == here else values[i, j] / most
        colour = RED if k == here else GREEN
        parts.append(box(*at, fill=colour, opacity=0.65 if k == here else 0.08 + 0.8 * shade, stroke=colour, line=0.5))
        parts.append(text(at[0] + side / 2 - 1, at[1] + 21, "" if k == here else f"{values[i, j]:.2f}", 10.5))
    y = top + 6 * side + 18
    parts.append(text(20, y, "blue: attended to (as are prompt and time)", 11, "start", opacity=DARK))
    parts.append(text(310, y, "stronger green: it counts for more", 11, "start", opacity=DARK))
    later = data["later over earlier"]
    flat = values.flatten()
    return Drawing(
        svg(540, y + 12, *parts),
        "Two grids of six by six patches. Left, all patches before the red one in reading order are blue and the"
        " later ones empty. Right, patches on all sides of it are green, the near ones most.",
        f"Left: image token {here + 1} attends to the {here} tokens before it and to itself, never to the"
        f" {35 - here} after it. Right: how much the conditional velocity at that patch changes with the latent at"
        f" each patch (norm of the gradient, bundled model): {flat[:here].mean():.2f} on average for earlier patches"
        f" and {flat[here + 1 :].mean():.2f} for later ones. Over all pairs of patches and three times, a later"
        f" patch counts {later:.2f} times as much as an earlier one.",
    )


SAID = {
    "read only": "prompt cache, only read (ours)",
    "fed again": "prompt fed again beside its cache",
    "growing": "prompt fed again, cache grows",
    "kept": "prompt once, but steps stay in the cache",
}


@figure("cache_loops")
def loop_errors() -> Drawing:
    data = measured("cache", measure)["loops"]
    drawing = Figure(figsize=(6.6, 3.1), layout="constrained")
    axes = drawing.subplots()
    styles = {"read only": (BLUE, "-"), "fed again": (ORANGE, "--"), "growing": (RED, "-."), "kept": (PINK, ":")}
    for name, (colour, style) in styles.items():
        error = [max(value, 1e-8) for value in data[name]["latent"]]
        axes.semilogy(range(1, STEPS + 1), error, style, color=colour, marker=".", label=SAID[name])
    axes.set(xlabel="after step", ylabel="relative error of the latent", ylim=(1e-8, 10))
    axes.legend(fontsize=9, framealpha=0, loc="center right", bbox_to_anchor=(1, 0.4))
    last = {name: data[name]["latent"][-1] for name in styles}
    return Drawing(
        drawing,
        "Four curves over the steps on a logarithmic scale. One stays below a millionth; three rise to about one.",
        "Distance of the latent from the loop without a cache, relative to its length, step by step (bundled model,"
        f" one caption, one noise). After {STEPS} steps: only read {last['read only']:.0e}; prompt fed again"
        f" {last['fed again']:.2f}; growing cache {last['growing']:.2f}; steps kept {last['kept']:.2f}. None of them"
        " stops with an error. (An error of 0 is drawn at the lower edge.)",
    )


@figure("cache_pictures")
def loop_pictures() -> Drawing:
    data, side = measured("cache", measure)["loops"], 112
    titles = {
        "no cache": ["no cache"],
        "read only": ["only read", "(ours)"],
        "fed again": ["prompt", "fed again"],
        "growing": ["cache", "grows"],
        "kept": ["steps stay", "in the cache"],
    }
    parts = []
    for i, (name, words) in enumerate(titles.items()):
        x = 4 + i * (side + 12)
        parts.append(picture(x, 4, side, data[name]["picture"], " ".join(words)))
        parts.append(lines(x + side / 2, side + 20, words, 12))
    equal = data["no cache"]["picture"] == data["read only"]["picture"]
    assert equal
    return Drawing(
        svg(5 * (side + 12), side + 44, *parts),
        "Five pictures. The first two are the same, a red circle left of a blue square. The others show other"
        " places and shapes.",
        f"The pictures at the end of those loops, for “{CAPTION}” and one noise. The first two are equal pixel by"
        " pixel. A wrong cache does not look like a bug: it draws another picture, sometimes a fine one.",
    )


@figure("cache_saving")
def saving() -> Drawing:
    data = measured("cache", measure)["times"]
    bench = [json.loads(path_.read_text(encoding="utf-8")) for path_ in sorted(BENCH.glob("*.json"))]
    drawing = Figure(figsize=(6.9, 3.3), layout="constrained")
    left, right = drawing.subplots(1, 2)
    grid = np.array([0, 500])
    left.plot(grid, (grid + 577) / 577, color=INK, lw=1, label="(L + 1 + N) / (1 + N)")
    for size, colour, mark in (("middle", GREEN, "s"), ("released", RED, "o")):
        found = sorted((b["prompt_tokens"], b["ratio"]) for b in bench if b["size"] == size)
        left.plot(*zip(*found, strict=True), mark, color=colour, ms=7, label=f"{size} size, measured")
    left.set(title="N = 576", xlabel="prompt tokens L", ylabel="language model, without / with cache", ylim=(0, None))
    grid = np.array([0, 240])
    right.plot(grid, (grid + NEW) / NEW, color=INK, lw=1)
    for images, colour, mark in ((1, BLUE, "^"), (4, ORANGE, "v")):
        found = [(row["L"], row["ratio"]) for row in data if row["images"] == images]
        right.plot(*zip(*found, strict=True), mark, color=colour, ms=7, label=f"bundled model, B = {images}")
    right.set(title="N = 36", xlabel="prompt tokens L", ylim=(0, None))
    for axes in (left, right):
        axes.legend(fontsize=8.5, framealpha=0, loc="upper left")
        axes.axhline(1, color=INK, lw=0.6, ls=":")
    at = {b["prompt_tokens"]: b["ratio"] for b in bench if b["size"] == "released"}
    one, four = (next(r for r in data if r["images"] == b and r["L"] == 20) for b in (1, 4))
    return Drawing(
        drawing,
        "Two plots of a ratio over the prompt length, each with a straight line. Left, the points of the larger"
        " models lie on the line. Right, the bundled model's points lie below it for one image, and on both sides"
        " of it for four.",
        "Time of the language model without the cache, divided by the time with it. Left, 576 image tokens:"
        " released size"
        + ", ".join(f" {ratio:.2f} at L = {length}" for length, ratio in sorted(at.items()))
        + ", close to the formula (the line). Right, 36 image tokens, CPU time of one thread: at L = 20 the formula"
        f" says {one['formula']:.2f}, and measured are {one['ratio']:.2f} with one image and {four['ratio']:.2f} with"
        " four.",
    )


@figure("cache_time")
def where_time_goes() -> Drawing:
    """The bundled model's language model: what does not depend on the number of rows."""
    data = [row for row in measured("cache", measure)["times"] if row["images"] == 1]
    drawing = Figure(figsize=(6.6, 2.8), layout="constrained")
    axes = drawing.subplots()
    names = {
        "without": ("without cache", RED, "-"),
        "with": ("with cache", BLUE, "--"),
        "one token": ("with cache, one new token", GREEN, ":"),
    }
    for name, (said, colour, style) in names.items():
        axes.plot(
            [row["L"] for row in data], [row["ms"][name] for row in data], style, color=colour, marker=".", label=said
        )
    axes.set(xlabel="prompt tokens L", ylabel="ms a call", ylim=(0, None))
    axes.legend(fontsize=9, framealpha=0)
    row = next(row for row in data if row["L"] == 20)
    share = 100 * row["ms"]["one token"] / row["ms"]["with"]
    return Drawing(
        drawing,
        "Three curves over the prompt length: without the cache it rises steeply, with it hardly, and with one new"
        " token it is flat.",
        "CPU time of one call of the bundled language model, one image, one thread. At L = 20:"
        f" {row['ms']['without']:.1f} ms without the cache and {row['ms']['with']:.1f} ms with it. A call with a"
        f" single new token takes {row['ms']['one token']:.1f} ms, {share:.0f} % of that: a cost that does not"
        " depend on the number of tokens.",
    )


@figure("cache_growth")
def growth() -> Drawing:
    points = json.loads(GROWTH.read_text(encoding="utf-8"))["prompt tokens"]
    drawing = Figure(figsize=(6.6, 2.6), layout="constrained")
    axes = drawing.subplots()
    x = [p["value"] for p in points]
    axes.plot(x, [p["seconds"] for p in points], "o", color=BLUE, label="measured")
    axes.plot(x, [p["formula"] for p in points], "--", color=INK, lw=1, label="counted operations, at one rate")
    axes.set(xlabel="prompt tokens L", ylabel="seconds, 2 steps", ylim=(0, None))
    axes.legend(fontsize=9, framealpha=0, loc="lower right")
    first, last = points[0], points[-1]
    return Drawing(
        drawing,
        "Points rise slowly with the prompt length, along a dashed line.",
        f"Seconds of a whole generation of {first['steps']} steps with our cache, middle size, 2 CPU cores:"
        f" {first['seconds']:.1f} at L = {first['value']} and {last['seconds']:.1f} at L = {last['value']}. What"
        " still grows is the prefill, once, and the attention of the new tokens to the prompt, at every step.",
    )


if __name__ == "__main__":
    wall() if "--wall" in sys.argv else main({"cache-noise": by_noise})
