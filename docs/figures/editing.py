"""The figures of the chapter on editing: python docs/figures/editing.py [NAME ...]

What takes long is measured once and kept in data/: delete a file there to measure it again (one to three minutes each,
one thread).
"""

import sys
from math import hypot
from pathlib import Path
from subprocess import DEVNULL, run
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from canvas import Drawing, figure, main
from matplotlib.figure import Figure
from PIL import Image
from recipes import from_text, measured, run_page, sheet, to_text
from torch import Tensor

from janus_minimal import JanusFlowPipeline, PromptPair, denoise, time_grid
from janus_minimal.pipeline import image_noise
from janus_minimal.shapes.caption import Caption
from janus_minimal.shapes.scene import COLOURS, SHAPES, UNSEEN
from janus_minimal.shapes.score import detect, satisfies
from janus_minimal.shapes.vae import encode_scenes
from janus_minimal.solvers import midpoint

SEED, NUMBER, STEPS = 11, 40, 15
STRENGTHS = (0.0, 0.2, 0.4, 0.6, 0.7, 0.8, 0.9, 1.0)
PAGE = "editing.md"


def two_things(rng: np.random.Generator) -> Caption:
    """Return a caption with a relation between two coloured things."""
    kinds = [(c, s) for c in COLOURS for s in SHAPES if (c, s) not in UNSEEN]
    first, second = (kinds[i] for i in rng.choice(len(kinds), 2, replace=False))
    return Caption((first, second), relation=["left of", "right of"][rng.integers(2)])


class Edits:
    """Scenes, a caption for each, and another caption in which the second thing is another."""

    def __init__(self, number: int = NUMBER) -> None:
        self.pipe, rng = JanusFlowPipeline.from_pretrained("shapes"), np.random.default_rng(SEED)
        self.before, self.after, scenes = [], [], []
        while len(scenes) < number:
            caption, other = two_things(rng), two_things(rng).kinds[1]
            if len({caption.kinds[0][1], caption.kinds[1][1], other[1]}) < 3:
                continue
            self.before.append(caption)
            self.after.append(Caption((caption.kinds[0], other), relation=caption.relation))
            scenes.append(caption.draw(rng))
        self.latent = encode_scenes(self.pipe.vae, scenes)
        self.prompt = PromptPair.from_text([str(c) for c in self.after], self.pipe.tokenizer)
        self.noise = image_noise(self.pipe.latent_shape, number, torch.Generator().manual_seed(SEED))
        self.scenes = scenes

    def share(self, z: Tensor, captions: list[Caption]) -> float:
        """Return the share of pictures of which the caption is true."""
        pictures = self.pipe.to_pictures(z)
        return float(np.mean([satisfies(np.asarray(p), c) for p, c in zip(pictures, captions, strict=True)]))

    def kept(self, z: Tensor) -> dict[str, float]:
        """Return the share that obeys the new caption, and how many pixels the first thing has moved (median)."""
        ways = []
        for picture, scene in zip(self.pipe.to_pictures(z), self.scenes, strict=True):
            first = [t for t in detect(np.asarray(picture)) if (t.colour, t.shape) == (scene[0].colour, scene[0].shape)]
            ways += [min(hypot(t.x - scene[0].x, t.y - scene[0].y) for t in first)] if first else []
        return {"new caption": self.share(z, self.after), "moved": float(np.median(ways)), "change": self.moved(z)}

    def moved(self, z: Tensor) -> float:
        """Return the mean change of the pictures, in levels of 0..255."""
        a, b = (self.pipe.to_pictures(latent, "pt") for latent in (z, self.latent))
        return 255 * (a - b).abs().mean().item()


def measure_strength() -> dict[str, Any]:
    """Change the second thing of a scene by image-to-image, at several strengths."""
    edits, repaint, found = Edits(), run_page(PAGE)["repaint"], {}
    for strength in STRENGTHS:
        z = repaint(edits.pipe.model, edits.prompt, edits.latent, edits.noise, strength, STEPS)
        found[f"{strength:g}"] = {
            "new caption": edits.share(z, edits.after),
            "old caption": edits.share(z, edits.before),
            "change": edits.moved(z),
        }
    return {"pictures": NUMBER, "steps": STEPS, "strengths": found}


