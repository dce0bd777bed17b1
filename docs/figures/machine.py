"""What the figures of the second part share: measurements that are kept, changed models, boxes and rows of pictures.

Measurements are slow, drawings are fast. `kept` measures once and writes the numbers to data/NAME.json; from then on
figures are drawn from that file. To measure again, delete the file, or the key in it, and run the script.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from typing import Any

import numpy as np
import svg as shapes
import torch
from canvas import INK
from PIL import Image
from recipes import measured
from svg import svg
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
    return measured(name, key, measure, digits=4)


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


@cache
def intact_velocities(times: tuple[float, ...], each: int) -> list[Tensor]:
    """Return the velocities of the unchanged model."""
    return [velocities(t, each) for t in times]


def errors(change: Callable[[], AbstractContextManager], times: Sequence[float], each: int) -> dict[str, list[float]]:
    """Measure how far a changed model's velocities are from the unchanged one's, and from z_1 - z_0, at each time."""
    _, z_1, z_0 = examples(each)
    intact = intact_velocities(tuple(times), each)
    with change():
        changed = [velocities(t, each) for t in times]
    return {
        "apart": [apart(a, b) for a, b in zip(changed, intact, strict=True)],
        "loss": [(a - (z_1 - z_0)).square().mean().item() for a in changed],
    }


def changed_pictures(change: Callable[[], AbstractContextManager], each: int) -> dict[str, Any]:
    """Draw captions of every category with a changed model."""
    with change():
        return drawn(each)


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
    """Return a picture as base64 text, with all its colours."""
    if not isinstance(picture, Image.Image):
        picture = Image.fromarray(np.asarray(picture).round().clip(0, 255).astype(np.uint8))
    return shapes.png_of(picture, colours=None)


def text(
    x: float, y: float, words: str, size: float = 13, anchor: str = "middle", colour: str = INK, more: str = ""
) -> str:
    """Return a text of one or several lines, separated by |. y is the baseline of the first."""
    lines = enumerate(words.split("|"))
    return "".join(shapes.text(x, y + 1.25 * size * i, line, size, anchor, colour, more=more) for i, line in lines)


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
    dashes = "5 4" if dashed else ""
    return shapes.box(
        x, y, width, height, colour or "none", 0.16, colour or INK, line=1.5, dashes=dashes, corner=6
    ) + "".join(text(x + width / 2, top + 1.25 * size * i, line, size) for i, line in enumerate(lines))


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
