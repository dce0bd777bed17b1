"""Which laws execute a line of the package, and how long does each take?

    pip install pytest-cov && cd tests && python -m tools.reach FOLDER

Coverage.py records every line that each law executes. That run takes about twice as long as the suite. It serves the
search for mutants that no law notices: only the laws that execute a changed line can notice the change.
"""

import ast
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

import typer
from tools.tour import TESTS

PACKAGE = TESTS.parent / "janus_minimal"
LAWS = ("tests/laws", "docs/test_demo_page.py")  # the demo's laws are among those that need a browser
OPTIONS = ("-n", "auto", "--dist", "loadfile", "--cov-context=test", "--cov-report=", f"--cov={PACKAGE.name}")


def record(folder: Path) -> None:
    """Run the laws once under Coverage.py, and keep what they execute and their seconds in this folder."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = [f"--junitxml={folder / 'seconds.xml'}", "-o", "junit_duration_report=call"]
    surroundings = os.environ | {"COVERAGE_FILE": str(folder / "coverage"), "HYPOTHESIS_PROFILE": "tour"}
    command = [sys.executable, "-m", "pytest", *OPTIONS, *kept, *LAWS]
    subprocess.run(command, cwd=TESTS.parent, env=surroundings, check=True)


class Reach:
    """What `record` left in a folder."""

    def __init__(self, folder: Path) -> None:
        from coverage import CoverageData

        self.data = CoverageData(str(folder / "coverage"))
        self.data.read()
        self.files = {Path(file): file for file in self.data.measured_files()}
        cases = ElementTree.parse(folder / "seconds.xml").iter("testcase")
        self.seconds = {_law(case): float(case.attrib["time"]) for case in cases}

    def laws(self, module: str, line: int) -> Sequence[str]:
        """Return the laws that execute a line, or else its function, its module, its folder, the quickest first.

        What runs while the package is imported, or in a process that a law starts, is not in the record. So a
        line that no law executes may still be held by laws of what lies around it.
        """
        lines = self._contexts(module)
        spans = [range(line, line + 1), *_functions(module, line), lines]
        candidates = ({law for number in span for law in lines.get(number, ())} for span in spans)
        found = next(filter(None, candidates), None) or self._around(module)
        return sorted(found, key=lambda law: (self.seconds.get(law, 0.0), law))

    def _around(self, module: str) -> set[str]:
        """Return the laws that execute anything in the module's folder."""
        names = (path.relative_to(PACKAGE).with_suffix("") for path in (PACKAGE / module).parent.glob("*.py"))
        return {law for name in names for laws in self._contexts(name.as_posix()).values() for law in laws}

    @cache  # noqa: B019 (there is one object, for the whole run)
    def _contexts(self, module: str) -> dict[int, set[str]]:
        file = self.files.get(PACKAGE / f"{module}.py", "")
        return {line: set(self._known(contexts)) for line, contexts in self.data.contexts_by_lineno(file).items()}

    def _known(self, contexts: Iterable[str]) -> Iterable[str]:
        """Yield the laws of Coverage.py's contexts. What a fixture executes may serve every law of its file."""
        for law, _, phase in (context.rpartition("|") for context in contexts):
            file = law.partition("::")[0]
            yield from [law] if phase == "run" else (other for other in self.seconds if other.startswith(f"{file}::"))


def _law(case: ElementTree.Element) -> str:
    """Return pytest's name of a law, of which the record has the file in Python's notation."""
    return f"{case.attrib['classname'].replace('.', '/')}.py::{case.attrib['name']}"


def _functions(module: str, line: int) -> Iterable[range]:
    """Yield the lines of the functions around a line, the innermost first."""
    tree = ast.parse((PACKAGE / f"{module}.py").read_text(encoding="utf-8"))
    spans = [range(n.lineno, (n.end_lineno or 0) + 1) for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]
    return sorted((span for span in spans if line in span), key=len)


if __name__ == "__main__":
    typer.run(record)
