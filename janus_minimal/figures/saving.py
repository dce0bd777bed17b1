"""A figure in a file, which looks the same on every machine.

A file `matplotlibrc` may change how matplotlib draws: its fonts and colours, or that LaTeX sets all
text. Where there is no LaTeX, a command would then end in a traceback after an hour of work. So a
figure that we write is drawn with matplotlib's own settings. (In a notebook, yours hold.)
"""

from collections.abc import Callable
from pathlib import Path

from matplotlib import rc_context, rcdefaults
from matplotlib.figure import Figure


def save_figure(path: Path, draw: Callable[[], Figure], dpi: int) -> None:
    """Draw a figure and write it as a PNG. Some settings act while drawing, others while writing."""
    with rc_context():
        rcdefaults()
        draw().savefig(path, dpi=dpi, format="png")
