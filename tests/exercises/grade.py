"""Grading: an exercise is done when its law holds of the package, and fails with each of its exhibits planted."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from museum.tour import passed_and_failed

HERE = Path(__file__).parent
EXERCISES = tuple(sorted(HERE.glob("test_*.py")))
SOLUTIONS = tuple(sorted((HERE / "solutions").glob("[0-9]*.py")))


@dataclass(frozen=True)
class Grade:
    """What one exercise has come to."""

    title: str
    status: str

    @property
    def done(self) -> bool:
        """Whether it earns its point."""
        return self.status == "done"


def title_and_exhibits(path: Path) -> tuple[str, list[str]]:
    """The first line of an exercise, and the exhibits that it says it must catch."""
    text = path.read_text(encoding="utf-8")
    (names,) = re.findall(r"^Catches +(.+)$", text, re.MULTILINE)
    return text.splitlines()[0].strip('"'), names.split(", ")


def grade(files: Sequence[Path]) -> list[Grade]:
    """Run each law on the package as it is and, where it holds, on the package with each bug."""
    plain = dict(zip(files, passed_and_failed(((str(path),), None) for path in files), strict=True))
    sound = [path for path, (passed, failed) in plain.items() if passed and not failed]
    planted = [(path, exhibit) for path in sound for exhibit in title_and_exhibits(path)[1]]
    results = passed_and_failed(((str(path),), exhibit) for path, exhibit in planted)
    caught = {run for run, (_, failed) in zip(planted, results, strict=True) if failed}
    return [Grade(title_and_exhibits(path)[0], _status(path, *plain[path], caught)) for path in files]


def _status(path: Path, passed: set[str], failed: set[str], caught: set[tuple[Path, str]]) -> str:
    if failed:
        return "fails on correct code"
    if not passed:
        return "not attempted"
    missed = [name for name in title_and_exhibits(path)[1] if (path, name) not in caught]
    return f"passes, but misses {' and '.join(missed)}" if missed else "done"


def report(grades: Sequence[Grade]) -> str:
    """A line for each exercise, and the total."""
    width = max(len(g.title) for g in grades)
    lines = [f"{g.title:<{width}}  {g.status}" for g in grades]
    return "\n".join([*lines, f"{sum(g.done for g in grades)} of {len(grades)} done"])
