"""What pages pull from the project when they are built, so that nothing is typed twice.

{{ code("flow", "guide") }}                     the source of janus_minimal/flow.py's guide, its docstring left out
{{ stage(1) }}                                  the line of the loop with this number
{{ snippet("tests/x.py", "# begin", "# end") }} the lines of a file between two lines that hold these words
{{ law("test_flow", "test_guidance_is_...") }}  a link to the law that holds what stands above, with its equation
{{ exhibit("guidance_sign") }}                  a link to a bug of the museum ("Exhibit: ..." if alone at a line's end)
{{ term("NFE") }}                               a link to the glossary
{{ figure("two_points") }}                      a drawing of docs/figures with its caption
{{ number("evaluation.json", "overall") }}      a number from a file that a command wrote
{{ gigabytes("released.json", "peak") }}        the same of bytes, in GB
{{ value("(20 + 577) / 577", ".2f") }}          what an expression of Python's and torch's comes to
{{ value("2 * read('sizes.json', 'released', 'lengths', 'image tokens')", ",") }}     the same with numbers from docs/
{{ speeds() }}, {{ spared("small-20.json") }}, {{ throughput() }}     what the benches found
{{ exercise("03_first_order") }}                a link to an exercise, by its title (exercises.py)
{{ exercises() }}, {{ exercise_table() }}       all exercises, from their own files
"""

import ast
import html
import json
import re
import runpy
import textwrap
from functools import cache
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).parent.parent.parent
LAWS = ROOT / "tests" / "laws"


def code(module: str, name: str) -> str:
    """The source of one function, class or method ("Step.denoised"), without docstrings."""
    path = ROOT / "janus_minimal" / f"{module.replace('.', '/')}.py"
    source = path.read_text(encoding="utf-8")
    node: Any = ast.parse(source)
    for part in name.split("."):
        node = next(child for child in node.body if part in _names(child))
    first = min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", []))])
    told = _docstring_lines(node)
    lines = [line for n, line in enumerate(source.splitlines(), 1) if first <= n <= node.end_lineno and n not in told]
    text = textwrap.dedent("\n".join(lines)).replace(":\n\n", ":\n")
    return f'```python title="janus_minimal/{path.relative_to(ROOT / "janus_minimal")}"\n{text}\n```'


def _docstring_lines(node: ast.AST) -> set[int]:
    """The lines of every docstring inside, where something else is left of the body."""
    kinds = (ast.FunctionDef, ast.ClassDef)
    inner = [child for child in ast.walk(node) if isinstance(child, kinds) and ast.get_docstring(child)]
    return {n for child in inner if child.body[1:] for n in range(child.body[0].lineno, child.body[0].end_lineno + 1)}


def _names(node: ast.AST) -> list[str]:
    """What a statement defines: a function, a class, or constants."""
    if isinstance(node, ast.Assign):
        return [name.id for target in node.targets for name in ast.walk(target) if isinstance(name, ast.Name)]
    return [getattr(node, "name", "")]


def snippet(file: str, start: str, end: str, language: str = "python") -> str:
    """The lines of a file between the first line that holds `start` and the next one that holds `end`."""
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    first = next(i for i, line in enumerate(lines) if start in line)
    last = next(i for i, line in enumerate(lines) if end in line and i > first)
    text = textwrap.dedent("\n".join(lines[first + 1 : last])).strip("\n")
    return f'```{language} title="{file}"\n{text}\n```'


def stage(index: int) -> str:
    """The line of the loop that carries this number, without its comment."""
    source = (ROOT / "janus_minimal" / "sampling.py").read_text(encoding="utf-8")
    (line,) = re.findall(rf"^ +(.+?)  # {index} \w+", source, re.MULTILINE)
    return f"```python\n{line}\n```"


def law(file: str, name: str) -> str:
    """A line that links to the law, and its equation; the law must exist."""
    found = next((entry for path in LAWS.rglob(f"{file}.py") for entry in _laws(path) if entry.name == name), None)
    if found is None:
        raise KeyError(f"no law {name} in {file}.py")
    return f"Held by: [{found.sentence}](laws.md#{name}): ` {found.statement} `\n{{ .held }}"


@cache
def _laws(path: Path) -> list[Any]:
    """The laws of a file, as the page of the laws tells them."""
    return _laws_page()["laws"](path)


def law_title(law: str) -> str:
    """The title of a law that is named as pytest names it."""
    return _laws_page()["sentence"](law)


@cache
def _laws_page() -> dict[str, Any]:
    """What tests/tools/laws_page.py defines; `tests` is no folder that this package can import from."""
    return runpy.run_path(str(ROOT / "tests" / "tools" / "laws_page.py"))


