"""The figures of the chapter that looks inside: python docs/figures/inside.py [NAME ...]

What takes long is measured once and kept in data/: delete a file there to measure it again (one to three minutes each,
one thread).
"""

import sys
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from typing import Any

import numpy as np
import torch
from canvas import BLUE, GREEN, INK, ORANGE, PINK, SKY, Drawing, figure, main
from einops import reduce
from matplotlib.figure import Figure
from recipes import from_text, measured, run_page, sheet, to_text
from torch import Tensor

from janus_minimal import JanusFlowPipeline, PromptPair, denoise, time_grid
from janus_minimal.pipeline import image_noise
from janus_minimal.shapes.caption import CATEGORIES, Caption
from janus_minimal.shapes.evaluate import fresh_captions
from janus_minimal.shapes.render import coverage
from janus_minimal.shapes.scene import COLOURS, SEEN, SHAPES
from janus_minimal.shapes.score import detect, satisfies
from janus_minimal.shapes.vae import encode_scenes
from janus_minimal.solvers import conditional_velocity

SEED = 11  # of captions and noise
PAIRS = 16  # captions of each of the two categories that name two coloured things
STEPS = 15
COVERED = 0.5  # a patch belongs to a thing that covers at least this part of it
FAMOUS = "a red circle left of a blue square"
PAGE = "inside.md"
ALL_KINDS = sorted(SEEN)
KINDS = ("colours", "shapes", "relation", "articles", "frame")
CHANGES = (0, 1, 2, 3, 5, 7, 9)  # steps before which a word is exchanged


def covered(thing: Any) -> Tensor:
    """Return the part of each of the 36 patches, 8 x 8 pixels each, that a thing covers."""
    alpha = torch.from_numpy(coverage(thing.shape, thing.x, thing.y, thing.size))
    return reduce(alpha, "(h p) (w q) -> (h w)", "mean", p=8, q=8)


def patches_of(thing: Any) -> Tensor:
    """Return which patches a thing covers by half or more."""
    return covered(thing) >= COVERED


def ground_of(scene: Any) -> Tensor:
    """Return which patches no thing touches."""
    return torch.stack([covered(thing) for thing in scene]).sum(dim=0) == 0


def measure_words() -> dict[str, Any]:
    """Ask how the attention of a thing's patches is divided between its own colour word and the other's."""
    watched = run_page(PAGE)["watched"]
    pipe = JanusFlowPipeline.from_pretrained("shapes")
    kinds = [c for category in ("position", "colour attribution") for c in fresh_captions(category, 4 * PAIRS, SEED)]
    named = [c for c in kinds if len({colour for colour, _ in c.kinds} - {None}) == 2][: 2 * PAIRS]
    pair = PromptPair.from_text([str(c) for c in named], pipe.tokenizer)
    z = image_noise(pipe.latent_shape, len(named), torch.Generator().manual_seed(SEED))
    *_, last = denoise(pipe.model, pair, z, time_grid(STEPS))
    scenes = [detect(np.asarray(picture)) for picture in pipe.to_pictures(last.z_next)]
    known = [i for i, (c, s) in enumerate(zip(named, scenes, strict=True)) if c.holds(s)]
    tokens = [pipe.tokenizer.convert_ids_to_tokens(row) for row in pair.rows.ids[: len(named)]]
    times, own, other, ground, totals, states = [], [], [], [], [], []
    for t, inside in watched(pipe.model, pair, z, time_grid(STEPS)):
        attention = inside.attention.mean(dim=2)[:, :, 1:]  # layers rows N seen
        mine, its, empty = [], [], []
        for i in known:
            for thing in scenes[i]:
                (different,) = {colour for colour, _ in named[i].kinds} - {thing.colour}
                rows = attention[:, i][:, patches_of(thing)].mean(dim=1)  # layers seen
                mine.append(rows[:, tokens[i].index(thing.colour)])
                its.append(rows[:, tokens[i].index(different)])
            words = [tokens[i].index(thing.colour) for thing in scenes[i]]
            empty.append(attention[:, i][:, ground_of(scenes[i])][:, :, words].mean(dim=(1, 2)))
        times.append(float(t))
        own.append(torch.stack(mine).mean(dim=0).tolist())
        other.append(torch.stack(its).mean(dim=0).tolist())
        ground.append(torch.stack(empty).mean(dim=0).tolist())
        length = pair.rows.ids.shape[1]
        cond = attention[:, : len(named)].mean(dim=(1, 2))  # layers seen
        totals.append(
            {
                "prompt": cond[:, :length].sum(dim=1).tolist(),
                "time": cond[:, length].tolist(),
                "image": cond[:, length + 1 :].sum(dim=1).tolist(),
            }
        )
        hidden = inside.hidden[:, :, 1:]
        change = (hidden[1:] - hidden[:-1]).norm(dim=-1) / hidden[:-1].norm(dim=-1)
        c, u = hidden.chunk(2, dim=1)
        states.append(
            {
                "change": change.mean(dim=(1, 2)).tolist(),
                "norm": hidden.norm(dim=-1).mean(dim=(1, 2)).tolist(),
                "apart": ((c - u).norm(dim=-1) / c.norm(dim=-1)).mean(dim=(1, 2)).tolist(),
            }
        )
    return {
        "captions": len(named),
        "right": len(known),
        "things": len(mine),
        "steps": STEPS,
        "times": times,
        "own": own,
        "other": other,
        "ground": ground,
        "patches": float(np.mean([int(patches_of(thing).sum()) for i in known for thing in scenes[i]])),
        "totals": totals,
        "states": states,
    }


