"""Figures: a sheet of pictures, the film strip of guesses, the loss curve. Drawn without a screen."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

TILE = 192  # pixels: smaller pictures are shown enlarged, each of their pixels a square
BORDER = 8


def sheet(pictures: Sequence[Image.Image], columns: int) -> Image.Image:
    """Pictures of one size side by side, row after row, on white."""
    tiles = [_enlarged(picture) for picture in pictures]
    side, columns = tiles[0].width + BORDER, min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    canvas = Image.new("RGB", (columns * side + BORDER, rows * side + BORDER), "white")
    for i, tile in enumerate(tiles):
        canvas.paste(tile, (BORDER + i % columns * side, BORDER + i // columns * side))
    return canvas


def _enlarged(picture: Image.Image) -> Image.Image:
    factor = max(1, TILE // picture.width)
    return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)


def film_strip(rows: Sequence[Sequence[Image.Image]], times: Sequence[float], title: str) -> Figure:
    """One row per image: the guess z + (1 - t) v, decoded, at the times that label the columns."""
    figure = Figure(figsize=(1.3 * len(times), 1.3 * len(rows) + 0.6), layout="constrained")
    axes = figure.subplots(len(rows), len(times), squeeze=False)
    for row, pictures in zip(axes, rows, strict=True):
        for ax, picture in zip(row, pictures, strict=True):
            ax.imshow(np.asarray(picture), interpolation="nearest")
            ax.set_axis_off()
    for ax, t in zip(axes[0], times, strict=True):
        ax.set_title(f"t = {t:.2f}", fontsize=9)
    figure.suptitle(title, fontsize=11)
    return figure


def loss_curve(losses: Sequence[float], title: str, smooth: int = 100) -> Figure:
    """The loss of each step, and its running mean, over the steps; both axes logarithmic."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    ax = figure.subplots()
    steps = np.arange(1, len(losses) + 1)
    ax.loglog(steps, losses, color="#9ecae1", linewidth=0.5, label="each step")
    if len(losses) > smooth:
        mean = np.convolve(losses, np.ones(smooth) / smooth, mode="valid")
        ax.loglog(steps[smooth - 1 :], mean, color="#08519c", label=f"mean of {smooth}")
    ax.set(title=title, xlabel="step", ylabel="loss")
    ax.grid(alpha=0.3, which="both")
    ax.legend()
    return figure
