"""The figures of the chapter on the prompt pair: python docs/figures/prompt.py [NAME ...]

What takes long is measured once, with the bundled model, and kept in data/prompt.json: delete it to measure it again
(three minutes, one thread).
"""

from collections import Counter
from itertools import pairwise
from math import cos, pi, radians, sin
from typing import Any

import numpy as np
import torch
from canvas import BLUE, GREEN, INK, ORANGE, RED, Drawing, figure, main, measured
from matplotlib.figure import Figure
from svg import DARK, box, lines, path, picture, png_of, svg, text, tips
from torch import Tensor

from janus_minimal import JanusFlowPipeline, PromptPair, denoise, time_grid
from janus_minimal.pipeline import image_noise
from janus_minimal.prompt import TEMPLATE, PromptRows
from janus_minimal.shapes.caption import CATEGORIES
from janus_minimal.shapes.evaluate import fresh_captions
from janus_minimal.shapes.examples import draw_example
from janus_minimal.shapes.score import detect, satisfies

CAPTION = "a red circle left of a blue square"
SHORT = "a red circle"
TWO = ("a red circle", "a red circle above a star")
LENGTHS = (5, 6, 8, 10, 11, 20)  # of prompts whose unconditional rows are drawn
IMAGES, SHOWN = 24, 6  # pictures of each length, and how many of them are shown
STEPS = 30
REFERENCE = 6  # the length with which others are compared
LOW_LINE, BAR = 0x2581, 0xFF5C


def plain(token: str) -> str:
    """Return a token's name with ordinary bars and spaces."""
    named = token.translate({BAR: "|", LOW_LINE: " "})
    return {"<|begin of sentence|>": "<begin>", "<| pad |>": "<pad>"}.get(named, named)


# What is measured.


@torch.no_grad()
def measure() -> dict[str, Any]:
    """Measure everything with the bundled model."""
    pipe = JanusFlowPipeline.from_pretrained("shapes")
    tokenizer = pipe.tokenizer
    ids = tokenizer.encode(TEMPLATE.format(prompt=CAPTION))
    return {
        "caption": CAPTION,
        "tokens": [[plain(tokenizer.convert_ids_to_tokens(i)), i] for i in ids],
        "trained on": trained_on(tokenizer),
        "drawn": {length: drawn(pipe, length) for length in LENGTHS},
        "apart": apart(pipe),
        "rows": other_rows(pipe),
        "attention": attention(pipe),
        "batch": batch(pipe),
        "templates": other_templates(pipe),
    }


def trained_on(tokenizer: Any, examples: int = 4000) -> dict[str, dict[str, float]]:
    """Return, for each prompt length L of the training captions, the shares of one, two, three and four things."""
    found: dict[int, Counter[int]] = {}
    for index in range(examples):
        caption, _ = draw_example(index, 0)
        length = len(tokenizer.encode(TEMPLATE.format(prompt=str(caption)))) - 1
        found.setdefault(length, Counter())[caption.count * len(caption.kinds)] += 1
    return {
        str(length): {"share": counts.total() / examples}
        | {str(n): counts[n] / counts.total() for n in range(1, 5) if counts[n]}
        for length, counts in sorted(found.items())
    }


def unconditional(length: int, images: int, pad_id: int = 1) -> PromptRows:
    """Return the unconditional rows of any prompt of L tokens: they are all alike."""
    pair = PromptPair.from_ids([torch.tensor([0] + [6] * length)], images, pad_id)
    return pair.batch()[torch.arange(images, 2 * images)]


def drawn(pipe: JanusFlowPipeline, length: int) -> dict[str, Any]:
    """Draw with the unconditional velocity alone (w = 0), and count the things that are seen."""
    rows, z = unconditional(length, IMAGES), noise(pipe, IMAGES)
    for t, t_next in pairwise(time_grid(STEPS)):
        z = z + (t_next - t) * pipe.model(z, t, rows)
    pictures = [np.asarray(found) for found in pipe.to_pictures(z)]
    counts = Counter(len(detect(found)) for found in pictures)
    sheets = [png_of(found) for found in pictures[:SHOWN]]
    return {"things": dict(sorted(counts.items())), "two": counts[2], "images": IMAGES, "pictures": sheets}


def noise(pipe: JanusFlowPipeline, images: int) -> Tensor:
    return image_noise(pipe.latent_shape, images, torch.Generator().manual_seed(0))