def measure_fill() -> dict[str, Any]:
    """Change the second thing of a scene by inpainting one half of it."""
    edits, page = Edits(), run_page(PAGE)
    mask = half_mask(edits.scenes)
    z = page["fill"](edits.pipe.model, edits.prompt, edits.latent, edits.noise, mask.bool(), time_grid(STEPS))
    kept = (mask == 0).expand_as(z)
    pixels = torch.nn.functional.interpolate(1 - mask, scale_factor=4).expand(-1, 3, -1, -1)
    a, b = (edits.pipe.to_pictures(latent, "pt") for latent in (z, edits.latent))
    off = 255 * (a - b).abs()
    inner = 1 - torch.nn.functional.max_pool2d(1 - pixels, 17, 1, 8)  # 8 pixels and more from the mask
    return {
        "pictures": NUMBER,
        "steps": STEPS,
        "new caption": edits.share(z, edits.after),
        "kept exactly": bool(torch.equal(z[kept], edits.latent[kept])),
        "change where kept": (off * pixels).sum().item() / pixels.sum().item(),
        "most where kept": (off * pixels).max().item(),
        "change 8 pixels away": (off * inner).sum().item() / inner.sum().item(),
    }


LENGTHS = (0.0, 0.25, 0.5, 0.71, 1.0, 1.41, 2.0)


def measure_lengths() -> dict[str, Any]:
    """Draw captions from noise that is too short or too long."""
    edits, found = Edits(), {}
    for length in LENGTHS:
        *_, last = denoise(edits.pipe.model, edits.prompt, length * edits.noise, time_grid(STEPS))
        found[f"{length:g}"] = {"score": edits.share(last.z_next, edits.after), "spread": last.z_next.std().item()}
    return {"pictures": NUMBER, "steps": STEPS, "real spread": edits.latent.std().item(), "lengths": found}


def measure_middle() -> dict[str, Any]:
    """Draw captions from the middle between two noises, on the line and on the arc."""
    edits, spherical = Edits(), run_page(PAGE)["spherical"]
    other = image_noise(edits.pipe.latent_shape, NUMBER, torch.Generator().manual_seed(SEED + 1))
    starts = {"end": edits.noise, "line": 0.5 * edits.noise + 0.5 * other, "arc": spherical(edits.noise, other, 0.5)}
    found: dict[str, Any] = {"pictures": NUMBER, "steps": STEPS}
    for name, z in starts.items():
        *_, last = denoise(edits.pipe.model, edits.prompt, z, time_grid(STEPS))
        score = edits.share(last.z_next, edits.after)
        found[name] = {"norm": z.flatten(1).norm(dim=1).mean().item(), "right": round(NUMBER * score)}
    return found


def measure_variety() -> dict[str, Any]:
    """Ask how much the place of a circle varies from noise to noise, for noise of several lengths."""
    pipe, number, found = JanusFlowPipeline.from_pretrained("shapes"), 24, {}
    z = image_noise(pipe.latent_shape, number, torch.Generator().manual_seed(SEED))
    for length in (0.0, 0.25, 0.5, 0.71, 1.0):
        images = pipe("a red circle", STEPS, 2.0, None, number, latents=length * z, progress=False).images
        scenes = [detect(np.asarray(image)) for image in images]
        places = np.array([(scene[0].x, scene[0].y) for scene in scenes if len(scene) == 1])
        found[f"{length:g}"] = {"circles": len(places), "pixels": float(places.std(axis=0).mean())}
    return {"pictures": number, "steps": STEPS, "lengths": found}


BLENDS = (0.0, 0.25, 0.5, 0.75, 1.0)
SWITCHES = (0.0, 0.1, 0.2, 0.3, 0.5)
PAIRS, FEW = 16, 12  # pairs of captions, steps


