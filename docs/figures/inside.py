"""The figures of the chapter that looks inside: python docs/figures/inside.py [NAME ...]

What takes long is measured once and kept in data/: delete a file there to measure it again (one to three minutes each,
one thread).
"""

import sys
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from canvas import main
from einops import reduce
from recipes import measured, run_page, to_text
from torch import Tensor

from janus_minimal import JanusFlowPipeline, PromptPair, denoise, time_grid
from janus_minimal.pipeline import image_noise
from janus_minimal.shapes.caption import CATEGORIES
from janus_minimal.shapes.evaluate import fresh_captions
from janus_minimal.shapes.render import coverage
from janus_minimal.shapes.score import detect, satisfies

SEED = 11  # of captions and noise
PAIRS = 16  # captions of each of the two categories that name two coloured things
STEPS = 15
COVERED = 0.5  # a patch belongs to a thing that covers at least this part of it
FAMOUS = "a red circle left of a blue square"
PAGE = "inside.md"


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


def measure_cut(name: str) -> dict[str, Any]:
    """Draw captions of every category with one part cut out."""
    pipe = JanusFlowPipeline.from_pretrained("shapes")
    captions = [c for category in CATEGORIES for c in fresh_captions(category, CUT_EACH, SEED)]
    pair = PromptPair.from_text([str(c) for c in captions], pipe.tokenizer)
    z = image_noise(pipe.latent_shape, len(captions), torch.Generator().manual_seed(SEED))
    with cuts(pipe.model)[name]():
        *_, last = denoise(pipe.model, pair, z, time_grid(STEPS))
    pictures = zip(pipe.to_pictures(last.z_next), captions, strict=True)
    hits = "".join(str(int(satisfies(np.asarray(picture), caption))) for picture, caption in pictures)
    return {"captions": len(hits), "right": hits.count("1"), "steps": STEPS, "hits": hits}


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
    return {"times": [float(steps[k][0]) for k in MAPS], "maps": maps, "picture": to_text(pipe.to_pictures(last.z_next)[0])}


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
    tasks = {"words": measure_words, "maps": drawn_maps, "lens": drawn_lens, "cuts": drawn_cuts}
    return measured("inside", name, tasks.get(name, lambda: measure_cut(name)))


if __name__ == "__main__":
    if sys.argv[1:2] == ["measure"]:
        for name in sys.argv[2:] or ("words", *CUTS, "maps", "lens", "cuts"):
            data(name)
    else:
        main()