def relative(a: Tensor, b: Tensor) -> float:
    return ((a - b).norm() / b.norm()).item()


def trajectory(pipe: JanusFlowPipeline, images: int = 4) -> list[Any]:
    """Return the steps of a few pictures of the caption: the states at which velocities are compared."""
    pair = PromptPair.from_text(CAPTION, pipe.tokenizer, images)
    return list(denoise(pipe.model, pair, noise(pipe, images), time_grid(STEPS)))


def apart(pipe: JanusFlowPipeline) -> dict[str, Any]:
    """Return how far the unconditional velocity of a prompt of L tokens is from that of one of REFERENCE tokens."""
    lengths, steps = list(range(2, 25)), trajectory(pipe)
    found: dict[str, Any] = {"lengths": lengths, "t": {}}
    for k in (0, 5, 15):
        step = steps[k]
        v = [pipe.model(step.z, step.t, unconditional(length, len(step.z))) for length in lengths]
        found["t"][f"{step.t:.2f}"] = [relative(a, v[lengths.index(REFERENCE)]) for a in v]
    hidden = []
    for length in (REFERENCE, 11):
        rows = unconditional(length, len(step.z))
        nothing = PromptRows(rows.ids, torch.zeros_like(rows.attention_mask), rows.positions)
        hidden.append(pipe.model(steps[0].z, steps[0].t, nothing))
    found["first token hidden too"] = relative(hidden[1], hidden[0])
    found["first token seen, %"] = 100 * found["t"]["0.00"][lengths.index(11)]
    return found


def other_rows(pipe: JanusFlowPipeline) -> dict[str, dict[str, float]]:
    """Return how far v_uncond moves if the unconditional row is made in another way."""
    steps = trajectory(pipe)
    length = len(pipe.tokenizer.encode(TEMPLATE.format(prompt=CAPTION))) - 1
    right = unconditional(length, 4)
    empty = pipe.tokenizer.encode(TEMPLATE.format(prompt=""))
    others = {
        "first token hidden": PromptRows(right.ids, torch.zeros_like(right.attention_mask), right.positions),
        "positions renumbered": right_cut(right),
        "padding seen": PromptRows(right.ids, torch.ones_like(right.attention_mask), right.positions),
        "empty caption": PromptPair.from_ids([torch.tensor(empty)], 4, 1).batch()[torch.arange(4)],
    }
    found: dict[str, dict[str, float]] = {name: {} for name in others}
    for step in (steps[0], steps[5], steps[15], steps[25]):
        v = pipe.model(step.z, step.t, right)
        for name, rows in others.items():
            found[name][f"{step.t:.2f}"] = relative(pipe.model(step.z, step.t, rows), v)
    return {name: values | {"most, %": 100 * max(values.values())} for name, values in found.items()}


def right_cut(rows: PromptRows) -> PromptRows:
    """Return the rows with the masked tokens left out, so that the new tokens move up to position 1."""
    return PromptRows(rows.ids[:, :1], rows.attention_mask[:, :1], rows.positions[:, :1])


SYSTEM = (
    "You are a helpful language and vision assistant. You are able to understand the visual content that the user"
    " provides, and assist the user with a variety of tasks using natural language."
)  # the default system prompt of the official processor, meant for its chats
NOTHING = "a and an of " * 5  # words of the bundled vocabulary that name nothing

CHANGES = {
    "as trained": lambda ids: ids,
    "no tag": lambda ids: ids[:-1],  # so that "assistant:" is dropped in its place
    "tag twice": lambda ids: [*ids, ids[-1]],  # so that one tag stays
    "no begin token": lambda ids: ids[1:],
    "begin token twice": lambda ids: [ids[0], *ids],
    "no template": lambda ids: [ids[0], *ids[2:-2], ids[-1]],  # without "user:" and "assistant:"
}


