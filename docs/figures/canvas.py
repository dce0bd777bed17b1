"""How the figures of the course are drawn: as SVG that follows light and dark mode, with computed captions.

A module of this folder defines functions with `@figure("name")` that return a `Drawing`, and ends with `main()`.
Running it writes out/name.svg and out/name.json; pages show them by the macro `figure("name")`.
"""

import io
import json
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # the backend is chosen first
from matplotlib.figure import Figure

OUT = Path(__file__).parent / "out"
DATA = Path(__file__).parent / "data"
BLUE, ORANGE, GREEN, PINK, SKY, RED = "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00"
INK = "#010203"  # stands for the page's own text colour, whatever it is

plt.rcParams.update(
    {
        "svg.fonttype": "none",  # text stays text: searchable, and in the reader's own font
        "svg.hashsalt": "janus_minimal",  # the same drawing gives the same file
        "font.size": 11,
        "font.family": "sans-serif",
        "figure.facecolor": "none",
        "axes.facecolor": "none",
        "savefig.facecolor": "none",
        "axes.spines.top": False,
        "axes.spines.right": False,
        **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK),
    }
)


@dataclass(frozen=True)
class Drawing:
    """A figure, what is seen in it for those who cannot see it, and a caption that can be read alone."""

    picture: Figure | str  # of matplotlib, or an SVG text
    alt: str
    caption: str


DRAWINGS: dict[str, Callable[[], Drawing]] = {}


def figure(name: str) -> Callable[[Callable[[], Drawing]], Callable[[], Drawing]]:
    """Register a drawing under this name."""

    def register(draw: Callable[[], Drawing]) -> Callable[[], Drawing]:
        DRAWINGS[name] = draw
        return draw

    return register


SIBLINGS = re.compile(r"(<g[^>]*)>((?:\s*<(?:use|path)\b[^>]*/>){3,}\s*</g>)")  # marks or arrows of one group
STYLE = re.compile(r' style="([^"]*)"')


def svg_of(picture: Figure | str) -> str:
    """Return the SVG text, without a fixed size and date, in the page's own colours."""
    if isinstance(picture, str):
        return finish(picture)
    buffer = io.StringIO()
    picture.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None})
    plt.close(picture)
    return finish(lighter(buffer.getvalue()))


def lighter(svg: str) -> str:
    """Leave out what nobody sees: metadata, a third digit after the point, a style that is repeated at every mark."""
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    return SIBLINGS.sub(_style_once, re.sub(r"(\d\.\d\d)\d+", r"\1", svg))


def _style_once(group: re.Match[str]) -> str:
    """Write a style that all marks of a group have at the group itself."""
    head, marks = group.groups()
    styles = STYLE.findall(marks)
    alike = len(set(styles)) == 1 and len(styles) == marks.count("/>")
    if not alike or STYLE.search(head) or re.search(r"(?<![\w-])opacity", styles[0]):
        return group[0]
    return f'{head} style="{styles[0]}">{STYLE.sub("", marks)}'


def finish(svg: str) -> str:
    """Make ink the current colour, leave out the XML head, and let the page decide the size."""
    svg = svg[svg.index("<svg") :]
    head, rest = svg.split(">", 1)
    head = re.sub(r' (width|height)="[^"]*"', "", head)
    return re.sub(rf"{INK}|#000000|\bblack\b", "currentColor", f"{head}>{rest}").strip() + "\n"


def measured(name: str, measure: Callable[[], Any]) -> Any:
    """Return the numbers of data/name.json. Measure them first if they are not there."""
    path = DATA / f"{name}.json"
    if not path.exists():
        DATA.mkdir(exist_ok=True)
        path.write_text(json.dumps(measure(), indent=1) + "\n", encoding="utf-8")
    return json.loads(path.read_text(encoding="utf-8"))


def main(measures: Mapping[str, Callable[[], Any]] | None = None) -> None:
    """Draw all figures of the module that is run, or those whose names are given; or measure, if that is asked for."""
    if measures and sys.argv[1:2] == ["measure"]:
        for name in sys.argv[2:]:
            measured(name, measures[name])
        return
    OUT.mkdir(exist_ok=True)
    for name in sys.argv[1:] or DRAWINGS:
        write(name, DRAWINGS[name]())


def write(name: str, drawing: Drawing) -> None:
    """Write the SVG, with identifiers of its own, as several may stand on one page; and what is said of it."""
    svg = re.sub(r'\b(id="|href="#|url\(#)', lambda m: f"{m[1]}{name}-", svg_of(drawing.picture))
    (OUT / f"{name}.svg").write_text(svg, encoding="utf-8")
    told = {"alt": " ".join(drawing.alt.split()), "caption": " ".join(drawing.caption.split())}
    (OUT / f"{name}.json").write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    print(f"{name}: {told['caption']}")
