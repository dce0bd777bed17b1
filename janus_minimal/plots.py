"""Figures: the film strip of guesses, the loss curve. Drawn without a screen."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from PIL import Image


def film_strip(times: Sequence[float], rows: Sequence[Sequence[Image.Image]], title: str) -> Figure:
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
