"""The figures of chapter 1, "One picture, start to finish": python docs/figures/one_picture.py [NAME ...]

One run of the bundled model, thirty steps, one seed. Writes data/one-picture.json too: the numbers that the page
quotes. Sizes come from docs/sizes.json, which docs/sizes.py writes.
"""

import base64
import io
import json
from functools import cache
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from canvas import BLUE, DATA, GREEN, INK, ORANGE, OUT, RED, SKY, Drawing, figure, main
from PIL import Image
from torch import Tensor

from janus_minimal import JanusFlowPipeline, PromptPair, Step, denoise, time_grid
from janus_minimal.pipeline import image_noise
from janus_minimal.prompt import TEMPLATE
from janus_minimal.shapes.score import detect

CAPTION, SEED, STEPS, WEIGHT = "a red circle left of a blue square", 0, 30, 2.0
PLACE = (2, 4, 3)  # channel, row and column of the number that the page follows: at the circle's edge
SHOWN = (0, 2, 4, 6, 9, 15, 24, 29)  # steps in the film
SIZES = json.loads((OUT.parent.parent / "sizes.json").read_text(encoding="utf-8"))


class Run:
    """Everything that one run of the pipeline computes."""

    def __init__(self) -> None:
        torch.set_num_threads(1)
        self.pipe = JanusFlowPipeline.from_pretrained("shapes")
        tokenizer = self.pipe.tokenizer
        self.ids = tokenizer.encode(TEMPLATE.format(prompt=CAPTION))
        self.tokens = tokenizer.convert_ids_to_tokens(self.ids)
        self.pair = PromptPair.from_text(CAPTION, tokenizer)
        self.noise = image_noise(self.pipe.latent_shape, 1, [torch.Generator().manual_seed(SEED)])
        self.steps: list[Step] = list(denoise(self.pipe.model, self.pair, self.noise, time_grid(STEPS), WEIGHT))
        self.latent = self.steps[-1].z_next
        self.picture = self.pipe.to_pictures(self.latent)[0]
        (DATA / "one-picture.json").write_text(json.dumps(self.numbers(), indent=2) + "\n", encoding="utf-8")

    def numbers(self) -> dict[str, Any]:
        with torch.no_grad():
            x_emb, t_emb, _ = self.pipe.model.encode(self.noise, torch.tensor(0.0))
            rows, tokens = self.pair.batch(), self.pipe.model.align_in(x_emb, t_emb)
            cache = self.pipe.model.prefill(self.pair)
            hidden = self.pipe.model.backbone(tokens.repeat(2, 1, 1), rows, cache)
        things = detect(np.asarray(self.picture))
        c, y, x = PLACE
        at = {
            f"{name} there": getattr(self.steps[0], name)[0, c, y, x].item()
            for name in ("z", "v_cond", "v_uncond", "v", "z_next")
        }
        return {
            "prompt tokens": self.pair.rows.ids.shape[1],
            "noise mean": self.noise.mean().item(),
            "noise deviation": self.noise.std().item(),
            "token values": {"smallest": tokens[0, 1:].min().item(), "largest": tokens[0, 1:].max().item()},
            "hidden, two rows differ": root(hidden[0] - hidden[1]) / root(hidden[0]),
            "latent smallest": self.latent.min().item(),
            "latent largest": self.latent.max().item(),
            "latent deviation": self.latent.std().item(),
            "the number followed, final": self.latent[0, c, y, x].item(),
            "first step": at,
            "steps": {str(step.index): self.of(step) for step in self.steps},
            "things": [
                {"colour": thing.colour, "shape": thing.shape, "x": thing.x, "y": thing.y, "size": thing.size}
                for thing in things
            ],
            "circle": {"x": things[0].x, "y": things[0].y},
            "square": {"x": things[1].x, "y": things[1].y},
        }

    def of(self, step: Step) -> dict[str, float]:
        return {
            "t": step.t.item(),
            "size of z": root(step.z),
            "two velocities differ, percent": 100 * root(step.v_cond - step.v_uncond) / root(step.v_cond),
            "prediction off the final latent, percent": 100 * root(step.denoised - self.latent) / root(self.latent),
            "the number followed": step.z[0][PLACE].item(),
        }


def root(x: Tensor) -> float:
    """The root of the mean square: the size of one number, typically."""
    return x.square().mean().sqrt().item()


