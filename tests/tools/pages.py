"""The pages of the docs that are made from the tests: docs/laws.md, docs/museum.md and docs/mutants.md.

python tests/tools/pages.py        writes them
"""

import ast
import json
import re
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).parent.parent
LAWS = TESTS / "laws"
DOCS = TESTS.parent / "docs"
ROOMS = (
    *("flow", "uvit", "prompt", "cache", "model", "sampling", "solvers", "pipeline", "config", "package"),
    *("weights", "json_file", "pretrained", "vae", "hub", "atomic", "errors"),
    *("training", "album", "device", "compile", "figures", "bench"),
)
SHAPES = ("caption", "score", "run")
SURVIVORS: dict[str, str] = json.loads((TESTS / "tools" / "survivors.json").read_text(encoding="utf-8"))  # why each survives


@dataclass(frozen=True)
class Law:
    """A test: what it is called, the equation that it states, and why that holds."""

    name: str
    equation: str
    why: str

    @property
    def sentence(self) -> str:
        """The name, read as a sentence."""
        words = self.name.removeprefix("test_").replace("_", " ")
        return words[0].upper() + words[1:]


def laws(path: Path) -> list[Law]:
    """The laws of one file, in its order. Raises ValueError for a test whose docstring is not equation, blank, why."""
    tests = [node for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.FunctionDef)]
    return [_law(path, test) for test in tests if test.name.startswith("test_")]


def _law(path: Path, test: ast.FunctionDef) -> Law:
    equation, *why = (ast.get_docstring(test) or "").split("\n\n")
    if len(why) != 1:
        raise ValueError(f"{path.name}::{test.name}: right would be a docstring of an equation, a blank line, and why")
    return Law(test.name, " ".join(equation.split()), " ".join(why[0].split()))


def files() -> list[Path]:
    """Every file of laws, one for each room of the package."""
    return [LAWS / f"test_{room}.py" for room in ROOMS] + [LAWS / "shapes" / f"test_{room}.py" for room in SHAPES]


def laws_page() -> str:
    """All laws, room by room: sentence, equation, why."""
    number = sum(len(laws(path)) for path in files())
    lines = ["# Laws", "", f"What must be true of this system: {number} laws, each of them a test."]
    for path in files():
        lines += ["", f"## `{_named(path)}`", "", "| law | equation | why |", "| --- | --- | --- |"]
        lines += [f"| {_anchored(law)} | `{_cell(law.equation)}` | {_cell(law.why)} |" for law in laws(path)]
    return "\n".join([*lines, ""])


def museum_page() -> str:
    """Every exhibit with its story, its code and the laws that catch it, by rooms; then the table exhibit x law."""
    exhibits = _exhibits()
    lines = ["# Museum", "", f"{len(exhibits)} bugs that were made in public, or are easy to make."]
    lines += ["`pytest --exhibit NAME` plants one, and then the laws that it says here must fail."]
    for index, exhibit in enumerate(exhibits, 1):
        if index == 1 or exhibit.room != exhibits[index - 2].room:
            lines += ["", f"## `{exhibit.room}.py`"]
        lines += ["", f"### {index}. {exhibit.title}", "", f"`{exhibit.name}`: {_linked(exhibit.story)}", ""]
        lines += ["```python", exhibit.code, "```", "", f"Caught by {_few(exhibit.caught)}."]
    return "\n".join([*lines, "", *_table(exhibits), ""])


@dataclass(frozen=True)
class Exhibit:
    """A bug, where it is planted, and the laws that fail."""

    name: str
    room: str
    title: str
    story: str
    code: str
    caught: list[str]


def _exhibits() -> list[Exhibit]:
    """All exhibits, in the order of the rooms."""
    record = json.loads((DOCS / "museum.json").read_text(encoding="utf-8"))
    exhibits = [_exhibit(name, caught) for name, caught in record.items()]
    rooms = [*ROOMS, *(exhibit.room for exhibit in exhibits)]
    return sorted(exhibits, key=lambda exhibit: rooms.index(exhibit.room))


