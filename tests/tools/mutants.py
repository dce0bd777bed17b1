"""Mutation testing: make every small change of the package, one at a time. Does some law fail?

    pip install cosmic-ray && cd tests && python -m tools.mutants [MODULE ...]

Without a MODULE, such as `flow` or `training/loop`, all modules of the package are tried. That takes hours. The record
docs/mutants.json is written after each module, and a module whose source is as it was recorded is not tried again. So a
run that was stopped goes on with the next module.

Cosmic Ray makes the mutants, because mutmut skips decorated functions, and the loop is one of them. Each mutant is
planted in a separate process, and the laws run until one fails. A change inside of a function is planted as the
function's new code, in a fork of this process, which takes a third of a second; any other change replaces its module
before the package is imported, which takes seconds. Changes of annotations alone do not count.
"""

import ast
import json
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import unified_diff
from hashlib import sha256
from importlib.machinery import SourceFileLoader
from inspect import CO_NEWLOCALS
from pathlib import Path
from types import CodeType, FrameType
from typing import Annotated, Any

import typer
from museum.plant import function_at
from tools.tour import ROOMS, TESTS, in_forks, in_fresh_processes, room, run_laws

PACKAGE = TESTS.parent / "janus_minimal"
RECORD = TESTS.parent / "docs" / "mutants.json"
MODULES = tuple(
    path.relative_to(PACKAGE).with_suffix("").as_posix()
    for path in sorted(PACKAGE.rglob("*.py"))
    if not path.name.startswith("__")
)
SHAPES = ("caption", "scene", "score", "thresholds", "examples", "reconstruction", "stages", "evaluate")
# Which laws watch a folder. They are tried first; a module of the core is tried against all of ROOMS afterwards.
WATCHERS = {
    "": ("call", "settings"),
    "bench": ("report", "bench"),
    "cli": ("options", "cli", "interrupted"),
    "figures": ("plots", "figures", "call", "recipes"),
    "jobs": ("call", "options", "album"),
    "loading": ("settings", "call", "config", "weights", "vae", "hub", "json_file", "pretrained", "atomic", "prompt"),
    "runtime": ("call", "device", "compile", "pipeline"),
    "shapes": tuple(f"shapes/{name}" for name in SHAPES),
    "training": ("batch", "loop", "training", "own_pictures", *(f"shapes/{name}" for name in SHAPES[4:7])),
}
PATIENCE = 300  # seconds; a mutant that makes a law run longer counts as noticed


@dataclass(frozen=True)
class Mutant:
    """A module with one change."""

    module: str
    operator: str
    source: str

    def diff(self) -> str:
        """Return the lines that differ from the original."""
        lines = unified_diff(source_of(self.module).splitlines(), self.source.splitlines(), n=0, lineterm="")
        return "\n".join(line for line in list(lines)[2:] if not line.startswith("@@"))


def source_of(module: str) -> str:
    """Return the source of a module as it is."""
    return (PACKAGE / f"{module}.py").read_text(encoding="utf-8")


def mutants(module: str) -> list[Mutant]:
    """Return every change that Cosmic Ray can make, except to annotations and into what is no Python."""
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator, operator_names

    source, found = source_of(module), []
    for name in operator_names():
        operator, occurrence = get_operator(name), 0
        if operator.arguments():
            continue
        while (mutated := mutate_code(source, operator(), occurrence)) is not None:
            occurrence += 1
            if meaning(mutated) not in (meaning(source), None):
                found.append(Mutant(module, name.removeprefix("core/"), mutated))
    return found


def meaning(source: str) -> str | None:
    """Return the syntax tree without annotations, to compare two sources, or None if there is none."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.FunctionDef):
            node.returns = None
        elif isinstance(node, ast.AnnAssign):
            node.annotation = ast.Constant(None)
    return ast.dump(tree)


def notice(mutant: Mutant) -> str | None:
    """Return the first law that fails with the mutant, or None if no law fails."""
    found = function_of(mutant)
    options = ["--override-ini=addopts="] if found else []  # the shape checks are in the package already
    if found:
        where, code = found
        function_at(where).__code__ = code
    else:
        plant(mutant)
    signal.signal(signal.SIGALRM, give_up)
    signal.alarm(PATIENCE)
    try:
        outcome = run_laws([*options, "-x", "-m", "not slow and not released", *map(room, watchers(mutant.module))])
    except (TimeoutError, ImportError, SyntaxError):
        return "it does not run"
    return min(outcome.failed, default=None if outcome.passed else "it does not run")


def watchers(module: str) -> Sequence[str]:
    """Return the files of laws that may notice a mutant of this module, the likeliest first."""
    folder = module.rpartition("/")[0]
    core = [*(name for name in ROOMS if name == module), *ROOMS] if not folder else []
    return list(dict.fromkeys([*(name for name in core if "/" not in name), *WATCHERS.get(folder, ())]))


def give_up(signal_number: int, frame: FrameType | None) -> None:
    raise TimeoutError


def plant(mutant: Mutant) -> None:
    """Make Python import the mutant in place of the module. The process cannot be used for anything else afterwards."""
    path, read = str(PACKAGE / f"{mutant.module}.py"), SourceFileLoader.get_data
    sys.dont_write_bytecode = True

    def get_data(self: Any, asked: str) -> bytes:
        if asked == path:
            return mutant.source.encode()
        if Path(asked).name.startswith(f"{Path(path).stem}."):
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


def parts(code: CodeType) -> list[CodeType]:
    """Return the code objects directly inside of another: functions, classes, comprehensions."""
    return [constant for constant in code.co_consts if isinstance(constant, CodeType)]


def shell(code: CodeType) -> tuple[object, ...]:
    """Return what a code object does itself, without what is inside of it."""
    return code.co_code, code.co_names, [c for c in code.co_consts if not isinstance(c, CodeType)]


def survivors(tried: list[Mutant]) -> list[dict[str, str]]:
    """Return the mutants that no law notices."""
    quick = [mutant for mutant in tried if function_of(mutant)]
    slow = [mutant for mutant in tried if mutant not in quick]
    laws = [*in_forks(notice, quick), *in_fresh_processes(notice, slow)]
    pairs = zip([*quick, *slow], laws, strict=True)
    return [{"operator": m.operator, "change": m.diff()} for m, law in pairs if law is None]


def main(
    modules: Annotated[list[str] | None, typer.Argument()] = None, record: Path = RECORD, again: bool = False
) -> None:
    """Try every mutant of the modules, or with --again only the last survivors. Write down those that survive.

    Modules that are not named are left out if they were tried as they are.
    """
    report = json.loads(record.read_text(encoding="utf-8")) if record.exists() else {}
    for module in modules or MODULES:
        source = sha256(source_of(module).encode()).hexdigest()
        if not modules and not again and report.get(module, {}).get("source") == source:
            continue
        every = mutants(module)
        before = [found["change"] for found in report[module]["survivors"]] if again else []
        left = survivors([m for m in every if m.diff() in before] if again else every)
        report[module] = {"mutants": len(every), "noticed": len(every) - len(left), "source": source, "survivors": left}
        record.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        typer.echo(f"{module}: {report[module]['noticed']} of {len(every)} noticed")


if __name__ == "__main__":
    typer.run(main)
