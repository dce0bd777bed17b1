"""The page of the museum: each bug with its story, its difference in code, its picture and the laws that catch it."""

import ast
import difflib
import html
import json
import re
import textwrap
from dataclasses import dataclass, replace
from importlib import import_module
from itertools import groupby
from pathlib import Path

from museum.plant import Change, applied, lines_of
from tools import tour
from tools.laws_page import files, names, sentence

TESTS = Path(__file__).parent.parent
PACKAGE = TESTS.parent / "janus_minimal"
DOCS = TESTS.parent / "docs"
ROOMS = ("flow", "uvit", "prompt", "cache", "model", "sampling", "pipeline")  # in this order, then the others
SEEN = 0.5  # if pixels differ by less than this on average, of 255, pictures look the same


@dataclass(frozen=True)
class Exhibit:
    """A bug: its place on the page, its story, what it changes, and the laws that fail."""

    number: int
    name: str
    title: str
    story: str
    changes: list[Change]
    caught: list[str]

    @property
    def room(self) -> str:
        """The module in which it is planted."""
        return self.changes[0].module


def exhibits() -> list[Exhibit]:
    """Return all exhibits, in the order of the modules, numbered from 1."""
    record = json.loads((DOCS / "museum.json").read_text(encoding="utf-8"))
    found = [_exhibit(name, caught) for name, caught in record.items()]
    rooms = [*ROOMS, *(exhibit.room for exhibit in found)]
    found.sort(key=lambda exhibit: rooms.index(exhibit.room))
    return [replace(exhibit, number=number) for number, exhibit in enumerate(found, 1)]


def _exhibit(name: str, caught: list[str]) -> Exhibit:
    module = import_module(f"museum.exhibits.{name}")
    title, story = (module.__doc__ or "").split("\n\n", 1)
    return Exhibit(0, name, title.rstrip("."), " ".join(story.split()), module.CHANGES, caught)


INTRODUCTION = """\
---
render_macros: false
---

# Museum: what it looks like when it is wrong

Your own pictures are wrong and you look for the cause? [This table](symptoms.md) leads
from what you see to the test that tells the causes apart. The museum is ordered by module, and the bugs are numbered in
this order. [The tables at the end](#which-law-catches-which-bug) mark which law catches which of them.

Here are {number} bugs. They were made in public or are easy to make. `pytest --exhibit NAME` plants one in the
package; then the laws named here fail. Each pair of pictures starts from the same noise, with the caption *{caption}*:
the package as it is on the left, with the bug on the right. Below them stands how far the final latents are apart,
relative to the right ones, and how far the pixels are apart on average, of 255. `python tests/tools/gallery.py` draws
the pictures. How far apart they are depends on the noise as much as on the bug. So other pages, which draw from other
noises, show the same bug with other distances: [the page of the cache](cache.md#three-published-loops-and-some-ports)
shows its three with worse ones, and says how much they vary.

That laws notice each bug was measured: `cd tests && python -m tools.tour` plants every one and runs the laws of {rooms}
files: those of the core, the solvers, training, weights, the VAE and the small world. [What is shown, and how
strongly](evidence.md) says what else rests on what.
"""


def museum_page() -> str:
    """Return the page: all exhibits, then the tables of laws and exhibits."""
    found, pictures = exhibits(), json.loads((DOCS / "museum-pictures.json").read_text(encoding="utf-8"))
    lines = [INTRODUCTION.format(number=len(found), caption=pictures["caption"], rooms=len(tour.ROOMS))]
    for index, exhibit in enumerate(found):
        if not index or exhibit.room != found[index - 1].room:
            lines += [f"## In `{exhibit.room}`", ""]
        lines += _shown(exhibit, pictures["exhibits"][exhibit.name])
    return "\n".join([*lines, *_tables(found)])


def _shown(exhibit: Exhibit, apart: dict[str, float | None]) -> list[str]:
    """Return one exhibit: its story, both pictures, the difference in code, and the laws that catch it."""
    head = [
        f"### {exhibit.number}. {exhibit.title} {{ #{exhibit.name} }}",
        "",
        f"`{exhibit.name}`: {_linked(exhibit.story)}",
        "",
    ]
    code = ["```diff", *difference(exhibit), "```", ""]
    return [*head, *_pair(exhibit, apart), *code, f"Caught by {_few(exhibit.caught)}.", ""]