def side_by_side(number: int) -> list[Caption]:
    """Return captions of two things of different colours and shapes, side by side: all of one length."""
    rng, found = np.random.default_rng(SEED), []
    while len(found) < number:
        (one, first), (other, second) = (ALL_KINDS[i] for i in rng.choice(len(ALL_KINDS), 2, replace=False))
        if one != other and first != second:
            found.append(Caption(((one, first), (other, second)), relation=("left of", "right of")[rng.integers(2)]))
    return found


def kind_of(word: str) -> str:
    """Return which part a token plays in such a caption."""
    if word in COLOURS or word in SHAPES:
        return "colours" if word in COLOURS else "shapes"
    return {"left": "relation", "right": "relation", "of": "relation", "a": "articles"}.get(word, "frame")


def measure_reading() -> dict[str, Any]:
    """Ask which kinds of words get attention, by step and layer; and, at the middle step, what single heads prefer."""
    watched, pipe, captions = run_page(PAGE)["watched"], JanusFlowPipeline.from_pretrained("shapes"), side_by_side(16)
    pair = PromptPair.from_text([str(c) for c in captions], pipe.tokenizer)
    z = image_noise(pipe.latent_shape, len(captions), torch.Generator().manual_seed(SEED))
    *_, last = denoise(pipe.model, pair, z, time_grid(STEPS))
    scenes = [detect(np.asarray(picture)) for picture in pipe.to_pictures(last.z_next)]
    right = [i for i, c in enumerate(captions) if c.holds(scenes[i])]
    tokens = [pipe.tokenizer.convert_ids_to_tokens(row) for row in pair.rows.ids[: len(captions)]]
    kinds = [kind_of(word) for word in tokens[0]]
    rows: list[Any] = []
    for t, inside in watched(pipe.model, pair, z, time_grid(STEPS)):
        cond = inside.attention[:, : len(captions), :, 1:, : len(kinds)]  # layers captions heads N L
        by_word = cond.mean(dim=(1, 2, 3))  # layers L
        sums = {kind: by_word[:, [k == kind for k in kinds]].sum(dim=1).tolist() for kind in KINDS}
        rows.append({"t": float(t), **sums})
        if len(rows) == STEPS // 2 + 1:
            heads = [own_and_other(cond[:, i], tokens[i], thing) for i in right for thing in scenes[i]]
    own, other = torch.stack(heads).mean(dim=0)  # layers heads each
    return {"captions": len(captions), "right": len(right), "words": tokens[0], "rows": rows} | {
        "heads": {"t": rows[STEPS // 2]["t"], "own": own.tolist(), "other": other.tolist()}
    }


def own_and_other(attention: Tensor, words: list[str], thing: Any) -> Tensor:
    """Return how much each head attends from a thing's patches to its colour and to the other: 2 layers heads."""
    rows = attention[:, :, patches_of(thing)].mean(dim=2)  # layers heads L
    (other,) = {word for word in words if word in COLOURS} - {thing.colour}
    return torch.stack([rows[..., words.index(thing.colour)], rows[..., words.index(other)]])


EACH_WORD, FEW = 16, 10  # captions in which one word changes, steps


def one_word_changed(rng: np.random.Generator) -> dict[str, tuple[Caption, Caption]]:
    """Return pairs of captions that differ in one word, by the kind of the word."""
    colours, shapes = (rng.permutation(np.array(names)).tolist() for names in (COLOURS, SHAPES))
    (one, other), (first, second) = colours[:2], shapes[:2]
    two, counts = ((one, first), (other, second)), rng.permutation([2, 3, 4]).tolist()
    return {
        "relation": (Caption(two, relation="left of"), Caption(two, relation="right of")),
        "number": (Caption(((None, first),), counts[0]), Caption(((None, first),), counts[1])),
        "shape": (Caption(((one, first),)), Caption(((one, second),))),
        "colour": (Caption(((one, first),)), Caption(((other, first),))),
    }


def measure_changed() -> dict[str, Any]:
    """Exchange one word of the caption at a time t: until when does the picture still follow the new word?"""
    pipe, rng, times = JanusFlowPipeline.from_pretrained("shapes"), np.random.default_rng(SEED), time_grid(FEW)
    pairs = [one_word_changed(rng) for _ in range(EACH_WORD)]
    found: dict[str, Any] = {"captions": EACH_WORD, "steps": FEW}
    for kind in pairs[0]:
        before, after = ([pair[kind][side] for pair in pairs] for side in (0, 1))
        first, second = (PromptPair.from_text([str(c) for c in side], pipe.tokenizer) for side in (before, after))
        noise = image_noise(pipe.latent_shape, EACH_WORD, torch.Generator().manual_seed(SEED))
        states = [step.z for step in denoise(pipe.model, first, noise, times)]
        found[kind] = {}
        for k in CHANGES:
            *_, last = denoise(pipe.model, second, states[k], times[k:])
            pictures = [np.asarray(picture) for picture in pipe.to_pictures(last.z_next)]
            found[kind][f"{k / FEW:g}"] = {
                "new": sum(satisfies(p, c) for p, c in zip(pictures, after, strict=True)),
                "old": sum(satisfies(p, c) for p, c in zip(pictures, before, strict=True)),
            }
    return found


def cuts(model: Any) -> dict[str, Callable]:
    page = run_page(PAGE)
    layers = {f"layer {i + 1}": lambda i=i: page["without_layer"](model, i) for i in range(len(model.llama.layers))}
    return {
        "nothing": nullcontext,
        **layers,
        "skip": lambda: page["without_skip"](model),
        "time token": lambda: page["without_time_token"](model),
    }


CUT_EACH = 8
SIDES = {"encoder": "vision_gen_enc_model", "decoder": "vision_gen_dec_model"}
WAYS = {"whole": "without_block", "branch": "without_branch", "time": "without_clock"}
TIMES = (0.1, 0.5, 0.9)


def uvit_cuts(model: Any) -> dict[str, Callable]:
    """Return a cut for each way, side and block of the U-ViT."""
    page = run_page(PAGE)
    return {
        f"{way}, {side} {i + 1}": lambda cut=page[cut], name=name, i=i: cut(model, name, i)
        for way, cut in WAYS.items()
        for side, name in SIDES.items()
        for i in range(len(getattr(model, name).mid_block.res_blocks))
    }


def measure_uvit() -> dict[str, Any]:
    """Cut each ConvNeXt block in each way: how far does the velocity go, and how many pictures stay right?"""
    pipe = JanusFlowPipeline.from_pretrained("shapes")
    found: dict[str, Any] = {"captions": CUT_EACH * len(CATEGORIES), "steps": STEPS, "times": TIMES}
    intact = at_real_points(pipe)
    for name, cut in uvit_cuts(pipe.model).items():
        with cut():
            apart = [((a - b).norm() / b.norm()).item() for a, b in zip(at_real_points(pipe), intact, strict=True)]
            found[name] = {"right": right_pictures(pipe).count("1"), "apart": apart}
    return found


@torch.no_grad()
def at_real_points(pipe: JanusFlowPipeline) -> list[Tensor]:
    """Return the conditional velocities at z_t of real scenes, at each of TIMES."""
    captions, rng = sampled(), np.random.default_rng(SEED)
    z_1 = encode_scenes(pipe.vae, [caption.draw(rng) for caption in captions])
    z_0 = image_noise(pipe.latent_shape, len(captions), torch.Generator().manual_seed(SEED))
    velocity = conditional_velocity(pipe.model, PromptPair.from_text([str(c) for c in captions], pipe.tokenizer))
    return [velocity((1 - t) * z_0 + t * z_1, torch.tensor(t)) for t in TIMES]


def sampled() -> list[Caption]:
    """Return the captions that are drawn with parts cut out."""
    return [caption for category in CATEGORIES for caption in fresh_captions(category, CUT_EACH, SEED)]


def right_pictures(pipe: JanusFlowPipeline) -> str:
    """Draw these captions; return 1 for each picture that is right, and 0 for the others."""
    captions = sampled()
    pair = PromptPair.from_text([str(c) for c in captions], pipe.tokenizer)
    z = image_noise(pipe.latent_shape, len(captions), torch.Generator().manual_seed(SEED))
    *_, last = denoise(pipe.model, pair, z, time_grid(STEPS))
    pictures = zip(pipe.to_pictures(last.z_next), captions, strict=True)
    return "".join(str(int(satisfies(np.asarray(picture), caption))) for picture, caption in pictures)


def measure_cut(name: str) -> dict[str, Any]:
    """Draw captions of every category with one part cut out."""
    pipe = JanusFlowPipeline.from_pretrained("shapes")
    with cuts(pipe.model)[name]():
        hits = right_pictures(pipe)
    return {"captions": len(hits), "right": hits.count("1"), "steps": STEPS, "hits": hits}


COLOURED = 32  # captions in which one head is cut out, or one word hidden
READS = 0.25  # a head reads colours if a thing's patches give a colour word at least this part of their attention


def measure_causes() -> dict[str, Any]:
    """Silence heads, and hide words: do things keep their colours?"""
    pipe, page, captions = JanusFlowPipeline.from_pretrained("shapes"), run_page(PAGE), side_by_side(COLOURED)
    pair, read = PromptPair.from_text([str(c) for c in captions], pipe.tokenizer), data("reading")
    (first, second), article = [[i for i, w in enumerate(read["words"]) if w in COLOURS], read["words"].index("a")]
    hidden = {"the first colour": first, "the second colour": second, "the first article": article}
    found = {f"hidden: {name}": coloured(pipe, captions, page["hide_word"](pair, i)) for name, i in hidden.items()}
    for name, heads in chosen_heads(np.array(read["heads"]["own"])).items():
        with ExitStack() as stack:
            for layer, head in heads:
                stack.enter_context(page["without_head"](pipe.model, layer, head))
            found[name] = {"heads": heads, "hits": right_pictures(pipe)}
            found[name] |= coloured(pipe, captions, pair)
    return {"captions": COLOURED, "steps": STEPS} | found


def chosen_heads(own: np.ndarray) -> dict[str, list[tuple[int, int]]]:
    """Return none, the head that reads a colour most, the one of its layer that does least, and all that do."""
    layer, most = (int(i) for i in np.unravel_index(own.argmax(), own.shape))
    readers = [(int(i), int(j)) for i, j in np.argwhere(own > READS)]
    least = int(own[layer].argmin())
    return {"nothing": [], "reader": [(layer, most)], "control": [(layer, least)], "all readers": readers}


def coloured(pipe: JanusFlowPipeline, captions: list[Caption], pair: PromptPair) -> dict[str, int]:
    """Draw captions of two things. Count right pictures, and in which each thing is there, with its colour or not."""
    z = image_noise(pipe.latent_shape, len(captions), torch.Generator().manual_seed(SEED))
    *_, last = denoise(pipe.model, pair, z, time_grid(STEPS))
    scenes = [detect(np.asarray(picture)) for picture in pipe.to_pictures(last.z_next)]
    counts = {"right": sum(c.holds(scene) for c, scene in zip(captions, scenes, strict=True))}
    for i in (0, 1):
        pairs = [(c.kinds[i], scene) for c, scene in zip(captions, scenes, strict=True)]
        counts[f"thing {i + 1}"] = sum(any((t.colour, t.shape) == kind for t in scene) for kind, scene in pairs)
        counts[f"shape {i + 1}"] = sum(any(t.shape == shape for t in scene) for (_, shape), scene in pairs)
    return counts


MAPS = (0, 3, 7, 14)  # steps whose attention is drawn
LAYERS = (2, 4, 6)
LENS = (0.0, 0.2, 0.5, 0.8)


def famous() -> tuple[JanusFlowPipeline, PromptPair, Tensor]:
    pipe = JanusFlowPipeline.from_pretrained("shapes")
    return pipe, PromptPair.from_text(FAMOUS, pipe.tokenizer), image_noise(pipe.latent_shape, 1, torch.manual_seed(1))


def drawn_maps() -> dict[str, Any]:
    """Keep the attention from every patch to the two colour words, for one caption."""
    (pipe, pair, z), watched = famous(), run_page(PAGE)["watched"]
    words = pipe.tokenizer.convert_ids_to_tokens(pair.rows.ids[0])
    steps = list(watched(pipe.model, pair, z, time_grid(STEPS)))
    *_, last = denoise(pipe.model, pair, z, time_grid(STEPS))
    maps = {}
    for layer in LAYERS:
        for word in ("red", "blue"):
            chosen = [steps[k][1].attention[layer - 1, 0, :, 1:, words.index(word)].mean(dim=0) for k in MAPS]
            maps[f"{word} {layer}"] = torch.stack(chosen).tolist()
    return {
        "times": [float(steps[k][0]) for k in MAPS],
        "maps": maps,
        "picture": to_text(pipe.to_pictures(last.z_next)[0]),
    }


def drawn_lens() -> dict[str, Any]:
    """Draw what would come out if the language model ended early, at several times."""
    (pipe, pair, z), page = famous(), run_page(PAGE)
    rows = []
    for step in denoise(pipe.model, pair, z, time_grid(10)):
        if any(abs(float(step.t) - t) < 1e-3 for t in LENS):
            seen = [page["seen_after"](pipe.model, step.z, step.t, pair, layer) for layer in range(7)]
            rows.append([to_text(pipe.to_pictures(z)[0]) for z in seen])
    return {"rows": rows}


def drawn_cuts() -> dict[str, Any]:
    """Draw one caption with each part cut out, from one noise."""
    pipe, pair, z = famous()
    pictures = {}
    for name, cut in cuts(pipe.model).items():
        with cut():
            *_, last = denoise(pipe.model, pair, z, time_grid(STEPS))
        pictures[name] = to_text(pipe.to_pictures(last.z_next)[0])
    return pictures


CUTS = ("nothing", *(f"layer {i}" for i in range(1, 7)), "skip", "time token")


def data(name: str) -> dict[str, Any]:
    """Return the measured words, or what one cut does."""
    tasks = {
        "words": measure_words,
        "reading": measure_reading,
        "changed": measure_changed,
        "causes": measure_causes,
        "maps": drawn_maps,
        "lens": drawn_lens,
        "cuts": drawn_cuts,
        "uvit": measure_uvit,
    }
    return measured("inside", name, tasks.get(name, lambda: measure_cut(name)))


@figure("inside_words")
def inside_words() -> Drawing:
    """Draw to which colour words the patches of things and of the background attend."""
    found = data("words")
    t = found["times"]
    own, other, ground = (np.array(found[name]) for name in ("own", "other", "ground"))
    drawn = Figure(figsize=(8.6, 3.3), layout="constrained")
    left, right = drawn.subplots(1, 2)
    lines = {
        "a thing's patches, its own colour": (own, BLUE, "-"),
        "a thing's patches, the other's colour": (other, ORANGE, "--"),
        "empty patches, a colour": (ground, GREEN, "-."),
    }
    for name, (values, colour, line) in lines.items():
        left.plot(t, values[:, -1], color=colour, linestyle=line, label=name)
    left.set(xlabel="t", ylabel="attention", title="last layer", xlim=(0, 1), ylim=(0, 0.31))
    left.legend(frameon=False, fontsize=8.5, loc="upper right")
    share = own / (own + other)
    for layer, (colour, line) in enumerate(
        zip((INK, PINK, SKY, GREEN, ORANGE, BLUE), ("-", "--", "-.", ":", "--", "-"), strict=True)
    ):
        right.plot(t, share[:, layer], color=colour, linestyle=line, label=f"layer {layer + 1}")
    right.set(xlabel="t", ylabel="share of the own colour", title="own / (own + other)", xlim=(0, 1), ylim=(0.4, 1.02))
    right.legend(frameon=False, fontsize=8.5, ncols=3, loc="center right")
    middle = min(range(len(t)), key=lambda k: abs(t[k] - 0.5))
    return Drawing(
        drawn,
        alt="Left: attention to the own colour stays high, to the other's near zero, and that of empty patches falls. Right: curves of six layers, three near 0.9, layer 1 at one half.",
        caption=f"From image patches to colour words, in {found['right']} pictures with two things of different colours; mean over heads. Left, last layer: at "
        f"t = {t[middle]:.2f} the patches of a thing give {own[middle, -1]:.3f} of their attention to its own colour word, {other[middle, -1]:.3f} to the other "
        f"thing's, and empty patches give {ground[middle, -1]:.3f} to a colour word (at t = 0: {ground[0, -1]:.3f}). Right: own / (own + other) by layer. In "
        f"layer 1 it is about one half at all times.",
    )


@figure("inside_maps")
def inside_maps() -> Drawing:
    """Draw the attention of every patch to two colour words, at four times."""
    found = data("maps")
    rows = [("red", LAYERS[-1]), ("blue", LAYERS[-1])]
    drawn = Figure(figsize=(8.2, 3.4), layout="constrained")
    axes = drawn.subplots(len(rows), len(MAPS) + 1)
    highest = max(max(row) for word, layer in rows for row in found["maps"][f"{word} {layer}"])
    picture = from_text(found["picture"])
    for line, (word, layer) in zip(axes, rows, strict=True):
        for ax, t, values in zip(line, found["times"], found["maps"][f"{word} {layer}"], strict=False):
            image = ax.imshow(np.reshape(values, (6, 6)), cmap="cividis", vmin=0, vmax=highest)
            if word == "red":
                ax.set_title(f"t = {t:.2f}", fontsize=10)
        line[-1].imshow(picture, interpolation="nearest")
        for ax in line:
            ax.set(xticks=[], yticks=[])
            for side in ax.spines.values():
                side.set_visible(False)
        line[0].set_ylabel(f'to "{word}"', fontsize=11)
    axes[0, -1].set_title("picture", fontsize=10)
    axes[1, -1].set_visible(False)
    drawn.colorbar(image, ax=axes[:, -1], shrink=0.45, location="bottom", label="attention")
    return Drawing(
        drawn,
        alt="Two rows of four maps of 6 by 6 patches. For red the bright patches lie where the circle will be, for blue where the square will be; they become sharper from left to right.",
        caption=f'Attention from each of the 36 patches to the words "red" and "blue" of "{FAMOUS}", last layer, mean over heads, at four '
        f"times; all maps share one scale, from 0 to {highest:.2f}. Right: the finished picture.",
    )


@figure("inside_layers")
def inside_layers() -> Drawing:
    """Draw where attention goes, and how much each layer changes."""
    found = data("words")
    t, layers = found["times"], range(1, 7)
    drawn = Figure(figsize=(8.6, 3.3), layout="constrained")
    left, right = drawn.subplots(1, 2)
    first, late = found["totals"][0], found["totals"][-1]
    parts = {"prompt": BLUE, "time": ORANGE, "image": GREEN}
    for offset, entry in ((-0.2, first), (0.2, late)):
        bottom = np.zeros(6)
        for name, colour in parts.items():
            values = np.array(entry[name])
            left.bar(
                np.array(layers) + offset,
                values,
                0.36,
                bottom=bottom,
                color=colour,
                label=name if offset < 0 else None,
                edgecolor="none",
            )
            bottom += values
    left.set(
        xlabel=f"layer (left bar t = {t[0]:.0f}, right bar t = {t[-1]:.2f})",
        ylabel="attention of the image tokens",
        ylim=(0, 1.25),
    )
    left.legend(frameon=False, fontsize=9, ncols=3, loc="upper center")
    for k, colour, line in ((0, BLUE, "-"), (5, ORANGE, "--"), (14, GREEN, "-.")):
        right.plot(
            layers,
            found["states"][k]["change"],
            color=colour,
            linestyle=line,
            marker="o",
            markersize=4,
            label=f"t = {t[k]:.2f}",
        )
    right.set(xlabel="layer", ylabel="|change| / |hidden state|", ylim=(0, None))
    right.legend(frameon=False, fontsize=9)
    change = found["states"][5]["change"]
    return Drawing(
        drawn,
        alt="Left: stacked bars; the prompt's part is large in layer 1 at t = 0 and small later. Right: three curves that are flat over five layers and jump at the sixth.",
        caption=f"Left: where the image tokens of the conditional rows attend to, by layer, at the beginning and at the end of a run. In layer 1 the prompt gets "
        f"{100 * first['prompt'][0]:.0f} % at t = 0 and {100 * late['prompt'][0]:.0f} % at t = {t[-1]:.2f}. Right: the norm of what a layer adds, divided by the norm of what it "
        f"gets. At t = {t[5]:.2f}, layers 1 to 5 add {min(change[:5]):.2f} to {max(change[:5]):.2f}, layer 6 adds {change[5]:.2f}.",
    )


@figure("inside_reading")
def inside_reading() -> Drawing:
    """Draw which kinds of words get attention over t, and what single heads prefer."""
    found = data("reading")
    drawn = Figure(figsize=(9.2, 3.3), layout="constrained")
    left, right, bar = drawn.subplots(1, 3, width_ratios=(1.25, 1, 0.05))
    t = [row["t"] for row in found["rows"]]
    looks = zip(KINDS, (ORANGE, BLUE, GREEN, PINK, INK), ("-", "--", "-.", ":", (0, (1, 3))), strict=True)
    layers = range(len(found["rows"][0]["frame"]))
    for kind, colour, line in looks:
        left.plot(t, [np.mean(row[kind]) for row in found["rows"]], color=colour, linestyle=line, label=kind)
    left.set(xlabel="t", ylabel="attention of the image tokens", title="by kind of word", xlim=(0, 1), ylim=(0, None))
    left.legend(frameon=False, fontsize=9, ncols=2)
    own, other = np.array(found["heads"]["own"]), np.array(found["heads"]["other"])
    share = own / (own + other)
    shown = right.imshow(share, cmap="PuOr", vmin=0, vmax=1)
    for layer, head in np.ndindex(share.shape):
        right.text(head, layer, f"{own[layer, head]:.2f}", ha="center", va="center", fontsize=8, color="#444444")
    right.set(xlabel="head", ylabel="layer", title="own / (own + other)")
    right.set_xticks(range(share.shape[1]), range(1, share.shape[1] + 1))
    right.set_yticks(layers, [layer + 1 for layer in layers])
    drawn.colorbar(shown, cax=bar)
    first, last = found["rows"][0], found["rows"][-1]
    low, high = np.unravel_index(share[1:].argmin(), share[1:].shape), np.unravel_index(own.argmax(), own.shape)
    return Drawing(
        drawn,
        alt="Left: five curves over t, all of which fall at first. Right: a table of layers by heads, coloured by the share of the own colour word.",
        caption=f'Left: attention from the image tokens to the words of {found["captions"]} captions such as "{FAMOUS}", by kind of word, mean over layers and '
        f"heads. At t = 0 the colours get {np.mean(first['colours']):.2f}, the shapes {np.mean(first['shapes']):.2f}, the relation {np.mean(first['relation']):.2f}; at "
        f"t = {last['t']:.2f} it is {np.mean(last['colours']):.2f}, {np.mean(last['shapes']):.2f} and {np.mean(last['relation']):.2f}. Right, at t = {found['heads']['t']:.2f}: "
        f"how a thing's patches divide their attention between its own colour word (1) and the other thing's (0), by layer and head; the numbers are the attention to "
        f"the own word. The head that reads it most is {high[1] + 1} of layer {high[0] + 1}, with {own[high]:.2f}; the lowest share outside layer 1 is "
        f"{share[1:][low]:.2f}, in head {low[1] + 1} of layer {low[0] + 2}.",
    )


@figure("inside_changed")
def inside_changed() -> Drawing:
    """Draw until when a picture follows a word that is exchanged on the way."""
    found = data("changed")
    drawn = Figure(figsize=(6.6, 3.4), layout="constrained")
    ax = drawn.subplots()
    looks = zip(
        ("relation", "number", "shape", "colour"),
        (GREEN, PINK, BLUE, ORANGE),
        ("-.", ":", "--", "-"),
        "D^so",
        strict=True,
    )
    for kind, colour, line, mark in looks:
        t = [float(key) for key in found[kind]]
        new = [entry["new"] for entry in found[kind].values()]
        ax.plot(t, new, color=colour, linestyle=line, marker=mark, markersize=5, label=kind)
    ax.set(
        xlabel="t at which the word is exchanged", ylabel=f"follow the new word, of {found['captions']}", ylim=(0, None)
    )
    ax.legend(frameon=False)
    told = ", ".join(f"{kind} {found[kind]['0.2']['new']}" for kind in ("relation", "number", "shape", "colour"))
    late = ", ".join(f"{kind} {found[kind]['0.5']['new']}" for kind in ("relation", "number", "shape", "colour"))
    return Drawing(
        drawn,
        alt="Four curves that fall from left to right: relation first, then number, then shape and colour.",
        caption=f"One word of the caption is exchanged at time t. How many of {found['captions']} pictures follow the new caption ({found['steps']} Euler steps, w = 2)? "
        f"Exchanged at t = 0.2: {told}. At t = 0.5: {late}.",
    )


@figure("inside_lens")
def inside_lens() -> Drawing:
    shown = data("lens")
    rows = [(f"t = {t:g}", [from_text(text) for text in row]) for t, row in zip(LENS, shown["rows"], strict=True)]
    return Drawing(
        sheet(["input", *(f"layer {i}" for i in range(1, 6)), "layer 6"], rows, 0.95),
        alt="Four rows of seven pictures. From left to right, blobs become a circle and a square. The circle is red only in the last columns, and only from t = 0.5 on.",
        caption=f'What the decoder would make of the hidden states before the first and after each layer, for "{FAMOUS}": the denoised prediction, decoded. The '
        f"last column is the model's real answer.",
    )


@figure("inside_cuts")
def inside_cuts() -> Drawing:
    shown = {name: from_text(text) for name, text in data("cuts").items()}
    right = {name: data(name)["right"] for name in CUTS}
    number = data("nothing")["captions"]
    names = list(CUTS)
    columns = [f"{'whole' if name == 'nothing' else 'no ' + name}\n{right[name]} of {number}" for name in names]
    rows = [("", [shown[name] for name in names])]
    drawn = sheet(columns, rows, 0.95)
    return Drawing(
        drawn,
        alt="Nine pictures: whole, without each of six layers, without the skip, without the time token.",
        caption=f'"{FAMOUS}" from one noise with one part cut out. Below each name: how many of {number} captions of all categories are right '
        f"without that part. Without layer 6 only {right['layer 6']} are, without layer 3 still {right['layer 3']}.",
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["measure"]:
        for name in sys.argv[2:] or ("words", "reading", "changed", "causes", *CUTS, "maps", "lens", "cuts", "uvit"):
            data(name)
    else:
        main()
