"""How much prose the core has: lines of docstrings and comments for each line of code.

python tests/tools/prose.py     prints a line for each of the eight files
"""

import ast
import io
import tokenize
from pathlib import Path

PACKAGE = Path(__file__).parent.parent.parent / "janus_minimal"
CORE = ("flow", "uvit", "prompt", "cache", "model", "sampling", "pipeline", "config")


def prose_and_code(source: str) -> tuple[int, int]:
    """Return the number of lines with prose and of lines with code. Empty lines count as neither."""
    prose = {line for first, last in docstrings(source) for line in range(first, last + 1)}
    comments = {
        t.start[0] for t in tokenize.generate_tokens(io.StringIO(source).readline) if t.type == tokenize.COMMENT
    }
    filled = {number for number, line in enumerate(source.splitlines(), 1) if line.strip()}
    whole = {n for n in comments if source.splitlines()[n - 1].lstrip().startswith("#")}
    return len((prose | comments) & filled), len(filled - prose - whole)


def docstrings(source: str) -> list[tuple[int, int]]:
    """Return the first and the last line of every docstring."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, kinds) and ast.get_docstring(node)]
    return [(node.body[0].lineno, node.body[0].end_lineno) for node in nodes]


def main() -> None:
    """Print the table."""
    counts = {name: prose_and_code((PACKAGE / f"{name}.py").read_text(encoding="utf-8")) for name in CORE}
    counts["all eight"] = tuple(map(sum, zip(*counts.values(), strict=True)))
    for name, (prose, code) in counts.items():
        print(f"{name:<10} {prose:4} lines of prose, {code:4} of code: {prose / code:.2f}")


if __name__ == "__main__":
    main()
