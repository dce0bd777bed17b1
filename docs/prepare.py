"""Write the pages that are made from other files: python docs/prepare.py, before every build of the site.

    docs/notebooks/    a page for each executed notebook, its figures, and the notebook itself to download
    docs/api/          a page for each module of the package
    docs/lab/graphs/   the weights of the bundled checkpoint, beside the graphs that refer to them
    docs/laws.md, docs/museum.md, docs/mutants.md are written by tests/tools/pages.py and kept in the repository

Both folders and the weights are made anew each time and are not kept in the repository.
"""

import base64
import re
import shutil
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import nbformat

DOCS = Path(__file__).parent
ROOT = DOCS.parent
WIDGET = "application/vnd.jupyter.widget-view+json"
CORE = ("flow", "uvit", "prompt", "cache", "model", "sampling", "pipeline", "config", "solvers", "editing", "errors")


FOLD = re.compile(r"^( *)<details><summary>(.*)</summary>(.*)</details>$", re.MULTILINE)  # as Jupyter shows it


def main() -> None:
    """Make both folders anew, and bring the weights to the lab."""
    for name, write in (("notebooks", write_notebooks), ("api", write_api)):
        folder = DOCS / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        write(folder)
    for path in (ROOT / "janus_minimal" / "checkpoints" / "shapes").rglob("*.safetensors"):
        shutil.copy(path, DOCS / "lab" / "graphs")


def write_notebooks(folder: Path) -> None:
    """Write each notebook as a page, with its figures and a copy to download."""
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        text, figures = notebook_page(path)
        (folder / f"{path.stem}.md").write_text(text, encoding="utf-8")
        shutil.copy(path, folder)
        for name, png in figures.items():
            (folder / name).write_bytes(png)


def notebook_page(path: Path) -> tuple[str, dict[str, bytes]]:
    """Return the Markdown of one notebook, and its figures by file name."""
    head, *cells = nbformat.read(path, as_version=4).cells
    parts = ["---\nrender_macros: false\n---", _markdown(head.source)]
    parts.append(f"[Download this notebook]({path.name}){{ .md-button download }}")
    figures: dict[str, bytes] = {}
    sentence = ""
    for index, cell in enumerate(cells, 1):
        if cell.cell_type == "markdown":
            sentence = _last_sentence(cell.source) or sentence
            parts.append(_markdown(cell.source))
            continue
        parts.append(f"```python\n{cell.source}\n```")
        shown = joined(output for output in cell.outputs if not _is_bar(output))
        parts += [_output(output, f"{path.stem}-{index:02}.png", sentence, figures) for output in shown]
    return "\n\n".join(parts) + "\n", figures


def _is_bar(output: Any) -> bool:
    """Whether an output is a progress bar, which a page cannot move."""
    data = output.get("data", {})
    return WIDGET in data and "%|" in data.get("text/plain", "")


def joined(outputs: Iterable[Any]) -> Iterator[dict[str, Any]]:
    """Join texts that a cell printed one after the other: they are one text to the reader."""
    for printed, group in groupby(outputs, key=lambda output: output.output_type == "stream"):
        if printed:
            yield {"text": "".join(output.text for output in group)}
        else:
            yield from group


def _output(output: Any, name: str, sentence: str, figures: dict[str, bytes]) -> str:
    """Return what a cell gave: a figure, told by the sentence before it, or text."""
    data = output.get("data", {})
    if "image/png" in data:
        figures[name] = base64.b64decode(data["image/png"])
        shown = f"![{sentence}]({name})"
    elif WIDGET in data:  # it needs a kernel; a strip of the same steps stands beside it
        shown = "*In the notebook, a slider over all steps stands here.*"
    else:
        text = output.get("text") or data.get("text/plain", "")
        shown = f"```text\n{text.rstrip()}\n```"
    return f'<div class="output" markdown="1">\n\n{shown}\n\n</div>'


def _last_sentence(text: str) -> str:
    """Return the last sentence of the text, without its marks."""
    plain = re.sub(r"<[^>]+>|[*`\[\]]|\(https?[^)]*\)", "", text.strip().splitlines()[-1])
    return re.split(r"(?<=[.:?!])\s+(?=[A-Z])", plain.strip())[-1].strip("# ").replace("\\", "")


def _markdown(text: str) -> str:
    """Return a cell's text with links that lead to the site's own pages, and folds that hold Markdown."""
    text = re.sub(r"\.\./tests/exercises/test_(\d\d)\w+\.py", r"../exercises.md#exercise-\1", text)
    text = re.sub(r"\]\((\d\d_\w+)\.ipynb\)", r"](\1.md)", text)
    return FOLD.sub(r'\1??? question "\2"\n\n\1    \3', text)


def write_api(folder: Path) -> None:
    """Write a page for each module, and a list of them all."""
    names = [*CORE, *(name for name in modules() if name not in CORE)]
    for name in names:
        text = f"# {name}\n\nThe module `janus_minimal.{name}` of the [API](index.md).\n\n::: janus_minimal.{name}\n"
        (folder / f"{name}.md").write_text(text, encoding="utf-8")
    listed = "\n".join(f"- [`janus_minimal.{name}`]({name}.md): {summary(name)}" for name in names)
    head = "# API\n\nA page for each module. The first eight are the core, in reading order.\n\n"
    (folder / "index.md").write_text(f"{head}{listed}\n", encoding="utf-8")


def modules() -> list[str]:
    """Return every module that defines something, folders last."""
    package = ROOT / "janus_minimal"
    paths = (path.relative_to(package).with_suffix("") for path in package.rglob("*.py"))
    names = [".".join(path.parts) for path in paths if not path.name.startswith("__")]
    return sorted(names, key=lambda name: (name.count("."), name))


def summary(name: str) -> str:
    """Return the first sentence of a module's docstring."""
    text = (ROOT / "janus_minimal" / f"{name.replace('.', '/')}.py").read_text(encoding="utf-8")
    return text.removeprefix('"""').split('"""')[0].strip().splitlines()[0]


if __name__ == "__main__":
    main()