def measure_blend() -> dict[str, Any]:
    """Mix the velocities of two captions, by a share and by a time at which the second takes over."""
    pipe, blend, rng = JanusFlowPipeline.from_pretrained("shapes"), run_page(PAGE)["blend"], np.random.default_rng(SEED)
    captions: tuple[list[Caption], list[Caption]] = ([], [])
    while len(captions[0]) < PAIRS:
        first, second = two_things(rng).kinds
        if first[0] != second[0] and first[1] != second[1]:
            captions[0].append(Caption((first,)))
            captions[1].append(Caption((second,)))
    pairs = [PromptPair.from_text([str(c) for c in side], pipe.tokenizer) for side in captions]
    z = image_noise(pipe.latent_shape, PAIRS, torch.Generator().manual_seed(SEED))
    ways: dict[str, Any] = {f"share {share:g}": share for share in BLENDS}
    ways |= {f"switch {at:g}": lambda t, at=at: float(t >= at) for at in SWITCHES}
    found: dict[str, Any] = {"pairs": PAIRS, "steps": FEW}
    for name, share in ways.items():
        pictures = [np.asarray(p) for p in pipe.to_pictures(blend(pipe.model, *pairs, z, time_grid(FEW), share))]
        sides = ("first", "second")
        found[name] = {
            side: sum(satisfies(p, c) for p, c in zip(pictures, said, strict=True))
            for side, said in zip(sides, captions, strict=True)
        }
    return found


def measure_round_trip() -> dict[str, Any]:
    """Encode and decode scenes."""
    edits = Edits(12)
    a, b = edits.pipe.to_pictures(edits.latent, "pt"), torch.stack([_pixels(s) for s in edits.scenes])
    off = 255 * (a - b).abs()
    return {"pictures": 12, "decoded, mean change": off.mean().item(), "decoded, most": off.max().item()}


TRIPS = {"Euler": denoise, "midpoint": midpoint}
THERE = (10, 20, 40)  # steps


def measure_inversion() -> dict[str, Any]:
    """Go back to the noise of scenes, and forth again: by weight, solver and number of steps."""
    edits, noise_of = Edits(12), run_page(PAGE)["noise_of"]
    model, said = edits.pipe.model, PromptPair.from_text([str(c) for c in edits.before], edits.pipe.tokenizer)
    found: dict[str, Any] = {"pictures": 12, "trips": {}}
    euler = [(weight, "Euler", steps) for weight in (1.0, 2.0) for steps in THERE]
    for weight, name, steps in (*euler, (1.0, "midpoint", 20), (2.0, "midpoint", 20)):
        noise = noise_of(model, said, edits.latent, steps, weight, TRIPS[name])
        *_, last = TRIPS[name](model, said, noise, time_grid(steps), weight)
        apart = (last.z_next - edits.latent).flatten(1).norm(dim=1) / edits.latent.flatten(1).norm(dim=1)
        entry = {"apart": apart.mean().item(), "spread": noise.std().item()}
        found["trips"][f"w = {weight:g}, {name}, {steps}"] = entry
    return found


def measure_growth() -> dict[str, Any]:
    """Follow close latents back and close noises forth, at two weights: how many times as far apart do they end?"""
    edits, noise_of = Edits(12), run_page(PAGE)["noise_of"]
    model, said = edits.pipe.model, PromptPair.from_text([str(c) for c in edits.before], edits.pipe.tokenizer)
    nudge = 1e-3 * image_noise(edits.pipe.latent_shape, 12, torch.Generator().manual_seed(1))
    found: dict[str, Any] = {"pictures": 12, "nudge": 1e-3}
    for weight in (1.0, 2.0):
        origin = noise_of(model, said, edits.latent, 40, weight, midpoint)
        for way, start, times in (("back", edits.latent, time_grid(40).flip(0)), ("forth", origin, time_grid(40))):
            one, other = (_end(model, said, z, times, weight) for z in (start, start + nudge))
            growth = (other - one).flatten(1).norm(dim=1) / nudge.flatten(1).norm(dim=1)
            found[f"w = {weight:g}, {way}"] = {"median": growth.median().item(), "most": growth.max().item()}
    return found


def _end(model: Any, prompt: PromptPair, z: Tensor, times: Tensor, weight: float) -> Tensor:
    """Return where the midpoint method leads."""
    *_, last = midpoint(model, prompt, z, times, weight)
    return last.z_next


