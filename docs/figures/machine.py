"""What the figures of the second part share: measurements that are kept, changed models, boxes and rows of pictures.

Measurements are slow, drawings are fast. `kept` measures once and writes the numbers to data/NAME.json; from then on
figures are drawn from that file. To measure again, delete the file, or the key in it, and run the script.
"""

import base64
import io
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
import torch
from canvas import DATA, INK
from PIL import Image
from torch import Tensor, nn

from janus_minimal import JanusFlowPipeline
from janus_minimal.prompt import PromptPair
from janus_minimal.shapes.caption import CATEGORIES, Caption
from janus_minimal.shapes.evaluate import fresh_captions
from janus_minimal.shapes.score import satisfies
from janus_minimal.shapes.vae import encode_scenes

SEED = 5  # of everything that is drawn here; training and the evaluation use others
STEPS = 30


# Measurements.


def kept(name: str, key: str, measure: Callable[[], Any]) -> Any:
    """Return what is stored under this key of data/NAME.json; measure and store it if it is not there."""
    path = DATA / f"{name}.json"

    def read() -> dict[str, Any]:
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    known = read()
    if key not in known:
        found = rounded(measure())
        known = read() | {key: found}  # read again: another process may have measured something meanwhile
        DATA.mkdir(exist_ok=True)
        path.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    return known[key]


def rounded(value: Any) -> Any:
    """Return the value as JSON takes it, with numbers of four significant digits."""
    if isinstance(value, dict):
        return {str(key): rounded(entry) for key, entry in value.items()}
    if isinstance(value, Tensor | np.ndarray):
        return rounded(value.tolist())
    if isinstance(value, list | tuple):
        return [rounded(entry) for entry in value]
    if isinstance(value, float | np.floating):
        return float(f"{value:.4g}")
    return value


@cache
def pipeline() -> JanusFlowPipeline:
    """Return the bundled model with its VAE and tokenizer."""
    torch.set_grad_enabled(False)
    return JanusFlowPipeline.from_pretrained("shapes")


@cache
def examples(each: int) -> tuple[list[Caption], Tensor, Tensor]:
    """Return captions, scaled latents z_1 and noises z_0: `each` of every category, never seen in training."""
    rng = np.random.default_rng((SEED, 9))
    captions = [caption for category in CATEGORIES for caption in fresh_captions(category, each, SEED)]
    z_1 = encode_scenes(pipeline().vae, [caption.draw(rng) for caption in captions])
    z_0 = torch.randn(z_1.shape, generator=torch.Generator().manual_seed(SEED))
    return captions, z_1, z_0