@cache
def run() -> Run:
    return Run()


def embedded(pixels: np.ndarray | Image.Image) -> str:
    """A small picture as the address of an SVG image."""
    buffer = io.BytesIO()
    picture = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    picture.save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def shown(pixels: np.ndarray | Image.Image, x: float, y: float, side: float) -> str:
    place = f'x="{x}" y="{y}" width="{side}" height="{side}"'
    return f'<image {place} style="image-rendering:pixelated" href="{embedded(pixels)}"/>'


def signed(values: Tensor, largest: float) -> np.ndarray:
    """Numbers as colours: orange below zero, white at zero, blue above."""
    level = (values / largest).clamp(-1, 1).numpy()[..., None]
    below, above = np.array([230, 159, 0]), np.array([0, 114, 178])
    colours = 255 - np.clip(level, 0, 1) * (255 - above) - np.clip(-level, 0, 1) * (255 - below)
    return colours.round().astype(np.uint8)


def channels(latent: Tensor, x: float, y: float, side: float, largest: float) -> str:
    return "".join(shown(signed(latent[0, c], largest), x + c * (side + 8), y, side) for c in range(4))


def text(x: float, y: float, words: str, size: int = 14, anchor: str = "start", extra: str = "") -> str:
    words = words.replace("&", "&amp;").replace("<", "&lt;")
    return f'<text x="{x}" y="{y}" font-size="{size}" text-anchor="{anchor}" {extra}>{words}</text>'


def drawing(width: int, height: int, parts: list[str]) -> str:
    """An SVG of these parts, all text in the page's colour."""
    inside = "".join(parts).replace("<text ", f'<text fill="{INK}" ')
    head = f'<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" font-family="sans-serif">'
    return f"{head}{inside}</svg>"


# ---- The stations ----


