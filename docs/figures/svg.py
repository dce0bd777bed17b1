"""A few words of SVG for drawings of boxes, letters, matrices and small pictures; canvas.py has the colours."""

import base64
import io
from collections.abc import Sequence
from html import escape

import numpy as np
from canvas import INK
from PIL import Image

DARK = 0.7  # opacity of what is said beside


def svg(width: float, height: float, *parts: str) -> str:
    """Return a drawing of this size; the page scales it."""
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" font-family="inherit">'
    return "".join([head, *parts, "</svg>"])


def text(
    x: float,
    y: float,
    words: str,
    size: float = 12,
    anchor: str = "middle",
    colour: str = INK,
    opacity: float = 1,
    bold: bool = False,
    turn: float = 0,
    more: str = "",
) -> str:
    """Return words whose baseline begins, ends or has its middle at a point; `more` are further attributes."""
    turned = f' transform="rotate({turn:g} {x:g} {y:g})"' if turn else ""
    heavy = ' font-weight="bold"' if bold else ""
    seen = f' fill-opacity="{opacity:g}"' if opacity < 1 else ""
    return (
        f'<text x="{x:g}" y="{y:g}" font-size="{size:g}" text-anchor="{anchor}" fill="{colour}"'
        f"{seen}{heavy}{turned} {more}".rstrip()
        + f">{escape(words)}</text>"
    )


def lines(x: float, y: float, words: Sequence[str], size: float = 12, **how) -> str:
    """Return several lines of text, one below the other."""
    return "".join(text(x, y + 1.3 * size * i, line, size, **how) for i, line in enumerate(words))


def box(
    x: float,
    y: float,
    width: float,
    height: float,
    fill: str = "none",
    opacity: float = 1,
    stroke: str = INK,
    line: float = 1,
    dashes: str = "",
    corner: float = 2,
    edge: float = 1,
) -> str:
    """Return a rectangle; `opacity` is its filling's, `edge` its line's."""
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    dashed += f' stroke-opacity="{edge:g}"' if edge < 1 else ""
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{corner:g}" fill="{fill}"'
        f' fill-opacity="{opacity:g}" stroke="{stroke}" stroke-width="{line:g}"{dashed}/>'
    )


def path(d: str, colour: str = INK, line: float = 1, opacity: float = 1, tip: bool = False, dashes: str = "") -> str:
    """Return a line along `d`, with an arrow's tip if asked for (the drawing then needs `tips()`)."""
    marked = f' marker-end="url(#tip-{colour[1:]})"' if tip else ""
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return (
        f'<path d="{d}" fill="none" stroke="{colour}" stroke-width="{line:g}" stroke-opacity="{opacity:g}"'
        f"{marked}{dashed}/>"
    )


def tips(*colours: str) -> str:
    """Return the arrow tips that lines of these colours end in."""
    return "".join(
        f'<marker id="tip-{colour[1:]}" markerWidth="8" markerHeight="8" refX="6" refY="4" orient="auto">'
        f'<path d="M0 0.5 7 4 0 7.5z" fill="{colour}"/></marker>'
        for colour in colours
    )


def picture(x: float, y: float, side: float, png: str, told: str = "") -> str:
    """Return a small picture, enlarged without smoothing; `png` is base64."""
    title = f"<title>{escape(told)}</title>" if told else ""
    return (
        f'<image x="{x:g}" y="{y:g}" width="{side:g}" height="{side:g}" style="image-rendering: pixelated"'
        f' href="data:image/png;base64,{png}">{title}</image>'
    )


def png_of(rgb: np.ndarray | Image.Image, colours: int | None = 64) -> str:
    """Return a picture as base64 of a PNG, of few colours unless told otherwise: it is part of the drawing."""
    image = rgb if isinstance(rgb, Image.Image) else Image.fromarray(rgb)
    if colours:
        image = image.convert("RGB").quantize(colours)
    buffer = io.BytesIO()
    image.save(buffer, format="png", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


def latent_png(latent: np.ndarray, limit: float) -> str:
    """Return four channels, two by two, orange below zero and purple above, on a scale from -limit to limit."""
    from matplotlib import colormaps

    c, h, w = latent.shape
    squares = latent.reshape(2, c // 2, h, w).transpose(0, 2, 1, 3).reshape(2 * h, c // 2 * w)
    rgb = colormaps["PuOr"]((np.clip(squares / limit, -1, 1) + 1) / 2)[..., :3]
    return png_of((255 * rgb).round().astype(np.uint8))