def _pair(exhibit: Exhibit, apart: dict[str, float | None]) -> list[str]:
    latents, pixels = apart["latents"], apart["pixels"]
    if latents is None or pixels is None:
        return ["With this bug nothing is drawn: the program stops with an error before the first step.", ""]
    if latents == pixels == 0:
        return ["This bug does not change these pictures: it spoils something else, as its story says.", ""]
    seen = "" if pixels > SEEN else " No difference can be seen, and yet the laws notice it."
    told = f"Left: as it should be. Right: with the bug. Latents {latents:.3g} apart, pixels {pixels:.3g} of 255.{seen}"
    both = [("as it should be", "right"), (f"with the bug: {exhibit.title}", exhibit.name)]
    images = "".join(
        f'<img src="pictures/museum/{file}.webp" alt="{html.escape(alt)}" loading="lazy">' for alt, file in both
    )
    return [f'<figure class="pair">{images}<figcaption>{told}</figcaption></figure>', ""]


def difference(exhibit: Exhibit) -> list[str]:
    """Return what the bug changes, function by function and line by line, without annotations and docstrings."""
    lines: list[str] = []
    for where in dict.fromkeys(change.where for change in exhibit.changes):
        module, path = where.split(":")
        source = (PACKAGE / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")
        bug = applied([change for change in exhibit.changes if change.where == where])(source)
        head, *right = _plain(source, path)
        lines += [f"  {head}", *(line for line in difflib.ndiff(right, _plain(bug, path)[1:]) if line[0] != "?")]
    return lines


def _plain(source: str, path: str) -> list[str]:
    """Return the lines of a function without its decorators, annotations and docstring."""
    first, last = lines_of(source, path)
    function = ast.parse(textwrap.dedent("\n".join(source.splitlines()[first:last]))).body[0]
    assert isinstance(function, ast.FunctionDef)
    function.decorator_list, function.returns = [], None
    for argument in [*function.args.args, *function.args.kwonlyargs]:
        argument.annotation = None
    if ast.get_docstring(function) and function.body[1:]:
        function.body = function.body[1:]
    return ast.unparse(function).splitlines()


def _few(caught: list[str]) -> str:
    """Return links to the first four laws of a list, and the number of the others."""
    told = "; ".join(f"[{sentence(law)}](laws.md#{law.split('::')[-1]})" for law in caught[:4])
    return told + (f"; and {len(caught) - 4} more" if len(caught) > 4 else "")


def _linked(text: str) -> str:
    """Turn web addresses into links and escape everything else."""
    escaped = html.escape(text, quote=False)
    return re.sub(r"https://[^\s,;)]*[^\s,;).:]", r"<a href='\g<0>'>\g<0></a>", escaped)


TABLES = """\
## Which law catches which bug

A table for each module: a row for each law that catches one of its bugs, and a column for each bug, under its number
and the name that `pytest --exhibit` takes. A dot says that the law fails if this bug is planted. A row with many dots
is a law that notices many mistakes. A column with a single dot is a bug that one law alone notices. A law that catches
bugs of several modules has a row in several tables.
"""


def _tables(found: list[Exhibit]) -> list[str]:
    """Return the tables: one for each module, as groups of exhibits stand one after the other."""
    rooms = [list(room) for _, room in groupby(found, key=lambda exhibit: exhibit.room)]
    laws = [law for path in files() for law in names(path)]
    return [TABLES, *(line for room in rooms for line in _table(room, laws))]


def _table(room: list[Exhibit], laws: list[str]) -> list[str]:
    """Return the table of one module: a row for each law that catches one of its bugs, and a column for each bug."""
    columns = " | ".join(f"[{exhibit.number} {exhibit.name}](#{exhibit.name})" for exhibit in room)
    head = [f"**In `{room[0].room}`**", "", '<div class="marks" markdown>', ""]
    head += [f"| law | {columns} |", f"| --- |{' --- |' * len(room)}"]
    caught = [law for law in laws if any(law in exhibit.caught for exhibit in room)]
    return [*head, *(_row(law, room) for law in caught), "", "</div>", ""]


def _row(law: str, room: list[Exhibit]) -> str:
    """Return the row of a law, with a mark under each exhibit that it catches."""
    marks = ["●" if law in exhibit.caught else "" for exhibit in room]
    return f"| [{sentence(law)}](laws.md#{law.split('::')[-1]}) | {' | '.join(marks)} |"
