"""How a bug is planted: a function of the package gets the code of the same function with some text changed.

An exhibit holds only its story and the text that it changes. So it differs from the right code by its bug alone, keeps
signature, annotations and docstring, and stops being planted, loudly, when the right code is rewritten.
"""

import ast
import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import resolve_name
from types import CodeType, FunctionType
from typing import Any


@dataclass(frozen=True)
class Change:
    """A change of one function, for example of "flow:guide" or "model:JanusFlow.backbone".

    `right` occurs exactly once in the function's source, and `wrong` stands in its place. Both may have several lines.
    """

    where: str
    right: str
    wrong: str

    @property
    def module(self) -> str:
        """The module of the package, for example "loading.weights"."""
        return self.where.split(":")[0]


Rewrite = Callable[[str], str]  # of a module's source


def changes_of(exhibit: str) -> list[Change]:
    """Return what an exhibit changes. Raises ModuleNotFoundError if there is no such exhibit."""
    return import_module(f"museum.exhibits.{exhibit}").CHANGES


def plant(changes: Sequence[Change]) -> None:
    """Give the functions that are changed their new code, for the rest of this process.

    A function object keeps its identity, its name and its annotations, whoever has imported it already.
    """
    for where in dict.fromkeys(change.where for change in changes):
        rewrite(where, applied([change for change in changes if change.where == where]))


@contextmanager
def planted(changes: Sequence[Change]) -> Iterator[dict[str, CodeType]]:
    """Plant the changes, and undo them at the end of the block. Gives the right code of each place."""
    right = {change.where: function_at(change.where).__code__ for change in changes}
    plant(changes)
    try:
        yield right
    finally:
        for where, code in right.items():
            function_at(where).__code__ = code


def applied(changes: Sequence[Change]) -> Rewrite:
    """Return what makes these changes in the source of a module."""

    def change_all(source: str) -> str:
        for change in changes:
            first, last = lines_of(source, change.where.split(":")[1])
            lines = source.splitlines(keepends=True)
            function = "".join(lines[first:last])
            if function.count(change.right) != 1:
                raise ValueError(f"{change.where} holds {function.count(change.right)} times, not once: {change.right}")
            lines[first:last] = function.replace(change.right, change.wrong)
            source = "".join(lines)
        return source

    return change_all


def rewrite(where: str, change: Rewrite) -> None:
    """Give one function of the package the code that it has in the changed source of its module."""
    function = function_at(where)
    path = Path(inspect.getfile(function))
    module = compile(change(path.read_text(encoding="utf-8")), str(path), "exec")
    function.__code__ = next(code for code in _codes(module) if code.co_qualname == function.__qualname__)


def function_at(where: str) -> FunctionType:
    """Return the function itself, without the descriptors and wrappers that decorators put around it."""
    module, path = where.split(":")
    *owners, name = path.split(".")
    root = "" if module.startswith("exercises.") else "janus_minimal."  # an exercise may be about a file of its own
    found: Any = vars(resolve_name(f"{root}{module}:{'.'.join(owners)}"))[name]
    found = getattr(found, "fget", getattr(found, "__func__", found))  # of a property, of a classmethod
    return inspect.unwrap(found)


def lines_of(source: str, path: str) -> tuple[int, int]:
    """Return the first line of a function, counted from 0, and the line after its last."""
    node: Any = ast.parse(source)
    for name in path.split("."):
        node = next(child for child in node.body if getattr(child, "name", None) == name)
    return node.lineno - 1, node.end_lineno


def _codes(code: CodeType) -> Iterator[CodeType]:
    """Yield a code object and all that are nested in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)
