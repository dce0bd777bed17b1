"""Write a figure so that its file looks the same on every machine.

A file `matplotlibrc` may change how matplotlib draws: its fonts and colours, or that LaTeX sets all
text. Where there is no LaTeX, a command would then end in a traceback after an hour of work. So a
figure that we write is drawn with matplotlib's own settings. (In a notebook, yours hold.)
"""

from collections.abc import Callable
from pathlib import Path

from matplotlib import style
from matplotlib.figure import Figure


def save_figure(path: Path, draw: Callable[[], Figure], dpi: int) -> None:
    """Draw a figure and write it as a PNG.

    `draw` is called here, because some settings act when a figure is made, and others when it is saved.
    """
    with style.context("default"):
        draw().savefig(path, dpi=dpi, format="png")
