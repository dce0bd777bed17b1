"""Figures, each drawn in one call and without a screen: pictures, latents, matrices, curves, paths.

Colours are Okabe and Ito's, which people of every colour vision tell apart; pictures that are compared share one scale.
"""

from collections.abc import Mapping, Sequence
from itertools import chain
from textwrap import fill

import numpy as np
from cycler import cycler
from einops import rearrange
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

BLUE, ORANGE, GREEN, PINK, SKY = "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9"
CYCLE = cycler(color=[BLUE, ORANGE, GREEN, PINK, SKY]) + cycler(linestyle=["-", "--", "-.", ":", "-"])
LABEL = 16  # characters of a label before the line breaks


def picture_grid(
    columns: Sequence[str], names: Sequence[str], rows: Sequence[Sequence[Image.Image]], title: str
) -> Figure:
    """Pictures in named rows under named columns."""
    figure = Figure(figsize=(1.3 * len(columns), 1.3 * len(rows) + 0.6), layout="constrained")
    axes = figure.subplots(len(rows), len(columns), squeeze=False)
    for ax, picture in zip(axes.flat, chain(*rows), strict=True):
        ax.imshow(np.asarray(picture), interpolation="nearest")
    return _labelled(figure, axes, columns, names, title)


def film_strip(times: Sequence[float], rows: Sequence[Sequence[Image.Image]], title: str) -> Figure:
    """One row per image: the guess z + (1 - t) v, decoded, at the times that label the columns."""
    return picture_grid([f"t = {t:.2f}" for t in times], [""] * len(rows), rows, title)


def latent_grid(
    columns: Sequence[str], names: Sequence[str], rows: Sequence[Sequence[Float[Tensor, "4 H W"]]], title: str
) -> Figure:
    """Latents in named rows under named columns: the four channels of each as a square of squares, on one scale."""
    figure = Figure(figsize=(1.15 * len(columns) + 1, 1.15 * len(rows) + 0.6), layout="constrained")
    axes = figure.subplots(len(rows), len(columns), squeeze=False)
    squares = [rearrange(z, "(a b) h w -> (a h) (b w)", a=2).numpy() for z in chain(*rows)]
    limit = max(abs(square).max() for square in squares)
    for ax, square in zip(axes.flat, squares, strict=True):
        shown = ax.imshow(square, cmap="PuOr", vmin=-limit, vmax=limit, interpolation="nearest")
    figure.colorbar(shown, ax=axes, shrink=0.8)
    return _labelled(figure, axes, columns, names, title)


def _labelled(figure: Figure, axes: np.ndarray, columns: Sequence[str], names: Sequence[str], title: str) -> Figure:
    for ax in axes.flat:
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
    for ax, name in zip(axes[0], columns, strict=True):
        ax.set_title(fill(name, LABEL), fontsize=9)
    for ax, name in zip(axes[:, 0], names, strict=True):
        ax.set_ylabel(fill(name, LABEL), fontsize=9)
    figure.suptitle(title, fontsize=11)
    return figure


def heatmap(
    matrix: Float[Tensor, "rows columns"], title: str, xlabel: str, ylabel: str, names: Sequence[str] = ()
) -> Figure:
    """A matrix as colours, with its scale; `names` label the columns."""
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    ax = figure.subplots()
    shown = ax.imshow(matrix.numpy(), aspect="auto", cmap="cividis", interpolation="nearest")
    ax.set(title=title, xlabel=xlabel, ylabel=ylabel)
    if names:
        ax.set_xticks(range(len(names)), names, rotation=60, ha="right", fontsize=8)
    figure.colorbar(shown)
    return figure


def curves(
    x: Sequence[float], lines: Mapping[str, Sequence[float]], title: str, xlabel: str, ylabel: str, log: bool = False
) -> Figure:
    """Named curves over one axis; `log` makes both axes logarithmic."""
    figure, ax = _chart(title, xlabel, ylabel)
    for name, y in lines.items():
        ax.plot(x, y, marker="o", markersize=3, label=name)
    if log:
        ax.set(xscale="log", yscale="log")
    ax.legend()
    return figure


def histogram(values: Float[Tensor, "n"], title: str, xlabel: str) -> Figure:
    """How often which value occurs."""
    figure, ax = _chart(title, xlabel, "how many")
    ax.hist(values.numpy(), bins=50)
    return figure


def paths(points: Float[Tensor, "times n 2"], data: Float[Tensor, "m 2"], title: str) -> Figure:
    """Points of a plane on their way from noise to data."""
    figure, ax = _chart(title, "first coordinate", "second coordinate")
    ax.plot(points[..., 0].numpy(), points[..., 1].numpy(), color=SKY, linestyle="-", linewidth=0.5)
    for where, colour, name in (
        (points[0], BLUE, "noise, t = 0"),
        (data, ORANGE, "data"),
        (points[-1], GREEN, "t = 1"),
    ):
        ax.scatter(where[:, 0].numpy(), where[:, 1].numpy(), s=8, color=colour, label=name, zorder=3)
    ax.set_aspect("equal")
    ax.legend(fontsize=8)
    return figure


def loss_curve(losses: Sequence[float], title: str, smooth: int = 100) -> Figure:
    """The loss of each step, and its running mean, over the steps; both axes logarithmic."""
    figure, ax = _chart(title, "step", "loss")
    steps = np.arange(1, len(losses) + 1)
    ax.loglog(steps, losses, color=SKY, linewidth=0.5, linestyle="-", label="each step")
    if len(losses) > smooth:
        mean = np.convolve(losses, np.ones(smooth) / smooth, mode="valid")
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


def bars(rows: Mapping[str, Mapping[str, float]], title: str, xlabel: str) -> Figure:
    """A bar for each named row, made of its parts; where there are several, each has a colour and a name."""
    figure, ax = _chart(title, xlabel, "")
    for row, parts in rows.items():
        left, colours = 0.0, [BLUE, ORANGE, GREEN, PINK, SKY, "black"] if len(parts) > 1 else ["silver"]
        for (name, length), colour in zip(parts.items(), colours, strict=False):
            ax.barh(row, length, left=left, color=colour, label=name if len(parts) > 1 else None, zorder=2)
            left += length
    ax.invert_yaxis()
    ax.grid(visible=False, axis="y")
    ax.legend(fontsize=8)
    return figure


def growth(record: Mapping[str, Sequence[Mapping[str, float]]], title: str) -> Figure:
    """A column for each axis: seconds, beside what a formula expects, and memory below."""
    figure = Figure(figsize=(3 * len(record), 5), layout="constrained")
    axes = figure.subplots(2, len(record), sharex="col", sharey="row", squeeze=False)
    for (upper, lower), (name, points) in zip(axes.T, record.items(), strict=True):
        x = [point["value"] for point in points]
        upper.plot(x, [point["formula"] for point in points], color=ORANGE, linestyle="--", label="formula")
        upper.plot(x, [point["seconds"] for point in points], color=BLUE, marker="o", linestyle="", label="measured")
        lower.plot(x, [point["memory"] / 1e9 for point in points], color=BLUE, marker="o", linestyle="-")
        lower.set(xlabel=name)
    for ax in axes.flat:
        ax.set_ylim(bottom=0)  # once all that share the axis are drawn
        ax.grid(alpha=0.3)
    axes[0, 0].set_ylabel("seconds")
    axes[1, 0].set_ylabel("memory, GB")
    axes[0, 0].legend()
    figure.suptitle(title)
    return figure