@figure("one_picture_stations")
def stations() -> Drawing:
    r = run()
    n = r.numbers()
    first = n["steps"]["0"]
    left, height, parts, y = 190, 96, [], 8
    sizes = SIZES["bundled"]["lengths"]
    titles = (
        "1  caption",
        "2  tokens, two rows",
        "3  noise",
        "4  image tokens",
        "5  language model",
        "6  two velocities",
        "7  latent",
        "8  picture",
    )

    def heading(number: int, top: float, details: tuple[str, ...]) -> str:
        lines = "".join(text(0, top + 44 + 18 * i, line, 12, extra='opacity="0.8"') for i, line in enumerate(details))
        return text(0, top + 24, titles[number - 1], 15, extra='font-weight="bold"') + lines

    def arrow(top: float) -> str:
        return f'<path d="M{left + 20} {top - 10}v12m-4 -5l4 6l4 -6" fill="none" stroke="{INK}" opacity="0.6"/>'

    def chips(top: float, hidden_after: int | None) -> str:
        drawn, x = [], float(left)
        for i, token in enumerate(r.tokens[:-1]):
            label = {0: "begin"}.get(i, token)
            width = 7.4 * len(label) + 13
            hidden = hidden_after is not None and i > hidden_after
            style = 'opacity="0.35" stroke-dasharray="3 3"' if hidden else ""
            drawn.append(
                f'<rect x="{x:.0f}" y="{top}" width="{width:.0f}" height="24" rx="4" fill="none" '
                f'stroke="{INK}" {style}/>'
            )
            drawn.append(
                text(
                    x + width / 2, top + 17, "·" if hidden else label, 12.5, "middle", 'opacity="0.5"' if hidden else ""
                )
            )
            x += width + 4
        return "".join(drawn)

    parts += [heading(1, y, ("text",)), text(left, y + 28, f"“{CAPTION}”", 17)]
    y += 62
    parts += [
        arrow(y),
        heading(2, y, (f"L = {n['prompt tokens']} each", "dashed: hidden")),
        chips(y + 8, None),
        chips(y + 42, 0),
    ]
    y += height
    parts += [arrow(y), heading(3, y, ("4 × 12 × 12 numbers", f"deviation {n['noise deviation']:.2f}"))]
    parts += [
        channels(r.noise, left, y + 6, 72, 3),
        text(left + 340, y + 38, "t = 0, from seed 0:", 13),
        text(left + 340, y + 56, "one small map a channel", 13),
    ]
    y += height
    parts += [
        arrow(y),
        heading(4, y, ("6 × 6 patches", f"1 + {sizes['image tokens']} vectors of {sizes['language width']}")),
    ]
    grid = "".join(
        f'<path d="M{left} {y + 6 + 12 * i}h72M{left + 12 * i} {y + 6}v72" stroke="#111111" fill="none"/>'
        for i in range(7)
    )
    parts += [shown(signed(r.noise[0, 0], 3), left, y + 6, 72), grid]
    bars = "".join(
        f'<rect x="{left + 130 + 13 * i}" y="{y + 14}" width="9" height="54" fill="{RED if i == 0 else SKY}"/>'
        for i in range(12)
    )
    parts += [text(left + 88, y + 48, "→", 22), bars, text(left + 292, y + 48, "…", 20)]
    parts += [
        text(left + 340, y + 38, "red: the time token,", 13),
        text(left + 340, y + 56, "then one vector a patch", 13),
    ]
    y += height
    parts += [arrow(y), heading(5, y, (f"{sizes['layers']} causal blocks", "both rows at once"))]
    for i, (label, width, colour) in enumerate(
        (
            (f"{n['prompt tokens']} prompt tokens", 120, "none"),
            ("t", 22, RED),
            (f"{sizes['image tokens']} image tokens", 160, SKY),
        )
    ):
        x = left + (0, 124, 150)[i]
        parts.append(f'<rect x="{x}" y="{y + 18}" width="{width}" height="34" rx="4" fill="{colour}" stroke="{INK}"/>')
        parts.append(
            text(x + width / 2, y + 40, label, 12.5, "middle", 'style="fill:#111111"' if colour != "none" else "")
        )
    parts += [
        text(left + 340, y + 32, "hidden states of the two rows", 13),
        text(left + 340, y + 50, f"differ by {100 * n['hidden, two rows differ']:.0f} % in the first step", 13),
    ]
    y += height
    parts += [arrow(y - 5), heading(6, y, ("of step 0", "4 × 12 × 12 each"))]
    parts += [channels(r.steps[0].v_cond, left, y + 2, 40, 3), channels(r.steps[0].v_uncond, left, y + 46, 40, 3)]
    parts += [text(left + 200, y + 27, "with the prompt", 13), text(left + 200, y + 71, "without it", 13)]
    parts += [
        text(left + 340, y + 27, f"they differ by {first['two velocities differ, percent']:.0f} % at t = 0", 13),
        text(left + 340, y + 49, "v = 2 v_cond − v_uncond", 13),
        text(left + 340, y + 71, "z ← z + v / 30,  30 times", 13),
    ]
    y += height + 4
    parts += [
        arrow(y),
        heading(7, y, ("after 30 steps", f"from {n['latent smallest']:.1f} to {n['latent largest']:.1f}")),
    ]
    parts += [
        channels(r.latent, left, y + 6, 72, 3),
        text(left + 340, y + 38, "the same four maps:", 13),
        text(left + 340, y + 56, "the picture can be guessed", 13),
    ]
    y += height
    parts += [arrow(y), heading(8, y, ("48 × 48 pixels", "by the VAE’s decoder")), shown(r.picture, left, y + 6, 144)]
    circle, square = n["things"]
    parts += [text(left + 164, y + 50, "read back from the pixels:", 13)]
    for i, thing in enumerate((circle, square)):
        parts.append(
            text(
                left + 164,
                y + 72 + 20 * i,
                f"{thing['colour']} {thing['shape']} at x = {thing['x']:.0f}, y = {thing['y']:.0f}",
                13,
            )
        )
    y += 156
    return Drawing(
        drawing(760, y, parts),
        """Eight stations from top to bottom: the caption; two rows of tokens, the second with all but the first
        token hidden; four small maps of noise; the first map cut into six by six patches, each a vector, after a
        red time token; a sequence of prompt tokens, time token and image tokens; two rows of four velocity maps;
        four maps in which two shapes can be guessed; a picture of a red circle left of a blue square.""",
        f"""One run of the bundled model: "{CAPTION}", seed {SEED}, {STEPS} steps, guidance weight {WEIGHT:g}.
        Maps show numbers as colours: orange below zero, white at zero, blue above, full colour at 3. Stations 4
        to 6 are passed in every step, {STEPS} times; their pictures and numbers are those of the first step. The
        other stations are passed once.""",
    )


# ---- The film ----


