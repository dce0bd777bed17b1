"""Grading: an exercise is done if its law passes on the correct package, and fails with each exhibit planted."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.tour import passed_and_failed

HERE = Path(__file__).parent
EXERCISES = tuple(sorted(HERE.glob("test_*.py")))
SOLUTIONS = tuple(sorted((HERE / "solutions").glob("[0-9]*.py")))


@dataclass(frozen=True)
class Grade:
    """The result of one exercise."""

    title: str
    status: str

    @property
    def done(self) -> bool:
        """Whether the exercise counts as solved."""
        return self.status == "done"


def title_and_exhibits(path: Path) -> tuple[str, list[str]]:
    """Return the first line of an exercise and the exhibits that its law must catch."""
    text = path.read_text(encoding="utf-8")
    (names,) = re.findall(r"^Catches +(.+)$", text, re.MULTILINE)
    return text.splitlines()[0].strip('"'), names.split(", ")


def grade(files: Sequence[Path]) -> list[Grade]:
    """Run the laws on the correct package. Run those that pass again, once with each exhibit planted."""
    ((passed, failed),) = passed_and_failed([(_names(files), None)])
    sound = [path for path in files if _mentions(passed, path) and not _mentions(failed, path)]
    exhibits = sorted({exhibit for path in sound for exhibit in title_and_exhibits(path)[1]})
    asked = {name: [path for path in sound if name in title_and_exhibits(path)[1]] for name in exhibits}
    results = passed_and_failed((_names(paths), exhibit) for exhibit, paths in asked.items())
    caught = {name: fallen for name, (_, fallen) in zip(exhibits, results, strict=True)}
    return [Grade(title_and_exhibits(path)[0], _status(path, passed, failed, caught)) for path in files]


def _status(path: Path, passed: set[str], failed: set[str], caught: dict[str, set[str]]) -> str:
    if _mentions(failed, path):
        return "fails on correct code"
    if not _mentions(passed, path):
        return "not attempted"
    missed = [name for name in title_and_exhibits(path)[1] if not _mentions(caught[name], path)]
    return f"passes, but misses {' and '.join(missed)}" if missed else "done"


def _names(files: Sequence[Path]) -> tuple[str, ...]:
    return tuple(map(str, files))


def _mentions(laws: set[str], path: Path) -> bool:
    return any(law.split("::")[0].endswith(path.name) for law in laws)


def report(grades: Sequence[Grade]) -> str:
    """Return one line for each exercise, and the total."""
    width = max(len(g.title) for g in grades)
    lines = [f"{g.title:<{width}}  {g.status}" for g in grades]
    return "\n".join([*lines, f"{sum(g.done for g in grades)} of {len(grades)} done"])
