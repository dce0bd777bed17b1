"""The files that commands write. Each appears complete, or not at all."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from janus_minimal.loading.atomic import atomic_write

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.Image import Image


def write_sheet(path: Path, pictures: "Sequence[Image]") -> None:
    """Write the pictures on one contact sheet, as a PNG."""
    from janus_minimal.figures.contact_sheet import contact_sheet

    with atomic_write(path) as unfinished:
        contact_sheet(pictures, columns=4).save(unfinished, format="png")


def write_figure(path: Path, draw: "Callable[[], Figure]") -> None:
    """Draw a plot and write it as a PNG."""
    from janus_minimal.figures.saving import save_figure

    with atomic_write(path) as unfinished:
        save_figure(unfinished, draw, dpi=150)


def write_json(path: Path, report: Mapping[str, Any]) -> None:
    """Write a report as indented JSON."""
    with atomic_write(path) as unfinished:
        unfinished.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