def other_templates(pipe: JanusFlowPipeline) -> dict[str, dict[str, float]]:
    """Return how far v_cond moves, and how many pictures are right, if the ids are not those of the template."""
    captions = [caption for category in CATEGORIES for caption in fresh_captions(category, 6, 0)]
    z, steps, found = noise(pipe, len(captions)), trajectory(pipe, 1), {}
    changes = CHANGES | {
        "system prompt": lambda ids: with_system_prompt(pipe, SYSTEM, ids),
        "system prompt, known words": lambda ids: with_system_prompt(pipe, NOTHING, ids),
    }
    for name, change in changes.items():
        told = [pipe.tokenizer.encode(TEMPLATE.format(prompt=str(caption))) for caption in (CAPTION, *captions)]
        one, *ids = [torch.tensor(change(row)) for row in told]
        own = PromptPair.from_ids([one], pad_id=pipe.tokenizer.pad_token_id)
        moved = [relative(pipe.model.velocity(s.z, s.t, own)[0], s.v_cond) for s in (steps[k] for k in (0, 5, 15, 25))]
        pair = PromptPair.from_ids(ids, pad_id=pipe.tokenizer.pad_token_id)
        *_, last = denoise(pipe.model, pair, z, time_grid(10))
        pictures = zip(pipe.to_pictures(last.z_next), captions, strict=True)
        right = sum(satisfies(np.asarray(picture), caption) for picture, caption in pictures)
        found[name] = {"most, %": 100 * max(moved), "right": right, "captions": len(captions)}
    return found


def with_system_prompt(pipe: JanusFlowPipeline, words: str, ids: list[int]) -> list[int]:
    """Return the ids with a system prompt after the begin token, where a chat has it."""
    return [ids[0], *pipe.tokenizer.encode(words)[1:], *ids[1:]]


def attention(pipe: JanusFlowPipeline) -> dict[str, dict[str, float]]:
    """Return what share of the image tokens' attention goes where: mean over layers, heads and tokens, at t = 0.2."""
    model = JanusFlowPipeline.from_pretrained("shapes").model
    model.llama.config._attn_implementation = "eager"
    step, pair = trajectory(pipe, 1)[6], PromptPair.from_text(CAPTION, pipe.tokenizer)
    x_emb, t_emb, _ = model.encode(step.z, step.t)
    tokens, n, found = model.align_in(x_emb, t_emb), 37, {}
    for name, index in (("conditional", 0), ("unconditional", 1)):
        rows, length = pair.batch()[torch.tensor([index])], pair.rows.ids.shape[1]
        weights = model.llama(
            inputs_embeds=torch.cat([model.llama.embed_tokens(rows.ids), tokens], dim=1),
            attention_mask=rows.mask(n),
            position_ids=torch.cat([rows.positions, rows.new_positions(n)], dim=1),
            output_attentions=True,
        ).attentions
        seen = torch.cat(weights)[:, :, length + 1 :].mean(dim=(0, 1, 2))  # by image tokens, of each key
        parts = {"first token": seen[0], "other prompt tokens": seen[1:length].sum(), "time token": seen[length]}
        found[name] = {f"{part}, %": 100 * share.item() for part, share in parts.items()}
        found[name]["image tokens, %"] = 100 * seen[length + 1 :].sum().item()
    return found


def batch(pipe: JanusFlowPipeline) -> dict[str, float]:
    """Return how far the velocities of two prompts in a batch are from those that each has alone."""
    z = noise(pipe, 2)
    t = torch.tensor(0.3)
    together = torch.stack(pipe.model.velocity(z, t, PromptPair.from_text(TWO, pipe.tokenizer)))
    alone = [
        torch.stack(pipe.model.velocity(z[i : i + 1], t, PromptPair.from_text(caption, pipe.tokenizer)))
        for i, caption in enumerate(TWO)
    ]
    return {"largest difference": (together - torch.cat(alone, dim=1)).abs().max().item()}


# What is drawn.

CELL, WIDE = 22, 150
SEEN, TIME, IMAGE = BLUE, ORANGE, GREEN


def token(x: float, y: float, name: str, number: str, colour: str | None, width: float = WIDE) -> str:
    """Return one token: filled where it can be attended to, dashed and pale where it is masked."""
    seen = colour is not None
    frame = box(
        x,
        y,
        width,
        CELL - 4,
        fill=colour or "none",
        opacity=0.25,
        stroke=colour or INK,
        line=1 if seen else 0.6,
        dashes="" if seen else "3 3",
    )
    faint = 1 if seen else 0.6
    return (
        frame
        + text(x + 6, y + 13, name, 11.5, "start", opacity=faint)
        + text(x + width - 6, y + 13, number, 11.5, "end", opacity=faint * DARK)
    )


