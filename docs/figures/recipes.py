"""What the figures of part 3 share: the code of a page, numbers that are measured once, pictures as text."""

import base64
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

DOCS = Path(__file__).parent.parent
DATA = Path(__file__).parent / "data"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def run_page(name: str, changes: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Run the Python blocks of docs/NAME in order, and return all names that they define.

    So figures and laws use the code that the reader copies. `changes` replace parts of it, so that a law can train for
    2 steps where the page trains for 60; each must occur. Empty lines before a block keep the page's line numbers, and
    a traceback points into the page.
    """
    text, names = (DOCS / name).read_text(encoding="utf-8"), {"__name__": name}
    for old, new in (changes or {}).items():
        if old not in text:
            raise ValueError(f"{name} does not hold {old!r}")
        text = text.replace(old, new)
    for block in BLOCK.finditer(text):
        above = text[: block.start(1)].count("\n")
        exec(compile("\n" * above + block[1], DOCS / name, "exec"), names)
    return names


def measured(file: str, key: str, measure: Callable[[], Any], digits: int = 5) -> Any:
    """Return one entry of data/FILE.json. Measure and write it first if it is not there."""
    path = DATA / f"{file}.json"
    found = _read(path)
    if key not in found:
        DATA.mkdir(exist_ok=True)
        value = rounded(measure(), digits)
        found = _read(path) | {key: value}  # read again: another process may have written meanwhile
        path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return found[key]


def rounded(value: Any, digits: int = 5) -> Any:
    """Return the value as JSON takes it, its numbers rounded: more digits would be noise in a file that is read."""
    if isinstance(value, dict):
        return {str(key): rounded(entry, digits) for key, entry in value.items()}
    if isinstance(value, Tensor | np.ndarray):
        return rounded(value.tolist(), digits)
    if isinstance(value, list | tuple):
        return [rounded(entry, digits) for entry in value]
    return float(f"{value:.{digits}g}") if isinstance(value, float | np.floating) else value


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def to_text(picture: Image.Image) -> str:
    """Return a picture as text that JSON can hold."""
    buffer = io.BytesIO()
    picture.save(buffer, format="png")
    return base64.b64encode(buffer.getvalue()).decode()


def from_text(text: str) -> Image.Image:
    """Return the picture of such a text."""
    return Image.open(io.BytesIO(base64.b64decode(text)))


def sheet(
    columns: Sequence[str], rows: Sequence[tuple[str, Sequence[Image.Image | None]]], size: float = 1.05
) -> Figure:
    """Draw pictures in rows and columns, with a name for each; None leaves a place empty."""
    left = 0.095 * max(len(line) for name, _ in rows for line in name.split("\n")) + 0.1
    width, height = left + size * len(columns), 0.3 + size * len(rows)
    drawn = Figure(figsize=(width, height))
    for j, (name, pictures) in enumerate(rows):
        y = 1 - (0.3 + size * (j + 1)) / height
        drawn.text((left - 0.1) / width, y + size / 2 / height, name, ha="right", va="center", fontsize=10)
        for i, picture in enumerate(pictures):
            if picture is not None:
                ax = drawn.add_axes(((left + size * i) / width, y, 0.95 * size / width, 0.95 * size / height))
                ax.imshow(picture, interpolation="nearest")
                ax.set_axis_off()
    for i, name in enumerate(columns):
        drawn.text((left + size * (i + 0.475)) / width, 1 - 0.24 / height, name, ha="center", va="bottom", fontsize=10)
    return drawn
