"""The figures of the run on emoji: python docs/figures/emoji.py

What the trained model draws is measured once, and kept in data/emoji.json:
python docs/figures/emoji.py measure RUN FOLDER, with the directory of the run and the folder that docs/emoji.py made.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from canvas import DATA, Drawing, figure, main
from diffusers import AutoencoderKL
from matplotlib.figure import Figure
from PIL import Image
from recipes import from_text, measured, sheet, to_text
from safetensors import safe_open

from janus_minimal import JanusFlowPipeline
from janus_minimal.loading.vae import to_pictures
from janus_minimal.solvers import adams_bashforth
from janus_minimal.training.pictures import PictureFolder, load_folder

STEPS, WEIGHT, EACH = 15, 2.0, 16  # of the solver; guidance; captions drawn at a time
ASKED = 64  # training captions
SHOWN = ("strawberry", "tiger face", "pizza", "blue heart", "panda", "hamburger", "three oclock", "frog")
NEW = ("purple apple", "green bear", "red cat", "blue tomato")  # words of the captions that no caption has together


def measure(run: Path, folder: Path) -> dict[str, Any]:
    """Draw training captions, held-out ones and new ones, and compare with all training pictures."""
    pipe = JanusFlowPipeline.from_pretrained(run)
    known, fresh = load_folder(folder, 48), load_folder(folder / "held-out", 48)
    captions = list(known.captions)
    asked = [*SHOWN, *(c for c in captions[:: len(captions) // ASKED] if c not in SHOWN)][:ASKED]
    return {
        "settings": json.loads((run / "settings.json").read_text(encoding="utf-8")),
        "pictures": len(captions),
        "words": len(pipe.tokenizer) - 4,
        "first losses": mean_loss(run, slice(0, 20)),
        "last losses": mean_loss(run, slice(-200, None)),
        "vae": {name: measure_vae(vae, known) for name, vae in (("bundled", bundled()), ("of the run", pipe.vae))},
        "apart": float(np.median([nearest(picture, known, i)[1] for i, picture in enumerate(known.pixels)])),
        "trained": [compare(c, p, known, known.pixels[captions.index(c)]) for c, p in draw(pipe, asked)],
        "held out": [
            compare(c, p, known, fresh.pixels[fresh.captions.index(c)]) for c, p in draw(pipe, fresh.captions)
        ],
        "new": [compare(c, p, known, None) for c, p in draw(pipe, NEW)],
    }


def draw(pipe: JanusFlowPipeline, captions: Any) -> list[tuple[str, Image.Image]]:
    """Return each caption with a picture. Noise i is of seed i."""
    drawn = []
    for first in range(0, len(captions), EACH):
        part = list(captions[first : first + EACH])
        noises = [torch.Generator().manual_seed(first + i) for i in range(len(part))]
        asked = {"generator": noises, "solver": adams_bashforth, "progress": False}
        drawn += zip(part, pipe(part, STEPS, WEIGHT, **asked).images, strict=True)
    return drawn


def bundled() -> AutoencoderKL:
    return JanusFlowPipeline.from_pretrained("shapes").vae


@torch.no_grad()
def measure_vae(vae: AutoencoderKL, known: PictureFolder) -> dict[str, Any]:
    """Return what a VAE makes of the training pictures: nothing better can be drawn with it."""
    mean = vae.encode(known.pictures(range(len(known.captions)))).latent_dist.mean
    decoded = to_pictures(vae, mean * vae.config.scaling_factor)
    apart = [distance(*pair) for pair in zip(decoded, known.pixels, strict=True)]
    shown = [to_text(decoded[known.captions.index(caption)]) for caption in SHOWN]
    return {"from own, median": float(np.median(apart)), "shown": shown}


def distance(one: Any, other: Any) -> float:
    """Return the root mean square difference of two pictures, in steps of 0..255."""
    return float(np.sqrt(np.square(np.asarray(one, float) - np.asarray(other, float)).mean()))


def nearest(picture: Any, known: PictureFolder, without: int | None = None) -> tuple[int, float]:
    """Return the number of the training picture that is nearest, and how far it is."""
    apart = np.sqrt(np.square(known.pixels - np.asarray(picture, float)).mean(axis=(1, 2, 3)))
    if without is not None:
        apart[without] = np.inf
    return int(apart.argmin()), float(apart.min())


def compare(caption: str, picture: Image.Image, known: PictureFolder, own: Any) -> dict[str, Any]:
    """Return a drawn picture, the training picture that is nearest, and the one that the caption is of."""
    index, apart = nearest(picture, known)
    found = {"caption": caption, "nearest": known.captions[index], "apart": apart}
    if own is not None:
        found["from own"] = distance(picture, own)
    if caption in SHOWN or own is None or caption not in known.captions:
        found |= {"drawn": to_text(picture), "nearest picture": to_text(Image.fromarray(known.pixels[index]))}
        found["own"] = None if own is None else to_text(Image.fromarray(own))
    return found


def mean_loss(run: Path, part: slice) -> float:
    with safe_open(run / "flow.training.safetensors", "pt") as file:
        return float(file.get_tensor("losses")[part].mean())


def data() -> dict[str, Any]:
    """Return the numbers, with those that the page says."""
    return json.loads((DATA / "emoji.json").read_text(encoding="utf-8"))["run"]


def said(found: dict[str, Any]) -> dict[str, Any]:
    """Return the numbers of the page: how many are their own picture again, and how far."""
    trained, held = found["trained"], found["held out"]
    right = [one for one in trained if one["nearest"] == one["caption"]]
    return {
        "asked": len(trained),
        "own picture is nearest": len(right),
        "from own, median": float(np.median([one["from own"] for one in trained])),
        "held out": len(held),
        "held out, nearer to the truth": sum(one["from own"] < one["apart"] for one in held),
        "held out, from the truth, median": float(np.median([one["from own"] for one in held])),
        "held out, from the nearest, median": float(np.median([one["apart"] for one in held])),
        "new, from the nearest, median": float(np.median([one["apart"] for one in found["new"]])),
    }


def compared(entries: list[dict[str, Any]], own: str) -> Figure:
    """Draw the pictures of some captions: the caption's own, named as told, the drawn one, and the nearest."""
    names = {"own": own, "drawn": "drawn", "nearest picture": "nearest\ntraining picture"}
    rows = [(name, [from_text(one[key]) if one.get(key) else None for one in entries]) for key, name in names.items()]
    return sheet([wrapped(one["caption"]) for one in entries], rows)