@figure("prompt_rows")
def rows_of_a_caption() -> Drawing:
    pipe = JanusFlowPipeline.from_pretrained("shapes")
    pair = PromptPair.from_text(CAPTION, pipe.tokenizer)
    ids, mask, length = pair.rows.ids.tolist(), pair.rows.attention_mask.tolist(), pair.rows.ids.shape[1]
    new = pair.rows.new_positions(37).tolist()[0]
    left, middle, right, top = 52, 64, 250, 46
    parts = [
        text(left - 6, 24, "position", 11, "end", opacity=DARK),
        text(middle + WIDE / 2, 18, "conditional row", 12.5, bold=True),
        text(middle + WIDE / 2, 34, "token and id", 10.5, opacity=DARK),
        text(right + WIDE / 2, 18, "unconditional row", 12.5, bold=True),
        text(right + WIDE / 2, 34, "token and id", 10.5, opacity=DARK),
    ]
    names = pipe.tokenizer.convert_ids_to_tokens
    for i in range(length):
        y = top + CELL * i
        parts.append(text(left - 6, y + 13, str(pair.rows.positions[0, i].item()), 11, "end", opacity=DARK))
        for x, row in ((middle, 0), (right, 1)):
            parts.append(token(x, y, plain(names(ids[row][i])), str(ids[row][i]), SEEN if mask[row][i] else None))
    y = top + CELL * length + 6
    for i, (name, colour) in enumerate((("time token", TIME), ("image token 1", IMAGE), ("image token 2", IMAGE))):
        parts.append(text(left - 6, y + CELL * i + 13, str(new[i]), 11, "end", opacity=DARK))
        parts += [token(x, y + CELL * i, name, "", colour) for x in (middle, right)]
    y += 3 * CELL
    parts += [text(x + WIDE / 2, y + 10, "...", 12) for x in (middle, right)]
    parts.append(text(left - 6, y + CELL + 13, str(new[-1]), 11, "end", opacity=DARK))
    parts += [token(x, y + CELL, "image token 36", "", IMAGE) for x in (middle, right)]
    note, ty = right + WIDE + 16, top + CELL * length
    parts.append(lines(note, top + 13, ["seen in both rows:", "it says nothing of", "the caption"], 11, anchor="start"))
    parts.append(
        lines(
            note, top + 13 + 4 * CELL, ["dashed: masked,", "nobody attends here,", "but the position", "is kept"], 11,
            anchor="start",
        )
    )  # fmt: skip
    parts.append(
        lines(note, ty + 6, ["stands where", f"{plain(names(2))} (2)", "was dropped"], 11, anchor="start", colour=RED)
    )
    drawing = svg(note + 136, y + 2 * CELL + 4, *parts)
    total = length + 1
    return Drawing(
        drawing,
        f"Two columns of tokens from top to bottom. The conditional one has the {length} tokens of the caption, all"
        " filled; the unconditional one has the first token filled and dashed padding below. Both continue with the"
        " same time token and image tokens at the same positions.",
        f"The two rows of the caption “{CAPTION}” in the bundled model. The tokenizer gives {total} tokens; the last,"
        f" id 2, is dropped, which leaves L = {length}. Filled tokens may be attended to, dashed ones are masked."
        f" Time and image tokens stand at positions {new[0]} to {new[-1]} in both rows.",
    )


def matrix(x: float, y: float, title: str, names: list[str], seen: np.ndarray, masked: np.ndarray) -> str:
    """Return who (down) attends to whom (across)."""
    side, n = 21, len(names)
    parts = [text(x + side * n / 2, y - 96, title, 12.5, bold=True)]
    for i, name in enumerate(names):
        parts.append(text(x - 6, y + side * i + 15, name, 11, "end"))
        parts.append(text(x + side * i + 15, y - 6, name, 11, "start", turn=-90))
    for i in range(n):
        for j in range(n):
            at = (x + side * j, y + side * i, side - 2, side - 2)
            if seen[i, j]:
                parts.append(box(*at, fill=BLUE, opacity=0.8, stroke=BLUE, line=0.5))
            elif masked[j] and j <= i:
                parts.append(box(*at, fill=ORANGE, opacity=0.25, stroke=ORANGE, line=0.8))
                parts.append(text(at[0] + side / 2 - 1, at[1] + 14, "×", 12))
            else:
                parts.append(box(*at, line=0.6, fill=INK, opacity=0.05, edge=0.3))
    return "".join(parts)


