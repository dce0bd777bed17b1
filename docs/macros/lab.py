"""{{ lab() }}: the controls and panels of the live lab, and the recorded film for browsers that cannot run it."""

import ast
import html
import json
import re
from pathlib import Path

from macros.scrubber import scrubber

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"
EXHIBITS = ROOT / "tests" / "museum" / "exhibits"


def lab() -> str:
    """What lab.html says, in one line, so that Markdown leaves it alone. docs/lab/lab.mjs gives it life."""
    text = (Path(__file__).parent / "lab.html").read_text(encoding="utf-8")
    size = sum(path.stat().st_size for path in loaded())
    filled = {
        "film": scrubber(),
        "exhibits": html.escape(json.dumps(exhibits())),
        "bytes": str(size),
        "megabytes": f"{size / 1e6:.0f}",
        "last_seed": str(json.loads((DOCS / "lab" / "graphs" / "lab.json").read_text(encoding="utf-8"))["seeds"] - 1),
    }
    for name, value in filled.items():
        text = text.replace(f"{{{name}}}", value)
    return re.sub(r"\n\s*", " ", text)


def loaded() -> list[Path]:
    """The files that the page's script loads, as docs/lab/download.mjs lists them."""
    source = (DOCS / "lab" / "download.mjs").read_text(encoding="utf-8")
    return [(DOCS / "lab" / path).resolve() for path in re.findall(r'^  \w+: "(.+)",$', source, re.MULTILINE)]


def exhibits() -> dict[str, dict[str, str]]:
    """The bugs that the lab can plant: each one's title, and a law that catches it."""
    planted = re.findall(r"^  (\w+): \{", (DOCS / "lab" / "bugs.mjs").read_text(encoding="utf-8"), re.MULTILINE)
    caught = json.loads((DOCS / "museum.json").read_text(encoding="utf-8"))
    return {name: {"title": title(name), "law": re.split(r"::|\[", caught[name][0])[1]} for name in planted}


def title(name: str) -> str:
    """The first line of an exhibit's docstring."""
    source = (EXHIBITS / f"{name}.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(source)) or "").splitlines()[0].rstrip(".")