@cache
def rows(each: int) -> Any:
    """Return the conditional rows of prompt for `examples(each)`."""
    pair = PromptPair.from_text([str(caption) for caption in examples(each)[0]], pipeline().tokenizer)
    return pair.rows[torch.arange(len(pair.rows.ids) // 2)]


def velocities(t: float, each: int) -> Tensor:
    """Return the conditional velocities of the model, as it is now, at z_t of the examples."""
    _, z_1, z_0 = examples(each)
    return pipeline().model((1 - t) * z_0 + t * z_1, torch.tensor(t), rows(each))


def losses(t: float, each: int) -> float:
    """Return the mean squared distance between these velocities and z_1 - z_0."""
    _, z_1, z_0 = examples(each)
    return (velocities(t, each) - (z_1 - z_0)).square().mean().item()


def apart(a: Tensor, b: Tensor) -> float:
    """Return |a - b| / |b|."""
    return ((a - b).norm() / b.norm()).item()


def drawn(each: int) -> dict[str, Any]:
    """Draw `each` captions of every category with the model as it is now. Return the scores and some pictures."""
    pipe, captions = pipeline(), examples(each)[0]
    noises = [torch.Generator().manual_seed(SEED * 1000 + i) for i in range(len(captions))]
    pictures = pipe([str(caption) for caption in captions], STEPS, generator=noises, progress=False).images
    right = [satisfies(np.asarray(picture), caption) for picture, caption in zip(pictures, captions, strict=True)]
    return {
        "score": sum(right) / len(right),
        "captions": len(right),
        "pictures": [png(picture) for picture in pictures[1::each]],  # the second of each category
        "texts": [str(caption) for caption in captions[1::each]],
    }


@contextmanager
def replaced(module: nn.Module, name: str, change: Callable[..., Any]) -> Iterator[None]:
    """Put change(original, ...) in the place of a method of this module, for a while."""
    original = getattr(module, name)
    object.__setattr__(module, name, lambda *args, **kwargs: change(original, *args, **kwargs))
    try:
        yield
    finally:
        object.__delattr__(module, name)


# Drawings.


def png(picture: Image.Image | np.ndarray) -> str:
    """Return a picture as base64 text."""
    if not isinstance(picture, Image.Image):
        picture = Image.fromarray(np.asarray(picture).round().clip(0, 255).astype(np.uint8))
    buffer = io.BytesIO()
    picture.save(buffer, format="png", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


def text(
    x: float, y: float, words: str, size: float = 13, anchor: str = "middle", colour: str = INK, more: str = ""
) -> str:
    """Return a text of one or several lines, separated by |. y is the baseline of the first."""
    lines = [
        f'<text x="{x:g}" y="{y + 1.25 * size * i:g}" font-size="{size:g}" text-anchor="{anchor}" '
        f'fill="{colour}" {more}>{escape(line)}</text>'
        for i, line in enumerate(words.split("|"))
    ]
    return "".join(lines)


def box(
    x: float,
    y: float,
    width: float,
    height: float,
    words: str,
    colour: str = "",
    size: float = 13,
    dashed: bool = False,
) -> str:
    """Return a rounded box with centred lines of text. The colour tints the inside and draws the border."""
    lines = words.split("|") if words else []
    top = y + height / 2 - 0.625 * size * len(lines) + 0.97 * size
    dash = ' stroke-dasharray="5 4"' if dashed else ""
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="6" fill="{colour or "none"}" '
        f'fill-opacity="0.16" stroke="{colour or INK}" stroke-width="1.5"{dash}/>'
        + "".join(text(x + width / 2, top + 1.25 * size * i, line, size) for i, line in enumerate(lines))
    )


def arrow(points: Sequence[tuple[float, float]], colour: str = INK, width: float = 1.6, dashed: bool = False) -> str:
    """Return a line through the points that ends in an arrow head."""
    (x0, y0), (x1, y1) = points[-2:]
    length = max(((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5, 1e-9)
    ux, uy = (x1 - x0) / length, (y1 - y0) / length
    bx, by = x1 - 9 * ux, y1 - 9 * uy
    way = " ".join(f"{x:g},{y:g}" for x, y in [*points[:-1], (bx, by)])
    head = f"{x1:g},{y1:g} {bx - 4.5 * uy:g},{by + 4.5 * ux:g} {bx + 4.5 * uy:g},{by - 4.5 * ux:g}"
    dash = ' stroke-dasharray="5 4"' if dashed else ""
    return (
        f'<polyline points="{way}" fill="none" stroke="{colour}" stroke-width="{width:g}"{dash}/>'
        f'<polygon points="{head}" fill="{colour}"/>'
    )


def svg(width: float, height: float, *parts: str) -> str:
    """Return a whole drawing."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
        f'font-family="inherit">{"".join(parts)}</svg>'
    )


def album(
    columns: Sequence[str],
    names: Sequence[str],
    tiles: Sequence[Sequence[str]],
    below: Sequence[Sequence[str]] | None = None,
    side: float = 96,
    left: float = 110,
    top: float = 40,
    gap: float = 8,
) -> str:
    """Return rows of pictures (base64 PNG) under column heads, with a name on the left of each row and texts below."""
    told = below or [[""] * len(line) for line in tiles]
    feet = [6 + 15 * max(cell.count("|") + 1 for cell in line) if any(line) else 0 for line in told]
    parts = [
        text(left + i * (side + gap) + side / 2, top - 8 - 15 * head.count("|"), head, 12)
        for i, head in enumerate(columns)
    ]
    y = top
    for name, line, words, foot in zip(names, tiles, told, feet, strict=True):
        lines = name.count("|")
        parts.append(text(left - 10, y + side / 2 + 4 - 8 * lines, name, 12, "end"))
        for i, tile in enumerate(line):
            x = left + i * (side + gap)
            parts.append(
                f'<image x="{x:g}" y="{y:g}" width="{side:g}" height="{side:g}" '
                f'style="image-rendering:pixelated" href="data:image/png;base64,{tile}"/>'
            )
            parts.append(text(x + side / 2, y + side + 14, words[i], 11.5) if words[i] else "")
        y += side + foot + gap
    return svg(left + max(map(len, tiles)) * (side + gap), y, *parts)


def broken(words: str, most: int = 13) -> str:
    """Break words into lines of at most so many letters, where that is possible."""
    lines = [""]
    for word in words.split():
        if lines[-1] and len(lines[-1]) + len(word) >= most:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "|".join(lines)
