"""What pages pull from the project when they are built, so that nothing is typed twice.

{{ code flow guide }}                         the source of janus_minimal/flow.py's guide
{{ law test_flow test_guidance_is_affine }}   a link to the law that holds the equation above
{{ number evaluation.json overall }}          a number from a file that a command wrote
{{ gigabytes released.json one_file float32 peak }}   the same of bytes, in GB
{{ value .2f (20 + 577) / 577 }}              what an expression of Python's and torch's comes to
{{ table evaluation.json }}                   its categories as a table
{{ speeds }}                                  what the benches in docs/bench found, a row for each
{{ spared small-20.json }}                    what the parts that a step is spared, or could be, would cost
{{ throughput }}                              pictures in a second, by the number of processes
{{ readme }}                                  the README, from its first heading on
{{ exercises }}                               the exercises, from their own files
"""

import ast
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).parent.parent.parent


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace every request by what it asks for; an unknown one is an error."""
    return re.sub(r"\{\{ (\w+)(.*?) \}\}", lambda m: COMMANDS[m[1]](*m[2].split()), markdown)


def code(module: str, name: str) -> str:
    """The source of one function, class or method ("Step.denoised"), as it stands."""
    path = ROOT / "janus_minimal" / f"{module.replace('.', '/')}.py"
    source = path.read_text(encoding="utf-8")
    node: Any = ast.parse(source)
    for part in name.split("."):
        node = next(child for child in node.body if part in _names(child))
    first = min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", []))])
    lines = source.splitlines()[first - 1 : node.end_lineno]
    indent = len(lines[0]) - len(lines[0].lstrip())
    text = "\n".join(line[indent:] for line in lines)
    return f'```python title="janus_minimal/{path.relative_to(ROOT / "janus_minimal")}"\n{text}\n```'


def _names(node: ast.AST) -> list[str]:
    """What a statement defines: a function, a class, or constants."""
    if isinstance(node, ast.Assign):
        return [name.id for target in node.targets for name in ast.walk(target) if isinstance(name, ast.Name)]
    return [getattr(node, "name", "")]


def stage(index: str) -> str:
    """The line of the loop that carries this number, without its comment."""
    source = (ROOT / "janus_minimal" / "denoise.py").read_text(encoding="utf-8")
    (line,) = re.findall(rf"^ +(.+?)  # {index} \w+", source, re.MULTILINE)
    return f"```python\n{line}\n```"


def law(file: str, name: str) -> str:
    """A line that links to the law; the law must exist."""
    folder = ROOT / "tests" / "shapes" if (ROOT / "tests" / "shapes" / f"{file}.py").exists() else ROOT / "tests"
    if f"def {name}(" not in (folder / f"{file}.py").read_text(encoding="utf-8"):
        raise KeyError(f"no law {name} in {file}.py")
    sentence = name.removeprefix("test_").replace("_", " ")
    return f"Held by: [{sentence}](laws.md#{name})\n{{ .held }}"


def number(file: str, *keys: str) -> str:
    """A number from docs/, rounded to three digits."""
    found = _find(file, keys)
    return f"{found:.3g}" if isinstance(found, float) else f"{found:,}"


def gigabytes(file: str, *keys: str) -> str:
    """A number of bytes from docs/, in GB."""
    return f"{_find(file, keys) / 1e9:.2f}"


def _find(file: str, keys: tuple[str, ...]) -> Any:
    found = json.loads((ROOT / "docs" / file).read_text(encoding="utf-8"))
    for key in keys:
        found = found[key.replace("_", " ")]
    return found


def value(form: str, *expression: str) -> str:
    """What an expression comes to."""
    return format(eval(" ".join(expression), {"torch": torch}), form)


def table(file: str) -> str:
    """The categories of an evaluation, and the overall score."""
    report = json.loads((ROOT / "docs" / file).read_text(encoding="utf-8"))
    rows = [f"| {name} | {entry['score']:.3f} |" for name, entry in report["categories"].items()]
    rows.append(f"| **overall** | **{report['overall']:.3f}** |")
    return "\n".join(["| category | score |", "| --- | ---: |", *rows])


def speeds() -> str:
    """A row for each bench."""
    head = "size | images | L | official style | ours | faster | with the prompt / without | ideal | step / floor"
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
            "prompt and new keys in one place",
            ms["joining the prompt's keys and the new ones"],
            "a copy of the new ones",
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


def readme() -> str:
    """The README: pictures and links lead to the site's own."""
    text = (ROOT / "README.md").read_text(encoding="utf-8").replace("](docs/", "](")
    text = re.sub(r"\]\(janus_minimal/(\w+)\.py\)", r"](api.md#janus_minimal.\1)", text)
    text = text.replace("](notebooks)", "](notebooks/00_from_caption_to_picture.md)").replace(
        "](tests/README.md)", "](laws.md)"
    )
    return re.sub(r"\[([\w.]+)\]\((LICENSE|CONTRIBUTING\.md|CITATION\.cff)\)", r"`\2`", text)


def exercises() -> str:
    """A section for each exercise: its law, its hint, what it must catch, and where it is."""
    return "\n\n".join(_exercise(path) for path in sorted((ROOT / "tests" / "exercises").glob("test_*.py")))


def _exercise(path: Path) -> str:
    title, _, body = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n\n")
    fields = dict(line.split(maxsplit=1) for line in body.splitlines())
    catches = ", ".join(f"`{name}`" for name in fields["Catches"].split(", "))
    anchor = path.stem.removeprefix("test_")[:2]
    heading = f"## {title.rstrip('.')} {{ #exercise-{anchor} }}"
    where = f"Must catch {catches}. In `tests/exercises/{path.name}`."
    return "\n\n".join([heading, fields["Law"], f"*Hint.* {fields['Hint']}", where])


COMMANDS: dict[str, Callable[..., str]] = {
    "code": code,
    "stage": stage,
    "law": law,
    "number": number,
    "gigabytes": gigabytes,
    "value": value,
    "table": table,
    "speeds": speeds,
    "spared": spared,
    "throughput": throughput,
    "readme": readme,
    "exercises": exercises,
}