@figure("one_picture_film")
def film() -> Drawing:
    r = run()
    chosen = [r.steps[k] for k in SHOWN]
    rows = [
        ("z", r.pipe.to_pictures(torch.cat([step.z for step in chosen]))),
        ("denoised", r.pipe.to_pictures(torch.cat([step.denoised for step in chosen]))),
        ("difference", [(step.v_cond - step.v_uncond)[0].norm(dim=0).numpy() for step in chosen]),
    ]
    picture, panels = plt.subplots(3, len(chosen), figsize=(9, 3.9))
    darkest = float(max(cell.max() for cell in rows[2][1]))
    for panel, (label, cells) in zip(panels, rows, strict=True):
        for axes, cell in zip(panel, cells, strict=True):
            axes.imshow(
                cell,
                interpolation="none",
                **({"cmap": "magma", "vmin": 0, "vmax": darkest} if label == "difference" else {}),
            )
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
        panel[0].set_ylabel(label, fontsize=11)
    percents = [r.of(step)["two velocities differ, percent"] for step in chosen]
    for step, axes, percent in zip(chosen, panels.T, percents, strict=True):
        axes[0].set_title(f"t = {step.t:.2f}", fontsize=11)
        axes[2].set_xlabel(f"{percent:.0f} %", fontsize=11)
    picture.tight_layout(w_pad=0.4, h_pad=0.4)
    off = [r.of(step)["prediction off the final latent, percent"] for step in chosen]
    return Drawing(
        picture,
        """Three rows of eight small pictures, from t = 0 to t = 0.97. Top: blue blots that become a circle and a
        square only from t = 0.5 on. Middle: two blurred smears, one of them reddish, that are a red circle and a
        blue square by t = 0.2. Bottom: maps that are bright in the first three columns where the shapes will be,
        then dark, and a little brighter at the end.""",
        f"""The run at {len(chosen)} of its {STEPS} steps. Top: the latent z as the VAE decodes it. Middle: the
        denoised prediction z + (1 - t) v; it is {off[0]:.0f} % off the final latent at t = 0, {off[3]:.0f} % at
        t = {chosen[3].t:.2f}, {off[5]:.0f} % at t = {chosen[5].t:.2f}. Bottom: where the velocities with and
        without the prompt differ (brighter: more), and by how much in all, as a share of the velocity with
        it.""",
    )


# ---- What Janus is, and what of it is here ----


