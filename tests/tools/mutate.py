"""Mutants: copies of the package with one small change, and how to plant them.

Cosmic Ray makes them, because mutmut skips decorated functions, and the loop is one of them. Changes of annotations
alone do not count.
"""

import ast
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import unified_diff
from importlib.machinery import SourceFileLoader
from inspect import CO_NEWLOCALS
from random import Random
from types import CodeType
from typing import Any

from museum.plant import function_at
from tools.tour import TESTS

PACKAGE = TESTS.parent / "janus_minimal"


@dataclass(frozen=True)
class Mutant:
    """A module with one change."""

    module: str
    line: int
    operator: str
    source: str

    def diff(self) -> str:
        """Return the lines that differ from the original."""
        lines = unified_diff(source_of(self.module).splitlines(), self.source.splitlines(), n=0, lineterm="")
        return "\n".join(line for line in list(lines)[2:] if not line.startswith("@@"))


def source_of(module: str) -> str:
    """Return the source of a module as it is."""
    return (PACKAGE / f"{module}.py").read_text(encoding="utf-8")


def places(source: str) -> Iterable[tuple[str, int, int]]:
    """Yield every change that Cosmic Ray can make: the operator, the number of the place, and its line."""
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.plugins import get_operator, operator_names

    tree = get_ast(source)
    for name in operator_names():
        if get_operator(name).arguments():
            continue
        positions = (p for node in ast_nodes(tree) for p in get_operator(name)().mutation_positions(node))
        yield from ((name, number, start[0]) for number, (start, _) in enumerate(positions))


def mutants(module: str, sample: int | None = None, seed: int = 0) -> list[Mutant]:
    """Return every change of what a module computes, or as many as `sample`, drawn by seed and module."""
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    source, found = source_of(module), list[Mutant]()
    possible = list(places(source))
    Random(f"{module} {seed}").shuffle(possible)
    for name, number, line in possible:
        mutated = mutate_code(source, get_operator(name)(), number)
        if mutated is not None and meaning(mutated) not in (meaning(source), None):
            found.append(Mutant(module, line, name.removeprefix("core/"), mutated))
        if len(found) == sample:
            break
    return sorted(found, key=lambda mutant: mutant.line)


def meaning(source: str) -> str | None:
    """Return the syntax tree without annotations and docstrings, to compare two sources, or None if there is none."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
            node.body = node.body[1:]
        if isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.FunctionDef):
            node.returns = None
        elif isinstance(node, ast.AnnAssign):
            node.annotation = ast.Constant(None)
    return ast.dump(tree)


def plant(mutant: Mutant) -> None:
    """Change the package in this process. It cannot be used for anything else afterwards.

    A law may import a module anew, say with another library in place of Gradio, and must find the mutant again.
    """
    if found := function_of(mutant):
        where, code = found
        function_at(where).__code__ = code
    import_instead(mutant)


def import_instead(mutant: Mutant) -> None:
    """Make Python import the mutant in place of the module."""
    path, read = str(PACKAGE / f"{mutant.module}.py"), SourceFileLoader.get_data
    sys.dont_write_bytecode = True

    def get_data(self: Any, asked: str) -> bytes:
        if asked == path:
            return mutant.source.encode()
        if asked.rpartition("/")[2].startswith(f"{mutant.module.rpartition('/')[2]}."):
            raise OSError("compiled before the mutant")
        return read(self, asked)

    SourceFileLoader.get_data = get_data  # type: ignore[method-assign]


def function_of(mutant: Mutant) -> tuple[str, CodeType] | None:
    """Return the one function that the mutant changes, as `function_at` knows it, and its new code.

    Return None if something else is changed: a decorator, a default, a class, a constant of the module.
    """
    before, after = (compile(source, "", "exec") for source in (source_of(mutant.module), mutant.source))
    path: list[str] = []
    while changed := [pair for pair in zip(parts(before), parts(after), strict=False) if pair[0] != pair[1]]:
        if len(changed) > 1 or shell(before) != shell(after):
            return None
        (before, after) = changed[0]
        path.append(after.co_name)
        if not after.co_flags & CO_NEWLOCALS or "<" in after.co_name:
            continue
        return (f"{mutant.module.replace('/', '.')}:{'.'.join(path)}", after) if "<" not in "".join(path) else None
    return None


def parts(code: CodeType) -> Sequence[CodeType]:
    """Return the code objects directly inside of another: functions, classes, comprehensions."""
    return [constant for constant in code.co_consts if isinstance(constant, CodeType)]


def shell(code: CodeType) -> tuple[object, ...]:
    """Return what a code object does itself, without what is inside of it."""
    return code.co_code, code.co_names, [c for c in code.co_consts if not isinstance(c, CodeType)]