@figure("prompt_mask")
def masks() -> Drawing:
    pipe = JanusFlowPipeline.from_pretrained("shapes")
    pair = PromptPair.from_text(SHORT, pipe.tokenizer)
    length, n = pair.rows.ids.shape[1], 4
    words = [plain(name) for name in pipe.tokenizer.convert_ids_to_tokens(pair.rows.ids[0])]
    mask = pair.rows.mask(n).numpy()
    causal = np.tril(np.ones((length + n, length + n), dtype=bool))
    new = ["time", "image 1", "image 2", "image 3"]
    top, parts, counts = 118, [], []
    for k, title in enumerate(("conditional row", "unconditional row")):
        names = [*(words if k == 0 else [words[0], *["<pad>"] * (length - 1)]), *new]
        seen = causal & mask[k]
        counts.append(int(seen[-1].sum()))
        parts.append(matrix(86 + 320 * k, top, title, names, seen, ~mask[k]))
    y = top + 21 * (length + n) + 22
    keys = (
        (BLUE, 0.8, "attends"),
        (ORANGE, 0.25, "masked, though it stands before"),
        (INK, 0.05, "stands later: causal"),
    )
    for (colour, opacity, said), x in zip(keys, (86, 176, 392), strict=True):
        parts.append(box(x, y, 14, 14, fill=colour, opacity=opacity, stroke=colour, line=0.6))
        parts.append(text(x + 20, y + 12, said, 11.5, "start"))
    return Drawing(
        svg(630, y + 22, *parts),
        "Two square matrices, attending token down, attended token across. Left, a full lower triangle. Right, only the"
        " first column and the triangle of the time and image tokens are filled; the columns of the padding are crossed"
        " out.",
        f"Who attends to whom for “{SHORT}” (L = {length}; 3 of the 36 image tokens are drawn). A token in a row"
        f" attends to the filled columns. Image token 3 sees {counts[0]} tokens in the conditional row and"
        f" {counts[1]} in the unconditional one: the first token, the time token, and the image tokens up to itself.",
    )


F = radians(30)  # the angle per position of the worked example
Q, K = np.array([2.0, 0.0]), np.array([1.0, 1.0])


def turned(vector: np.ndarray, position: int) -> np.ndarray:
    c, s = cos(F * position), sin(F * position)
    return np.array([c * vector[0] - s * vector[1], s * vector[0] + c * vector[1]])


def arrows(x: float, y: float, title: str, m: int, n: int) -> tuple[str, float]:
    """Return a query at position m and a key at position n, turned and not, and their score."""
    unit, parts = 36, []
    q, k = turned(Q, m), turned(K, n)
    parts.append(f'<circle cx="{x:g}" cy="{y:g}" r="{2 * unit}" fill="none" stroke="{INK}" stroke-opacity="0.2"/>')
    parts += [
        path(f"M{x - 92} {y}H{x + 92}", opacity=0.3, line=0.7),
        path(f"M{x} {y - 92}V{y + 92}", opacity=0.3, line=0.7),
    ]
    for before, after, colour, name in ((Q, q, BLUE, f"q at {m}"), (K, k, RED, f"k at {n}")):
        for v, faint in ((before, 0.35), (after, 1.0)):
            ex, ey = x + unit * v[0], y - unit * v[1]
            dashes = "4 3" if faint < 1 else ""
            line = 1.4 if dashes else 2.2
            parts.append(path(f"M{x} {y}L{ex:.1f} {ey:.1f}", colour, line, faint, not dashes, dashes))
        ox, oy = after / np.linalg.norm(after)
        anchor = "start" if ox > 0.2 else "end" if ox < -0.5 else "middle"
        low = -8 if abs(oy) < 0.3 else 4  # beside a flat arrow, the axis would cross the name
        parts.append(text(ex + 8 * ox + 6 * (0.2 < ox < 0.5), ey - 14 * oy + low, name, 12, anchor, colour, bold=True))
    score = float(q @ k)
    parts.append(text(x, y + 122, title, 12))
    parts.append(text(x, y + 139, f"q·k = {score:.3f}", 12.5, bold=True))
    return "".join(parts), score


@figure("prompt_rope")
def rope() -> Drawing:
    cases = ((0, 0), (3, 1), (6, 4))
    drawn_, scores = [], []
    for i, (m, n) in enumerate(cases):
        part, score = arrows(115 + 222 * i, 122, f"positions {m} and {n}: distance {m - n}", m, n)
        drawn_.append(part)
        scores.append(score)
    return Drawing(
        svg(674, 272, tips(BLUE, RED), *drawn_),
        "Three circles with a blue query arrow and a red key arrow. Left, nothing is turned. In the middle and on the"
        " right both are turned, by different angles, and the angle between them is the same in both.",
        f"RoPE in two dimensions: a vector at position p is turned by {np.degrees(F):.0f}° times p (dashed: before"
        f" turning). With nothing turned, the score is {scores[0]:.3f}. At positions 3 and 1 and at positions 6 and 4"
        f" the distance is 2 both times, and so the score is {scores[1]:.3f} and {scores[2]:.3f}.",
    )


