"""Figures, each drawn by one call and without a screen: pictures, latents, matrices, curves, paths.

Numbers may be lists, numpy arrays, or tensors on any device, in any dtype and with a gradient: see `_array`.
Colours are Okabe and Ito's palette, which people with every kind of colour vision can tell apart. Pictures that are
compared share one colour scale.
"""

from collections.abc import Mapping, Sequence
from itertools import chain, cycle
from textwrap import fill

import numpy as np
from cycler import cycler
from einops import rearrange
from jaxtyping import Shaped
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image
from torch import Tensor

BLUE, ORANGE, GREEN, PINK, SKY = "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9"
CYCLE = cycler(color=[BLUE, ORANGE, GREEN, PINK, SKY]) + cycler(
    linestyle=["-", "--", "-.", ":", "-"]
)
LABEL = 16  # characters of a label before the line breaks
FEW = 7  # values on the x axis, which are then all named

Array = Tensor | np.ndarray
Numbers = Sequence[float | Tensor] | Shaped[Array, "n"]


def _array(values: Numbers | Array | float) -> np.ndarray:
    """Return the numbers as matplotlib takes them.

    numpy reads no tensor on a GPU, none with a gradient and no bfloat16. The device comes first: MPS has no float64.
    """
    if isinstance(values, Tensor):
        return values.detach().cpu().double().numpy()
    if isinstance(values, Sequence):
        return np.array([_array(value) for value in values])
    return np.asarray(values)


def picture_grid(
    columns: Sequence[str], names: Sequence[str], rows: Sequence[Sequence[Image.Image]], title: str
) -> Figure:
    """Show pictures in named rows under named columns."""
    figure = Figure(figsize=(1.3 * len(columns), 1.3 * len(rows) + 0.6), layout="constrained")
    axes = figure.subplots(len(rows), len(columns), squeeze=False)
    for ax, picture in zip(axes.flat, chain(*rows), strict=True):
        ax.imshow(np.asarray(picture), interpolation="nearest")
    return _labelled(figure, axes, columns, names, title)


def film_strip(times: Numbers, rows: Sequence[Sequence[Image.Image]], title: str) -> Figure:
    """Show the decoded denoised predictions z + (1 - t) v: one row for each image, one column for each time."""
    return picture_grid([f"t = {t:.2f}" for t in times], [""] * len(rows), rows, title)


def latent_grid(
    columns: Sequence[str],
    names: Sequence[str],
    rows: Sequence[Sequence[Shaped[Array, "4 H W"]]],
    title: str,
) -> Figure:
    """Show latents in named rows under named columns: the four channels of each, two by two, on one scale."""
    figure = Figure(figsize=(1.15 * len(columns) + 1, 1.15 * len(rows) + 0.6), layout="constrained")
    axes = figure.subplots(len(rows), len(columns), squeeze=False)
    squares = [channel_square(z) for z in chain(*rows)]
    limit = max(abs(square).max() for square in squares)
    for ax, square in zip(axes.flat, squares, strict=True):
        shown = ax.imshow(square, cmap="PuOr", vmin=-limit, vmax=limit, interpolation="nearest")
    figure.colorbar(shown, ax=axes, shrink=0.8)
    return _labelled(figure, axes, columns, names, title)


def channel_square(z: Shaped[Array, "4 H W"]) -> Shaped[np.ndarray, "2*H 2*W"]:
    """Return the four channels of a latent two by two, as one image: 0 and 1 above, 2 and 3 below."""
    return rearrange(_array(z), "(a b) h w -> (a h) (b w)", a=2)


def _labelled(
    figure: Figure, axes: np.ndarray, columns: Sequence[str], names: Sequence[str], title: str
) -> Figure:
    # Names and titles quote prompts, in which a dollar sign begins no formula.
    for ax in axes.flat:
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
    for ax, name in zip(axes[0], columns, strict=True):
        ax.set_title(fill(name, LABEL), fontsize=9, parse_math=False)
    for ax, name in zip(axes[:, 0], names, strict=True):
        ax.set_ylabel(fill(name, LABEL), fontsize=9, parse_math=False)
    figure.suptitle(title, fontsize=11, parse_math=False)
    return figure


def heatmap(
    matrix: Shaped[Array, "rows columns"],
    title: str,
    xlabel: str,
    ylabel: str,
    names: Sequence[str] = (),
) -> Figure:
    """Show a matrix as colours, with a colour scale. `names` label the columns."""
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    ax = figure.subplots()
    shown = ax.imshow(_array(matrix), aspect="auto", cmap="cividis", interpolation="nearest")
    ax.set(title=title, xlabel=xlabel, ylabel=ylabel)
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))  # there is no row 0.5
    if names:
        ax.set_xticks(
            range(len(names)), names, rotation=60, ha="right", fontsize=8, parse_math=False
        )
    figure.colorbar(shown)
    return figure