def _exhibit(name: str, caught: list[str]) -> Exhibit:
    source = (TESTS / "museum" / "exhibits" / f"{name}.py").read_text(encoding="utf-8")
    title, story = (ast.get_docstring(ast.parse(source)) or "").split("\n\n", 1)
    code = source[source.index("@instead_of") :].rstrip()
    return Exhibit(name, code.split('"')[1].split(":")[0], title.rstrip("."), " ".join(story.split()), code, caught)


def _few(caught: list[str]) -> str:
    """The first laws of a list, and how many more."""
    told = "; ".join(f"*{_sentence(law)}*" for law in caught[:4])
    return told + (f"; and {len(caught) - 4} more" if len(caught) > 4 else "")


def _table(exhibits: list[Exhibit]) -> list[str]:
    """A row for each law that catches anything, a column for each exhibit by its number."""
    numbers = " | ".join(str(index) for index in range(1, len(exhibits) + 1))
    head = [
        "## Exhibit × law",
        "",
        '<div class="marks" markdown>',
        "",
        f"| law | {numbers} |",
        f"| --- |{' --- |' * len(exhibits)}",
    ]
    caught = [law for path in files() for law in _names(path) if any(law in exhibit.caught for exhibit in exhibits)]
    return [*head, *(_row(law, exhibits) for law in caught), "", "</div>"]


def _row(law: str, exhibits: list[Exhibit]) -> str:
    """A law, and a mark under each exhibit that it catches."""
    marks = ["●" if law in exhibit.caught else "" for exhibit in exhibits]
    return f"| {_sentence(law)} | {' | '.join(marks)} |"


def mutants_page() -> str:
    """How many small changes of the package the laws notice, and why the others change nothing."""
    report = json.loads((DOCS / "mutants.json").read_text(encoding="utf-8"))
    total, noticed = (sum(module[key] for module in report.values()) for key in ("mutants", "noticed"))
    lines = ["# Mutants", "", f"Change the package a little wherever it can be changed: {total} times, one at a time."]
    lines += [f"The laws notice {noticed} of these mutants ({noticed / total:.1%}).", ""]
    lines += ["```bash", "pip install cosmic-ray && python tests/tools/mutants.py", "```", ""]
    lines += ["[Cosmic Ray](https://cosmic-ray.readthedocs.io) makes them: plus for minus, 1 for 0, no decorator."]
    lines += [
        "What only changes annotations is left out.",
        "",
        "| module | mutants | noticed |",
        "| --- | ---: | ---: |",
    ]
    lines += [f"| `{name}.py` | {found['mutants']} | {found['noticed']} |" for name, found in report.items()]
    lines += ["", "## Those that nothing notices", "", "Each was looked at: none of them computes anything else."]
    for name, found in report.items():
        for survivor in found["survivors"]:
            lines += ["", f'```diff title="janus_minimal/{name}.py"', _flush(survivor["change"]), "```", ""]
            lines += [SURVIVORS[changed(survivor["change"])]]
    return "\n".join([*lines, ""])


def changed(change: str) -> str:
    """The new line of a mutant."""
    return next(line[1:].strip() for line in change.splitlines() if line.startswith("+"))


def _flush(change: str) -> str:
    """The lines of a change without the indentation that they share."""
    lines = change.splitlines()
    shared = min(len(line[1:]) - len(line[1:].lstrip()) for line in lines)
    return "\n".join(line[0] + " " + line[1 + shared :] for line in lines)


def _names(path: Path) -> list[str]:
    return [f"{path.relative_to(TESTS.parent)}::{law.name}" for law in laws(path)]


def _sentence(law: str) -> str:
    return Law(law.split("::")[-1], "", "").sentence


def _linked(text: str) -> str:
    """Addresses as links."""
    return re.sub(r"https://[^\s,;)]*[^\s,;).:]", r"<\g<0>>", text)


def _named(path: Path) -> str:
    return str(path.relative_to(LAWS).with_suffix("")).replace("test_", "") + ".py"


def _anchored(law: Law) -> str:
    """The sentence, where other pages can link to it by the test's name."""
    return f'<a id="{law.name}"></a>{law.sentence}'


def _cell(text: str) -> str:
    return text.replace("|", "‖")  # a bar would end the cell; ours are norms


PAGES = {"laws.md": laws_page, "museum.md": museum_page, "mutants.md": mutants_page}


def main() -> None:
    """Write the pages."""
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