def exhibit(name: str) -> str:
    """A link to a bug of the museum, by its title; the exhibit must exist."""
    source = (ROOT / "tests" / "museum" / "exhibits" / f"{name}.py").read_text(encoding="utf-8")
    title = (ast.get_docstring(ast.parse(source)) or "").splitlines()[0].rstrip(".")
    return f"[{title}](museum.md#{name})"


def term(word: str) -> str:
    """A link to the glossary."""
    return f"[{word}](glossary.md#{slug(word)})"


def slug(word: str) -> str:
    """The anchor of a glossary term."""
    return re.sub(r"[^a-z0-9]+", "-", word.lower()).strip("-")


def figure(name: str) -> str:
    """A drawing of docs/figures, inline, so that it takes the page's colours. Its frame scrolls where it is narrow."""
    folder = ROOT / "docs" / "figures" / "out"
    told = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    svg = (folder / f"{name}.svg").read_text(encoding="utf-8").strip()
    wide = svg.split('viewBox="')[1].split()[2]
    told_by = f'role="img" aria-label="{html.escape(told["alt"])}" style="--wide: {wide}px"'
    svg = svg.replace("<svg", f"<svg {told_by}", 1).replace("\n", " ")
    caption = f"<figcaption>{html.escape(told['caption'])}</figcaption>"
    return f'<figure class="drawing" markdown="0"><div>{svg}</div>{caption}</figure>'


def number(file: str, *keys: str, digits: int = 3) -> str:
    """A number from docs/, rounded to so many digits; those before the point are written in any case."""
    found = read(file, *keys)
    if isinstance(found, float) and abs(found) < 10**digits:
        return f"{found:.{digits}g}"
    return f"{found:,.0f}"


def gigabytes(file: str, *keys: str) -> str:
    """A number of bytes from docs/, in GB."""
    return f"{read(file, *keys) / 1e9:.2f}"


def read(file: str, *keys: str) -> Any:
    """What a file of docs/ holds under these keys."""
    found = json.loads((ROOT / "docs" / file).read_text(encoding="utf-8"))
    for key in keys:
        found = found[key]
    return found


def value(expression: str, form: str) -> str:
    """What an expression comes to; read(file, key, ...) in it is a number from docs/."""
    return format(eval(expression, {"torch": torch, "read": read}), form)


def speeds() -> str:
    """A row for each bench."""
    head = "size | images | L | official style | ours | faster | with the prompt / without | ideal | step / least"
    reports = [json.loads(path.read_text(encoding="utf-8")) for path in (ROOT / "docs" / "bench").glob("*.json")]
    reports.sort(key=lambda report: (report["parameters"], report["prompt_tokens"]))
    return "\n".join([f"| {head} |", "| --- |" + " ---: |" * 8, *map(_speed, reports)])


def _speed(report: dict[str, Any]) -> str:
    official, ours = (f"{report['loops'][name]['median']:,.0f} ms" for name in ("official style", "ours"))
    ratios = " | ".join(f"{report[name]:.2f}" for name in ("ratio", "ideal", "over the floor"))
    sizes = f"{report['size']} | {report['images']} | {report['prompt_tokens']}"
    return f"| {sizes} | {official} | {ours} | {report['faster']:.2f} | {ratios} |"


def spared(file: str) -> str:
    """A row for each thing that is not done, or could be done otherwise."""
    stages = json.loads((ROOT / "docs" / "bench" / file).read_text(encoding="utf-8"))["stages"]
    ms = {name: f"{spread['median']:,.2f} ms" for name, spread in stages.items()}
    rows = [
        ("encode each image once, not once for each row", ms["encode every row"], ms["encode"]),
        ("the prompt's keys and values, once", ms["language model with the prompt"], ms["language model"]),
        ("the mask, once", ms["language model"], ms["language model, mask made before"]),
        ("rows without words see one token", ms["language model"], ms["language model, rows without words apart"]),
        (
            "prompt and new keys in one buffer, not joined",
            ms["joining the prompt's keys and the new ones"],
            "not tried",
        ),
    ]
    return "\n".join(
        ["| what | before | after |", "| --- | ---: | ---: |", *(f"| {' | '.join(row)} |" for row in rows)]
    )


def throughput() -> str:
    """A row for each number of processes."""
    record = json.loads((ROOT / "docs" / "throughput.json").read_text(encoding="utf-8"))
    rows = [f"| {row['processes']} | {row['threads']} | {row['rate']:.2f} | {row['ratio']:.2f} |" for row in record]
    return "\n".join(["| processes | threads each | pictures in a second | ratio |", "|" + " ---: |" * 4, *rows])