@figure("prompt_rope_distance")
def rope_distance() -> Drawing:
    """How fast single pairs of channels turn, at the bundled head width."""
    pipe = JanusFlowPipeline.from_pretrained("shapes")
    frequencies = pipe.model.llama.rotary_emb.inv_freq.double().numpy()
    distance = np.arange(0, 48)
    chosen = (0, 4, 8)
    drawing = Figure(figsize=(6.6, 2.7), layout="constrained")
    axes = drawing.subplots()
    waves = []
    for pair, colour, style in zip(chosen, (BLUE, RED, GREEN), ("-", "--", "-."), strict=True):
        waves.append(2 * pi / frequencies[pair])
        label = f"pair {pair}: turns once in {waves[-1]:,.1f}"
        axes.plot(distance, np.cos(distance * frequencies[pair]), style, color=colour, marker=".", ms=3, label=label)
    axes.axvspan(6 + 1, 11 + 1, color=ORANGE, alpha=0.2, lw=0)
    axes.set(xlabel="distance of two tokens, in positions", ylabel="q·k of equal unit vectors", ylim=(-1.15, 1.15))
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, fontsize=9, framealpha=0, handlelength=2.4)
    width = 2 * len(frequencies)
    return Drawing(
        drawing,
        "Three cosine curves over the distance of two tokens: a fast one, a slower one and one that hardly falls.",
        f"The score of two equal unit vectors in one pair of channels, against their distance, for three of the"
        f" {len(frequencies)} pairs of a head of width {width} (bundled model; a dot is a whole position). Pair 0 turns"
        f" fully every {waves[0]:.1f} positions, pair 8 every {waves[2]:,.0f}. Shaded: how far the first image token"
        " stands from the first prompt token if L is 6 to 11. All pairs together tell the model which it is.",
    )


@figure("prompt_length")
def length_pictures() -> Drawing:
    data, side, top = measured("prompt", measure), 62, 42
    shown, trained = ("5", "6", "8", "10", "11", "20"), data["trained on"]
    parts = [
        text(4, 24, "length", 11.5, "start", opacity=DARK),
        text(84, 24, "drawn without the prompt (w = 0), the same noises in each row", 11.5, "start", opacity=DARK),
        text(84 + SHOWN * (side + 4) + 10, 24, "things: drawn, in training", 11.5, "start", opacity=DARK),
    ]
    for i, length in enumerate(shown):
        y, found = top + i * (side + 6), data["drawn"][length]
        parts.append(text(64, y + 36, f"L = {length}", 13, "end", bold=True))
        for k, png in enumerate(found["pictures"]):
            parts.append(picture(84 + k * (side + 4), y, side, png, f"unconditional picture, L = {length}"))
        x = 84 + SHOWN * (side + 4) + 10
        for n in range(1, 5):
            share = found["things"].get(str(n), 0) / found["images"]
            for h, at, colour in ((40 * share, -20, BLUE), (40 * trained.get(length, {}).get(str(n), 0), -4, ORANGE)):
                parts.append(
                    box(x + 44 * n - 20 + at, y + 44 - h, 15, h, fill=colour, opacity=0.8, stroke=colour, line=0.5)
                )
            parts.append(text(x + 44 * n - 24, y + 57, str(n), 10.5, opacity=DARK))
        if length not in trained:
            parts.append(text(x + 100, y + 20, "not in training", 10.5, "start", opacity=DARK))
    two = {length: f"{data['drawn'][length]['two']} of {IMAGES}" for length in shown}
    always = min(int(length) for length, shares in trained.items() if shares.get("2") == 1)
    assert all(shares.get("2") == 1 for length, shares in trained.items() if int(length) >= always)
    return Drawing(
        svg(84 + SHOWN * (side + 4) + 10 + 205, top + len(shown) * (side + 6), *parts),
        "Rows of small pictures by prompt length, and a bar chart for each. For lengths 5 and 6 one to four shapes are"
        " seen; from 8 on nearly always two.",
        "Pictures drawn with the unconditional velocity alone, from the same noises. The row holds no word of a"
        f" caption, only its length. Pictures with exactly two things: {two['5']} at L = 5, {two['6']} at L = 6,"
        f" {two['8']} at L = 8, {two['10']} at L = 10, {two['11']} at L = 11, {two['20']} at L = 20. In training, every"
        f" prompt of {always} or more tokens describes two things. Bars: blue drawn, orange in training.",
    )