def curves(
    x: Numbers,
    lines: Mapping[str, Numbers],
    title: str,
    xlabel: str,
    ylabel: str,
    log: bool = False,
) -> Figure:
    """Draw named curves over one axis. `log` makes both axes logarithmic.

    A few values on the x axis are all named there, because ticks between them stand for nothing.
    """
    figure, ax = _chart(title, xlabel, ylabel)
    for name, y in lines.items():
        ax.plot(_array(x), _array(y), marker="o", markersize=3, label=name)
    if log:
        ax.set(xscale="log", yscale="log")
    if len(x) <= FEW:
        ax.set_xticks(_array(x), [f"{value:g}" for value in _array(x)])
        ax.xaxis.minorticks_off()
    ax.legend()
    return figure


def histogram(values: Numbers, title: str, xlabel: str) -> Figure:
    """Draw how often each value occurs, in 50 bins."""
    figure, ax = _chart(title, xlabel, "count")
    ax.hist(_array(values), bins=50)
    return figure


def paths(points: Shaped[Array, "times n 2"], data: Shaped[Array, "m 2"], title: str) -> Figure:
    """Draw points of a plane on their way from noise to data."""
    way, target = _array(points), _array(data)
    figure, ax = _chart(title, "first coordinate", "second coordinate")
    ax.plot(way[..., 0], way[..., 1], color=SKY, linestyle="-", linewidth=0.5)
    for where, colour, name in (
        (way[0], BLUE, "noise, t = 0"),
        (target, ORANGE, "data"),
        (way[-1], GREEN, "t = 1"),
    ):
        ax.scatter(where[:, 0], where[:, 1], s=8, color=colour, label=name, zorder=3)
    ax.set_aspect("equal")
    ax.legend(fontsize=8)
    return figure


def loss_curve(losses: Numbers, title: str, smooth: int = 100) -> Figure:
    """Draw the loss of each step, and its mean over the last `smooth` steps. Both axes are logarithmic."""
    figure, ax = _chart(title, "step", "loss")
    values, steps = _array(losses), np.arange(1, len(losses) + 1)
    ax.loglog(steps, values, color=SKY, linewidth=0.5, linestyle="-", label="each step")
    if len(values) > smooth:
        mean = np.convolve(values, np.ones(smooth) / smooth, mode="valid")
        ax.loglog(steps[smooth - 1 :], mean, color=BLUE, linestyle="-", label=f"mean of {smooth}")
    ax.legend()
    return figure


def _chart(title: str, xlabel: str, ylabel: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(7, 4), layout="constrained")
    ax = figure.subplots()
    ax.set_prop_cycle(CYCLE)
    ax.set(title=title, xlabel=xlabel, ylabel=ylabel)
    ax.grid(alpha=0.3, which="both")
    return figure, ax


def bars(rows: Mapping[str, Mapping[str, float | Tensor]], title: str, xlabel: str) -> Figure:
    """Draw a bar for each named row, made of its parts. Where a row has several parts, each has a colour and a name."""
    figure, ax = _chart(title, xlabel, "")
    for row, parts in rows.items():
        left, colours = (
            0.0,
            [BLUE, ORANGE, GREEN, PINK, SKY, "black"] if len(parts) > 1 else ["silver"],
        )
        for (name, part), colour in zip(parts.items(), cycle(colours), strict=False):
            length = float(_array(part))
            ax.barh(
                row,
                length,
                left=left,
                color=colour,
                label=name if len(parts) > 1 else None,
                zorder=2,
            )
            left += length
    ax.invert_yaxis()
    ax.grid(visible=False, axis="y")
    ax.legend(fontsize=8)
    return figure


def growth(record: Mapping[str, Sequence[Mapping[str, float | Tensor]]], title: str) -> Figure:
    """Draw a column for each quantity that grows: the seconds beside a formula's prediction, and the memory below."""
    figure = Figure(figsize=(3 * len(record), 5), layout="constrained")
    axes = figure.subplots(2, len(record), sharex="col", sharey="row", squeeze=False)
    for (upper, lower), (name, points) in zip(axes.T, record.items(), strict=True):
        keys = ("value", "formula", "seconds", "memory")
        x, formula, seconds, memory = (_array([point[key] for point in points]) for key in keys)
        upper.plot(x, formula, color=ORANGE, linestyle="--", label="formula")
        upper.plot(x, seconds, color=BLUE, marker="o", linestyle="", label="measured")
        lower.plot(x, memory / 1e9, color=BLUE, marker="o", linestyle="-")
        lower.set(xlabel=name)
    for ax in axes.flat:
        ax.set_ylim(bottom=0)  # once all that share the axis are drawn
        ax.grid(alpha=0.3)
    axes[0, 0].set_ylabel("seconds")
    axes[1, 0].set_ylabel("memory, GB")
    axes[0, 0].legend()
    figure.suptitle(title)
    return figure
