"""Executed notebooks become pages: text, code, and outputs, each figure a file, told by the sentence before it."""

import base64
import re
from pathlib import Path
from typing import Any

import nbformat
from mkdocs.structure.files import File, Files

NOTEBOOKS = Path(__file__).parent.parent.parent / "notebooks"


def on_files(files: Files, config: Any) -> Files:
    """Add a page for each notebook, and its figures."""
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        text, figures = page(path)
        files.append(File.generated(config, f"notebooks/{path.stem}.md", content=text))
        for name, png in figures.items():
            files.append(File.generated(config, f"notebooks/{name}", content=png))
    return files


def page(path: Path) -> tuple[str, dict[str, bytes]]:
    """The Markdown of one notebook, and its figures by file name."""
    parts: list[str] = []
    figures: dict[str, bytes] = {}
    sentence = ""
    for index, cell in enumerate(nbformat.read(path, as_version=4).cells):
        if cell.cell_type == "markdown":
            sentence = re.split(r"(?<=[.:?!])\s", cell.source.splitlines()[-1])[0].strip("*")
            parts.append(_links(cell.source))
            continue
        parts.append(f"```python\n{cell.source}\n```")
        for output in cell.outputs:
            parts.append(_output(output, f"{path.stem}-{index:02}.png", sentence, figures))
    return "\n\n".join(parts), figures


def _output(output: Any, name: str, sentence: str, figures: dict[str, bytes]) -> str:
    data = output.get("data", {})
    if "image/png" in data:
        figures[name] = base64.b64decode(data["image/png"])
        return f"![{sentence}]({name})"
    text = output.get("text") or data.get("text/plain", "")
    return f"```text\n{text.rstrip()}\n```"


def _links(text: str) -> str:
    """Links to exercises lead to their sections."""
    return re.sub(r"\.\./tests/exercises/test_(\d\d)\w+\.py", r"../exercises.md#exercise-\1", text)