@figure("prompt_length_apart")
def length_apart() -> Drawing:
    data = measured("prompt", measure)["apart"]
    drawing = Figure(figsize=(6.6, 2.7), layout="constrained")
    axes = drawing.subplots()
    for (t, values), colour, style in zip(data["t"].items(), (BLUE, RED, GREEN), ("-", "--", "-."), strict=True):
        axes.plot(data["lengths"], [100 * v for v in values], style, color=colour, marker=".", label=f"t = {t}")
    axes.set(xlabel="prompt length L", ylabel=f"distance from L = {REFERENCE}, %", ylim=(0, None))
    axes.legend(fontsize=9, framealpha=0)
    most = {t: max(values) for t, values in data["t"].items()}
    said = ", ".join(f"{100 * value:.0f} % at t = {t}" for t, value in most.items())
    return Drawing(
        drawing,
        "Three curves over the prompt length, zero at L = 6 and different from zero elsewhere, highest for t = 0.17.",
        f"Relative distance of the unconditional velocity for a prompt of L tokens from the one for {REFERENCE} tokens,"
        f" at the same four latents (bundled model). The largest: {said}. With other words and the same length it is"
        " exactly 0, because the unconditional rows are then identical.",
    )


@figure("prompt_padding")
def padding() -> Drawing:
    pipe = JanusFlowPipeline.from_pretrained("shapes")
    pair = PromptPair.from_text(TWO, pipe.tokenizer)
    rows, n = pair.rows, 2
    cell, left, top = 58, 104, 26
    parts = []
    names = [plain(name) for name in pipe.tokenizer.convert_ids_to_tokens(range(33))]
    for r, (title, y) in enumerate(zip(("cond 1", "cond 2", "uncond 1", "uncond 2"), (0, 46, 106, 152), strict=True)):
        y += top
        parts.append(text(left - 10, y + 15, title, 12, "end", bold=True))
        parts.append(text(left - 10, y + 32, "position", 10, "end", opacity=DARK))
        for i, number in enumerate(rows.ids[r].tolist()):
            seen, x = bool(rows.attention_mask[r, i]), left + cell * i
            colour = BLUE if seen else None
            parts.append(
                box(x, y, cell - 4, 20, fill=colour or "none", opacity=0.25, stroke=colour or INK,
                    line=1 if seen else 0.6, dashes="" if seen else "3 3")
            )  # fmt: skip
            faint = 1 if seen else 0.6
            parts.append(text(x + cell / 2 - 2, y + 14, names[number], 10, opacity=faint))
            parts.append(text(x + cell / 2 - 2, y + 33, str(rows.positions[r, i].item()), 10.5, opacity=DARK))
        for i in range(n):
            x, colour = left + cell * (rows.ids.shape[1] + i), (ORANGE, GREEN)[i]
            parts.append(box(x, y, cell - 4, 20, fill=colour, opacity=0.25, stroke=colour))
            parts.append(text(x + cell / 2 - 2, y + 14, ("time", "image 1")[i], 10))
            position = rows.new_positions(n)[r, i].item()
            parts.append(text(x + cell / 2 - 2, y + 33, str(position), 10.5, opacity=DARK))
    short, long = (len(pipe.tokenizer.encode(TEMPLATE.format(prompt=caption))) - 1 for caption in TWO)
    apart_ = measured("prompt", measure)["batch"]["largest difference"]
    return Drawing(
        svg(left + cell * (rows.ids.shape[1] + n), top + 196, *parts),
        "Four rows of tokens of equal length. The rows of the shorter prompt begin with dashed padding on the left; all"
        " prompts end right before the time token.",
        f"Two prompts of {short} and {long} tokens in one batch. The shorter one is padded on the left, masked, and its"
        f" positions begin at 0 with its own first token, so its time token is at {short} as if it were alone. Largest"
        f" difference between any velocity of this batch and the same prompt alone: {apart_:.0e}.",
    )


if __name__ == "__main__":
    main()
