"""Mutation testing: make small changes of the package, one at a time. Does some law fail?

    pip install cosmic-ray pytest-cov && cd tests
    python -m tools.reach REACH
    python -m tools.mutants REACH [MODULE ...] [--sample N --seed S]

Without a MODULE, such as `flow` or `training/loop`, all modules of the package are tried. --sample tries N mutants of
each, and another --seed draws others. The record docs/mutants.json is written after every dozen of modules, and a
module whose code is as it was recorded is not tried again at the same places. So a run that was stopped goes on.

Each mutant is planted in a separate process. The laws that execute the changed line run, the quickest first, until one
fails or 20 seconds of laws have passed. A change inside of a function is planted as the function's new code, in a fork
of one process; any other change replaces its module before the package is imported, which takes seconds longer.
"""

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer
from tools.mutate import PACKAGE, Mutant, function_of, meaning, mutants, plant, source_of
from tools.reach import Reach
from tools.tour import TESTS, in_forks, in_fresh_processes, run_laws

RECORD = TESTS.parent / "docs" / "mutants.json"
MODULES = tuple(
    path.relative_to(PACKAGE).with_suffix("").as_posix()
    for path in sorted(PACKAGE.rglob("*.py"))
    if not path.name.startswith("__")
)
TOGETHER = 12  # modules that are tried before the record is written again
FIRST = 12  # laws that are tried before the others are imported
BUDGET = 20.0  # seconds of laws for one mutant, by the record of what they took
PATIENCE = 90  # seconds; a mutant that makes laws run longer than this counts as noticed
# What a fork leaves open or undeleted at its end is no law's failure.
OPTIONS = ("-x", "-m", "not released", "-p", "no:unraisableexception", "-W", "ignore::pytest.PytestWarning")

Draw = dict[str, int | None]  # how places were chosen: at most "sample" of each module, or all, by "seed"
Trial = tuple[Mutant, Sequence[str]]  # a mutant, and the laws that may notice it


def watchers(reach: Reach, mutant: Mutant) -> Sequence[str]:
    """Return 20 seconds of the laws that execute what the mutant changes, the quickest first."""
    chosen, seconds = [], 0.0
    for law in reach.laws(mutant.module, mutant.line):
        seconds += reach.seconds.get(law, 0.0)
        if seconds > BUDGET:
            break
        chosen.append(law)
    return chosen


def notice(trial: Trial) -> str | None:
    """Return the first law that fails with the mutant, or else the linter's name, or None if neither notices."""
    mutant, laws = trial
    if not accepted_by_the_linter(mutant):
        return "ruff"
    plant(mutant)
    signal.signal(signal.SIGALRM, give_up)
    signal.alarm(PATIENCE)
    for some in filter(None, (laws[:FIRST], laws[FIRST:])):
        try:
            outcome = run_laws([*options(), *(str(TESTS.parent / law) for law in some)])
        except (TimeoutError, ImportError, SyntaxError):
            return "it does not run"
        if outcome.failed or not outcome.passed:
            return min(outcome.failed, default="it does not run")
    return None


def options() -> Sequence[str]:
    """Return pytest's options. Once the package is imported, with shape checks or without, they cannot be asked for."""
    imported = PACKAGE.name in sys.modules
    return [*OPTIONS, *(["--override-ini=addopts="] if imported else [])]


def accepted_by_the_linter(mutant: Mutant) -> bool:
    """Return False for `x is "cpu"`: it computes what `==` does, but the linter refuses it before any law runs."""
    command = ["ruff", "check", "--quiet", "--isolated", "--select", "F632", "-"]
    return subprocess.run(command, input=mutant.source.encode(), stdout=subprocess.DEVNULL).returncode == 0


def give_up(signal_number: int, frame: FrameType | None) -> None:
    raise TimeoutError


def unnoticed(trials: Sequence[Trial]) -> list[Mutant]:
    """Return the mutants that no law notices."""
    quick = [trial for trial in trials if function_of(trial[0])]
    slow = [trial for trial in trials if trial not in quick]
    noticed = [*in_forks(notice, quick), *in_fresh_processes(notice, slow)]
    return [mutant for (mutant, _), law in zip([*quick, *slow], noticed, strict=True) if law is None]


def entry(module: str, draw: Draw, tried: Sequence[Mutant], left: Sequence[Mutant]) -> dict[str, Any]:
    """Return what is written down of a module."""
    mine = [mutant for mutant in tried if mutant.module == module]
    survivors = [mutant for mutant in left if mutant.module == module]
    return {
        **draw,
        "mutants": len(mine),
        "noticed": len(mine) - len(survivors),
        "code": fingerprint(module),
        "survivors": [{"operator": m.operator, "change": m.diff()} for m in survivors],
    }


def fingerprint(module: str) -> str:
    """Return what tells the code of a module from any other, whatever its prose says."""
    return sha256(str(meaning(source_of(module))).encode()).hexdigest()


def recorded() -> dict[str, Any]:
    """Return what was written down of the modules that there are."""
    report = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    return {module: report[module] for module in MODULES if module in report}


def main(
    folder: Path,
    modules: Annotated[list[str] | None, typer.Argument()] = None,
    sample: int | None = None,
    seed: int = 0,
) -> None:
    """Try the mutants of the modules, and write down those that survive.

    Modules that are not named are left out if they were tried as they are, at the places of this draw.
    """
    report, reach, draw = recorded(), Reach(folder), {"sample": sample, "seed": seed}
    due = modules or [m for m in MODULES if not report.get(m, {}).items() >= (draw | {"code": fingerprint(m)}).items()]
    for first in range(0, len(due), TOGETHER):
        some = due[first : first + TOGETHER]
        tried = [mutant for module in some for mutant in mutants(module, sample, seed)]
        left = unnoticed([(mutant, watchers(reach, mutant)) for mutant in tried])
        report |= {module: entry(module, draw, tried, left) for module in some}
        RECORD.write_text(json.dumps(dict(sorted(report.items())), indent=2) + "\n", encoding="utf-8")
        typer.echo(f"{first + len(some)} of {len(due)} modules: {len(tried) - len(left)} of {len(tried)} noticed")


if __name__ == "__main__":
    typer.run(main)