@figure("emoji_vae")
def emoji_vae() -> Drawing:
    found = data()
    own = [from_text(one["own"]) for one in found["trained"] if "drawn" in one]
    decoded = {name: [from_text(text) for text in vae["shown"]] for name, vae in found["vae"].items()}
    off = {name: round(vae["from own, median"]) for name, vae in found["vae"].items()}
    return Drawing(
        sheet(
            [wrapped(caption) for caption in SHOWN],
            [
                ("as they are", own),
                ("after the\nbundled VAE", decoded["bundled"]),
                ("after the\nrun's own VAE", decoded["of the run"]),
            ],
        ),
        alt="Three rows of eight emoji: as they are, then in wrong colours and without detail, then nearly as they are.",
        caption=f"Eight of {found['pictures']} pictures, encoded and decoded by two VAEs. The bundled one was trained on six colours and five "
        f"filled shapes; half of all pictures come back more than {off['bundled']} grey levels of 0..255 away (root mean square). "
        f"With the VAE that was trained on these pictures it is {off['of the run']}.",
    )


@figure("emoji_trained")
def emoji_trained() -> Drawing:
    found = data()
    shown = [one for one in found["trained"] if "drawn" in one]
    numbers = said(found)
    return Drawing(
        compared(shown, "trained on"),
        alt="Three rows of eight emoji: training pictures, pictures drawn from their captions, and the training pictures nearest to these.",
        caption=f"Top: eight of {found['pictures']} training pictures. Middle: what the trained model draws from their captions. "
        f"Bottom: of all training pictures, the one that is nearest to the drawn one. Of {numbers['asked']} training captions, "
        f"{numbers['own picture is nearest']} give a picture whose nearest training picture is the caption's own. "
        "The pictures are Microsoft's Fluent emoji (MIT).",
    )


@figure("emoji_held_out")
def emoji_held_out() -> Drawing:
    found = data()
    shown, numbers = [*found["held out"], *found["new"]], said(found)
    return Drawing(
        compared(shown, "held out"),
        alt="Three rows of twelve emoji: held-out pictures, pictures drawn from captions that were never trained, and the training pictures nearest to these.",
        caption=f"Captions that no training picture has, though each of their words occurs. Top: the eight held-out pictures; the last four "
        f"captions have none. Middle: drawn. Bottom: the nearest training picture. {numbers['held out, nearer to the truth']} of "
        f"{numbers['held out']} drawn pictures are nearer to the held-out picture than to every training picture.",
    )


def wrapped(caption: str) -> str:
    return caption.replace(" ", "\n", 1)


if __name__ == "__main__":
    if sys.argv[1:2] == ["measure"]:
        run, folder = map(Path, sys.argv[2:])
        found = measured("emoji", "run", lambda: measure(run, folder), digits=4)
        measured("emoji", "said", lambda: said(found), digits=4)
    else:
        main()
