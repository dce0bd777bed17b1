"""The pages of the docs that are made from the tests: docs/laws.md and docs/museum.md.

python tests/pages.py        writes both
"""

import ast
import json
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).parent
DOCS = TESTS.parent / "docs"
ROOMS = ("flow", "uvit", "prompt", "cache", "model", "denoise", "pipeline", "checkpoint")
SHAPES = ("caption", "score", "training")


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
    return [TESTS / f"test_{room}.py" for room in ROOMS] + [TESTS / "shapes" / f"test_{room}.py" for room in SHAPES]


def laws_page() -> str:
    """All laws, room by room: sentence, equation, why."""
    number = sum(len(laws(path)) for path in files())
    lines = ["# Laws", "", f"What must be true of this system: {number} laws, each of them a test."]
    for path in files():
        lines += ["", f"## `{_named(path)}`", "", "| law | equation | why |", "| --- | --- | --- |"]
        lines += [f"| {law.sentence} | `{_cell(law.equation)}` | {_cell(law.why)} |" for law in laws(path)]
    return "\n".join([*lines, ""])


def museum_page() -> str:
    """Every exhibit with its story, its code and the laws that catch it; then the table exhibit x law."""
    record = json.loads((DOCS / "museum.json").read_text(encoding="utf-8"))
    lines = ["# Museum", "", f"{len(record)} bugs that were made in public, or are easy to make."]
    lines += ["`pytest --exhibit NAME` plants one, and then the laws that it says here must fail."]
    for index, (name, caught) in enumerate(record.items(), 1):
        title, story, code = _exhibit(TESTS / "museum" / "exhibits" / f"{name}.py")
        lines += ["", f"## {index}. {title}", "", f"`{name}`: {story}", "", "```python", code, "```", ""]
        lines += [f"Caught by {len(caught)} laws, among them: {'; '.join(_sentence(law) for law in caught[:3])}."]
    return "\n".join([*lines, "", *_table(record), ""])


def _table(record: dict[str, list[str]]) -> list[str]:
    """A row for each law that catches anything, a column for each exhibit by its number."""
    numbers = range(1, len(record) + 1)
    head = ["## Exhibit × law", "", f"| law | {' | '.join(map(str, numbers))} |", f"| --- |{' --- |' * len(record)}"]
    caught = [law for path in files() for law in _names(path) if any(law in laws for laws in record.values())]
    return head + [
        f"| {_sentence(law)} | {' | '.join('●' if law in laws else '' for laws in record.values())} |" for law in caught
    ]


def _names(path: Path) -> list[str]:
    return [f"{path.relative_to(TESTS.parent)}::{law.name}" for law in laws(path)]


def _sentence(law: str) -> str:
    return Law(law.split("::")[-1], "", "").sentence


def _exhibit(path: Path) -> tuple[str, str, str]:
    source = path.read_text(encoding="utf-8")
    title, story = (ast.get_docstring(ast.parse(source)) or "").split("\n\n", 1)
    return title.rstrip("."), " ".join(story.split()), source[source.index("@instead_of") :].rstrip()


def _named(path: Path) -> str:
    return str(path.relative_to(TESTS).with_suffix("")).replace("test_", "") + ".py"


def _cell(text: str) -> str:
    return text.replace("|", "‖")  # a bar would end the cell; ours are norms


PAGES = {"laws.md": laws_page, "museum.md": museum_page}


def main() -> None:
    """Write the pages."""
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