def measure_origin() -> dict[str, Any]:
    """Draw the new caption from a scene's own noise, from fresh noise, and by image-to-image: what stays in place?"""
    edits, page = Edits(), run_page(PAGE)
    model, said = edits.pipe.model, PromptPair.from_text([str(c) for c in edits.before], edits.pipe.tokenizer)
    starts = {"fresh noise": edits.noise, "its own noise": page["noise_of"](model, said, edits.latent, 40)}
    ends = {}
    for name, z in starts.items():
        *_, last = denoise(model, edits.prompt, z, time_grid(STEPS))
        ends[name] = last.z_next
    ends["strength 0.8"] = page["repaint"](model, edits.prompt, edits.latent, edits.noise, 0.8, STEPS)
    return {"pictures": NUMBER, "steps": STEPS} | {name: edits.kept(z) for name, z in ends.items()}


def _pixels(scene: Any) -> Tensor:
    from janus_minimal.shapes.vae import pictures

    return (pictures([scene])[0].float() + 1) / 2


SCENES = (0, 3)  # of the forty, shown in the figures
SHOWN = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
SHARES = (0.0, 0.2, 0.4, 0.5, 0.6, 0.8, 1.0)
LONG = 30  # steps of the pictures that are shown


def drawn_strength() -> dict[str, Any]:
    """Draw the pictures of the figure on image-to-image."""
    edits, repaint, chosen = Edits(), run_page(PAGE)["repaint"], list(SCENES)
    said = PromptPair.from_text([str(edits.after[i]) for i in chosen], edits.pipe.tokenizer)
    part = edits.latent[chosen], edits.noise[chosen]
    runs = [edits.pipe.to_pictures(repaint(edits.pipe.model, said, *part, strength, LONG)) for strength in SHOWN]
    return {
        "captions": [f"{edits.before[i]}\n{edits.after[i]}" for i in chosen],
        "rows": [[to_text(run[row]) for run in runs] for row in range(len(chosen))],
    }


def half_mask(scenes: list[Any]) -> Tensor:
    """Return 1 on the side of each scene's second thing, up to the middle between both: n 1 12 12."""
    mask = torch.zeros(len(scenes), 1, 12, 12)
    for i, scene in enumerate(scenes):
        middle, columns = (scene[0].x + scene[1].x) / 8, torch.arange(12) + 0.5  # in latents
        mask[i, 0] = (columns > middle) if scene[1].x > scene[0].x else (columns < middle)
    return mask


def drawn_fill() -> dict[str, Any]:
    """Draw the pictures of the figure on inpainting."""
    edits, fill, rows = Edits(), run_page(PAGE)["fill"], []
    for i in SCENES:
        said = PromptPair.from_text(str(edits.after[i]), edits.pipe.tokenizer, 3)
        latent, mask = edits.latent[[i] * 3], half_mask([edits.scenes[i]] * 3)
        noise = image_noise(edits.pipe.latent_shape, 3, torch.Generator().manual_seed(i))
        results = edits.pipe.to_pictures(fill(edits.pipe.model, said, latent, noise, mask.bool(), time_grid(LONG)))
        source = edits.pipe.to_pictures(latent[:1])[0]
        grey = Image.composite(Image.new("RGB", (48, 48), (150, 150, 150)), source, pixel_mask(mask[0, 0]))
        rows.append([to_text(picture) for picture in (source, grey, *results)])
    return {"captions": [f"{edits.before[i]}\n{edits.after[i]}" for i in SCENES], "rows": rows}


COMMANDS = {
    "strength 0.6": ("--strength", "0.6"),
    "mask": ("--mask", "mask.png"),
    "mask and\nstrength 0.6": ("--mask", "mask.png", "--strength", "0.6"),
}


def drawn_command() -> dict[str, Any]:
    """Run the page's commands on the page's picture, and cut the results out of their sheets."""
    found: dict[str, Any] = {"caption": "a red star left of a green triangle", "rows": {}}
    picture, white = run_page(PAGE)["picture"], Image.new("L", (48, 48))
    white.paste(255, (24, 0, 48, 48))
    with TemporaryDirectory() as name:
        folder = Path(name)
        picture.save(folder / "drawing.png")
        white.save(folder / "mask.png")
        for row, options in COMMANDS.items():
            words = ("janus_minimal", "edit", found["caption"], "--image", "drawing.png", *options)
            run([sys.executable, "-m", *words, "--device", "cpu"], cwd=folder, check=True, stdout=DEVNULL)
            with Image.open(folder / "picture.png") as drawn:
                tiles = [drawn.crop((8 + 200 * i, 8, 200 + 200 * i, 200)) for i in range(4)]
            found["rows"][row] = [to_text(tile.resize((48, 48), Image.Resampling.NEAREST)) for tile in tiles]
    return found | {"picture": to_text(picture), "mask": to_text(white.convert("RGB"))}


