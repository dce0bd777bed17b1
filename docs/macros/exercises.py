"""What pages pull from the exercises: links by name, and the page of them all."""

import ast
import re
import tomllib
from pathlib import Path
from typing import Any

from macros.excerpts import ROOT, exhibit, law_title

FOLDER = Path(__file__).parent.parent.parent / "tests" / "exercises"
CATALOGUE: dict[str, dict[str, Any]] = tomllib.loads((FOLDER / "catalogue.toml").read_text(encoding="utf-8"))
KINDS = {
    "catches": ("law to write", "Must fail with each of these bugs:"),
    "repair": ("bug to find", "Must fail on the broken file, and hold once it is repaired."),
    "pieces": ("piece to write", "Must keep these laws of the package:"),
}


def exercise(name: str) -> str:
    """A link to an exercise by its number and title, which stand in its own file; the exercise must exist."""
    return f"[{_title(name)}](exercises.md#exercise-{name[:2]})"


def exercise_table() -> str:
    """A row for each exercise: its kind, its chapter, and the minutes that it takes."""
    rows = [
        f"| {exercise(name)} | {_kind(entry)} | {_chapter(entry)} | {entry['minutes']} |"
        for name, entry in CATALOGUE.items()
    ]
    total = sum(entry["minutes"] for entry in CATALOGUE.values())
    head = ["| exercise | kind | chapter | minutes |", "| --- | --- | --- | ---: |"]
    return "\n".join([*head, *rows, f"| **sum** | | | **{total}** |"])


def exercises() -> str:
    """A section for each exercise: its text, what the grader asks of it, and folded hints."""
    return "\n\n".join(_section(name, entry) for name, entry in CATALOGUE.items())


def _section(name: str, entry: dict[str, Any]) -> str:
    title, _, body = _docstring(name).partition("\n\n")
    about = f"A {_kind(entry)}, about {entry['minutes']} minutes. Chapter: {_chapter(entry)}. "
    heading = f"## {title.rstrip('.')} {{ #exercise-{name[:2]} }}"
    hints = [f'??? tip "Hint {n}"\n\n    {hint}' for n, hint in enumerate(entry.get("hints", ()), 1)]
    return "\n\n".join([heading, f"{about}File: `tests/exercises/test_{name}.py`.", body, _asked(entry), *hints])


def _asked(entry: dict[str, Any]) -> str:
    """What the grader asks: bugs to catch, or laws to keep."""
    _, asked = next(told for key, told in KINDS.items() if key in entry)
    told = [exhibit(name) for name in entry.get("catches", ())] + [_law(law) for law in entry.get("laws", ())]
    return "\n".join([asked, "", *(f"* {line}" for line in told)])


def _law(law: str) -> str:
    return f"[{law_title(law)}](laws.md#{law.split('::')[1].split('[')[0]})"


def _chapter(entry: dict[str, Any]) -> str:
    """A link to the chapter, by the title that it has in the navigation."""
    nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    (title,) = re.findall(rf'^ +- "?(.*?)"?: {re.escape(entry["chapter"])}$', nav, re.MULTILINE)
    return f"[{title}]({entry['chapter']})"


def _kind(entry: dict[str, Any]) -> str:
    return next(kind for key, (kind, _) in KINDS.items() if key in entry)


def _title(name: str) -> str:
    return _docstring(name).splitlines()[0].rstrip(".")


def _docstring(name: str) -> str:
    return ast.get_docstring(ast.parse((FOLDER / f"test_{name}.py").read_text(encoding="utf-8"))) or ""