@figure("one_picture_parts")
def parts_of_janus() -> Drawing:
    p = SIZES["released"]["parameters"]

    def million(*names: str) -> str:
        return f"{sum(p[name] for name in names) / 1e6:,.1f} M"

    def box(
        x: float, y: float, width: float, height: float, lines: tuple[str, ...], colour: str, here: bool = True
    ) -> str:
        fill = (
            f'fill="{colour}" fill-opacity="0.3" stroke="{colour}" stroke-width="2"'
            if here
            else f'fill="none" stroke="{INK}" stroke-dasharray="5 4" opacity="0.7"'
        )
        start = y + height / 2 + 5 - 9 * (len(lines) - 1)
        words = "".join(
            text(x + width / 2, start + 18 * i, line, 14 if i == 0 else 12, "middle") for i, line in enumerate(lines)
        )
        return f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="6" {fill}/>{words}'

    def way(d: str, here: bool = True, colour: str = INK) -> str:
        style = "" if here else 'stroke-dasharray="5 4" opacity="0.7"'
        return f'<path d="{d}" fill="none" stroke="{colour}" stroke-width="1.6" marker-end="url(#partstip)" {style}/>'

    blocks, head = p["transformer blocks"] / 1e9, p["word head, not read"] / 1e6
    drawn = [
        box(292, 60, 176, 250, ("language model", "24 blocks, causal", f"{blocks:.2f} B"), BLUE),
        box(10, 66, 150, 48, ("picture to describe",), INK, False),
        box(178, 66, 96, 48, ("SigLIP", "about 300 M"), INK, False),
        box(10, 156, 150, 48, ("prompt",), GREEN),
        box(178, 156, 96, 48, ("word table", million("word table")), GREEN),
        box(10, 246, 150, 48, ("noisy latent z, t",), ORANGE),
        box(178, 246, 96, 48, ("g_enc", million("encoder")), ORANGE),
        box(486, 66, 106, 48, ("word head", f"{head:.1f} M"), INK, False),
        box(610, 66, 140, 48, ("next word",), INK, False),
        box(486, 246, 106, 48, ("g_dec", million("decoder")), ORANGE),
        box(610, 246, 140, 48, ("velocity v",), ORANGE),
        way("M160 90h16", False),
        way("M274 90h16", False),
        way("M160 180h16"),
        way("M274 180h16"),
        way("M160 270h16"),
        way("M274 270h16"),
        way("M468 90h16", False),
        way("M592 90h16", False),
        way("M468 270h16"),
        way("M592 270h16"),
        way("M226 294v36h312v-34"),
        text(382, 348, "skip: around the language model", 12, "middle"),
        way("M226 66V28h154v30", False, RED),
        text(396, 24, "alignment loss, in training only: block 6 against SigLIP", 12),
        way("M680 294v72H85v-70"),
        text(382, 384, "Euler step, 30 times: z + dt v", 12, "middle"),
        text(85, 52, "understanding", 13, "middle", 'opacity="0.8"'),
        text(85, 236, "generation", 13, "middle"),
    ]
    tip = (
        '<defs><marker id="partstip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto">'
        f'<path d="M0 0 8 4 0 8z" fill="{INK}"/></marker></defs>'
    )
    return Drawing(
        drawing(760, 396, [tip, *drawn]),
        """A language model in the middle. From the left come three inputs: a picture through SigLIP (dashed), a
        prompt through the word table, a noisy latent and the time through g_enc. To the right go two outputs:
        the next word through the word head (dashed), and a velocity through g_dec. A skip leads from g_enc to
        g_dec. A dashed red arrow from SigLIP to the language model is the alignment loss.""",
        f"""JanusFlow with the parameters of each part at the released size. Coloured: the generation path, which
        this package implements. Dashed: what it does not have (understanding, the alignment loss). One language
        model is shared; the encoders on the left are separate, which is the decoupling. Two linear aligners
        ({million("aligner in", "aligner out")}) are not drawn.""",
    )


# ---- Sizes ----


@figure("one_picture_sizes")
def sizes_drawn() -> Drawing:
    parts = {
        "transformer blocks": (("transformer blocks",), BLUE),
        "word table": (("word table",), SKY),
        "encoder g_enc": (("encoder",), ORANGE),
        "decoder g_dec": (("decoder",), RED),
        "aligners": (("aligner in", "aligner out"), GREEN),
    }
    picture, axes = plt.subplots(figsize=(9, 2.3))
    totals, shares = {}, {}
    for row, size in enumerate(("released", "bundled")):
        numbers, start = SIZES[size]["parameters"], 0.0
        totals[size] = numbers["generation path"]
        for name, (keys, colour) in parts.items():
            share = sum(numbers[key] for key in keys) / totals[size]
            shares[size, name] = share
            axes.barh(-row, share, left=start, color=colour, height=0.55, label=name if row == 0 else None)
            if share > 0.05:
                axes.text(
                    start + share / 2,
                    -row,
                    f"{100 * share:.1f} %",
                    ha="center",
                    va="center",
                    color="white" if colour == BLUE else "#111111",
                    fontsize=11,
                )
            start += share
    axes.set(xlim=(0, 1), yticks=[0, -1], xticks=[])
    axes.set_yticklabels([f"released\n{totals['released'] / 1e9:.2f} B", f"bundled\n{totals['bundled'] / 1e6:.2f} M"])
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.legend(ncols=5, loc="upper center", bbox_to_anchor=(0.46, 0.02), frameon=False, fontsize=10.5, handlelength=1)
    picture.tight_layout()
    around = {size: SIZES[size]["parameters"]["around the language model"] / totals[size] for size in totals}
    return Drawing(
        picture,
        """Two bars of equal length. Released: four fifths transformer blocks, a seventh word table, slivers of
        encoder, decoder and aligners. Bundled: seven tenths transformer blocks, almost no word table, a tenth
        encoder and a fifth decoder.""",
        f"""Where the parameters of the generation path are. In the released model everything around the language
        model is {100 * around["released"]:.1f} % of {totals["released"] / 1e9:.2f} billion; in the bundled model
        it is {100 * around["bundled"]:.0f} % of {totals["bundled"] / 1e6:.2f} million. The VAE is not counted.""",
    )


if __name__ == "__main__":
    main()