def pixel_mask(mask: Tensor) -> Image.Image:
    """Return a mask of 12 x 12 latents as one of 48 x 48 pixels."""
    return Image.fromarray((255 * mask).byte().numpy()).resize((48, 48), Image.Resampling.NEAREST)


def drawn_seeds() -> dict[str, Any]:
    """Draw what lies between two noises, on the line and on the arc, and behind a noise that is too short."""
    pipe, spherical = JanusFlowPipeline.from_pretrained("shapes"), run_page(PAGE)["spherical"]
    a, b = (image_noise(pipe.latent_shape, 1, torch.Generator().manual_seed(seed)) for seed in (1, 2))
    ways = {"line": [(1 - s) * a + s * b for s in SHARES], "arc": [spherical(a, b, s) for s in SHARES]}
    found: dict[str, Any] = {}
    for name, starts in ways.items():
        z = torch.cat(starts)
        images = pipe("a red circle left of a blue square", LONG, 2.0, None, len(z), latents=z, progress=False).images
        found[name] = {"pictures": [to_text(image) for image in images], "norm": z.flatten(1).norm(dim=1).tolist()}
    return found


def drawn_blend() -> dict[str, Any]:
    """Draw mixtures of two captions, from one noise."""
    pipe, blend = JanusFlowPipeline.from_pretrained("shapes"), run_page(PAGE)["blend"]
    pairs = [PromptPair.from_text(text, pipe.tokenizer) for text in ("a red circle", "a blue square")]
    z = image_noise(pipe.latent_shape, 1, torch.Generator().manual_seed(5))
    ways: dict[str, list[Any]] = {
        "share": list(BLENDED),
        "switch": [lambda t, at=at: float(t >= at) for at in reversed(SWITCHED)],
    }
    return {
        name: [to_text(pipe.to_pictures(blend(pipe.model, *pairs, z, time_grid(LONG), s))[0]) for s in shares]
        for name, shares in ways.items()
    }


BLENDED = (0.0, 0.2, 0.4, 0.5, 0.6, 0.8, 1.0)
SWITCHED = (0.0, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9)


@figure("editing_strength")
def editing_strength() -> Drawing:
    shown, found = data("drawn strength"), data("strength")
    rows = [
        (name, [from_text(text) for text in row]) for name, row in zip(shown["captions"], shown["rows"], strict=True)
    ]
    half = next(float(s) for s, entry in found["strengths"].items() if entry["new caption"] >= 0.5)
    return Drawing(
        sheet([f"{s:g}" for s in SHOWN], rows),
        alt="Two rows of six pictures. On the left the source; towards the right the second thing becomes another one, "
        "and at last both things move.",
        caption=f"Image-to-image at strengths 0 to 1. Each row begins with a picture of its first caption and follows its "
        f"second caption. Of {found['pictures']} such pairs, more than half show the new caption from strength {half:g} on; "
        f"at strength 1 the source no longer matters.",
    )


@figure("editing_fill")
def editing_fill() -> Drawing:
    shown, found = data("drawn fill"), data("fill")
    rows = [
        (name, [from_text(text) for text in row]) for name, row in zip(shown["captions"], shown["rows"], strict=True)
    ]
    return Drawing(
        sheet(["source", "mask", "noise 1", "noise 2", "noise 3"], rows),
        alt="Two rows: a scene, the same scene with one half grey, and three results in which only that half has changed.",
        caption=f"Inpainting: the grey half is drawn anew, by the second caption of the row, from three noises. The latents "
        f"of the other half are exactly those of the source. Of {found['pictures']} scenes, {100 * found['new caption']:.0f} % "
        f"then show the new caption.",
    )


@figure("editing_command")
def editing_command() -> Drawing:
    shown = data("drawn command")
    begin = [from_text(shown["picture"]), from_text(shown["mask"])]
    rows = [
        (name, [begin[0], begin[1] if "mask" in name else None, *map(from_text, texts)])
        for name, texts in shown["rows"].items()
    ]
    return Drawing(
        sheet(["picture", "mask", *(f"seed {seed}" for seed in range(4))], rows),
        alt="Three rows: a picture of a red star left of a purple cross, its mask where there is one, and four results of a "
        "red star left of a green triangle. In the rows with a mask the star is the same in all of them.",
        caption=f'What the three commands write for "{shown["caption"]}". The mask is white in the right half, which is drawn anew.',
    )


@figure("editing_seeds")
def editing_seeds() -> Drawing:
    shown = data("drawn seeds")
    rows = [(name, [from_text(text) for text in shown[name]["pictures"]]) for name in ("line", "arc")]
    line, arc = (min(shown[name]["norm"]) for name in ("line", "arc"))
    first, *_, last = shown["arc"]["norm"]
    return Drawing(
        sheet([f"{s:g}" for s in SHARES], rows, 0.95),
        alt="Two rows of seven pictures of a red circle left of a blue square, whose places change from left to right.",
        caption=f"From the noise of one seed (share 0) to that of another (share 1), for one caption. These two noises have the "
        f"norms {first:.1f} and {last:.1f}. On the line between them the norm falls to {line:.1f}; on the arc the least is {arc:.1f}. Both rows obey the caption "
        f"everywhere; what changes is where the things stand, and how large they are.",
    )


@figure("editing_blend")
def editing_blend() -> Drawing:
    """Draw mixtures of two captions: by a share above, by a time below."""
    shown, found = data("drawn blend"), data("blend")
    drawn = Figure(figsize=(8.2, 2.9))
    names = {
        "share": ("share of the second caption", [f"{s:g}" for s in BLENDED]),
        "switch": ("second caption from t on", [f"{s:g}" for s in reversed(SWITCHED)]),
    }
    for row, (key, (title, heads)) in enumerate(names.items()):
        y = 0.52 - 0.5 * row
        drawn.text(
            0.02,
            y + 0.17,
            title.replace(" of the", "\nof the").replace("second ", "second\n", 1),
            va="center",
            fontsize=10,
        )
        for i, (head, text) in enumerate(zip(heads, shown[key], strict=True)):
            ax = drawn.add_axes((0.18 + 0.117 * i, y, 0.113, 0.34))
            ax.imshow(from_text(text), interpolation="nearest")
            ax.set_title(head, fontsize=10, pad=3)
            ax.set_axis_off()
    half, late = found["share 0.5"], found["switch 0.5"]
    pairs = found["pairs"]
    return Drawing(
        drawn,
        alt="Two rows of seven pictures that lead from a red circle on the left to a blue square on the right.",
        caption=f'From "a red circle" to "a blue square", from one noise. Above, the velocities are mixed with a fixed share; below, the first '
        f"caption leads until time t and then the second. Of {pairs} pairs of captions, an even share gives {half['first']} pictures of the first caption, "
        f"{half['second']} of the second and {pairs - half['first'] - half['second']} of neither; the second caption from t = 0.5 on gives {late['second']} of the second and {late['first']} of the first.",
    )


TASKS = {
    "drawn strength": drawn_strength,
    "drawn fill": drawn_fill,
    "drawn command": drawn_command,
    "drawn seeds": drawn_seeds,
    "drawn blend": drawn_blend,
    "round trip": measure_round_trip,
    "inversion": measure_inversion,
    "growth": measure_growth,
    "origin": measure_origin,
    "strength": measure_strength,
    "fill": measure_fill,
    "middle": measure_middle,
    "lengths": measure_lengths,
    "variety": measure_variety,
    "blend": measure_blend,
}


def data(name: str) -> dict[str, Any]:
    return measured("editing", name, TASKS[name])


if __name__ == "__main__":
    if sys.argv[1:2] == ["measure"]:
        for name in sys.argv[2:] or TASKS:
            data(name)
    else:
        main()
