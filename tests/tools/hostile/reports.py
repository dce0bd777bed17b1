"""Reports that were edited: evaluations that are compared, and sweeps that go on."""

import json
from dataclasses import asdict
from pathlib import Path
from random import Random

from tools.hostile import is_one_line, may_work
from tools.hostile.checkpoints import HOSTILE, NAMES, spoil

from janus_minimal.shapes.compare import compare
from janus_minimal.shapes.report import Answers, Evaluation, read_evaluation
from janus_minimal.shapes.sweep import Run, Setting, Sweep, read_sweep

SETTING = Setting(2, "euler", 2.0, 1.0)
SWEEP = Sweep("shapes", "0123456789abcdef", 8, 0)


def reports(directory: Path) -> None:
    evaluation = Evaluation({"colours": Answers(["a red star", "a blue star"], [True, False])}, 0, 30, 2.0, "0123")
    sweep = asdict(SWEEP) | {"runs": {str(SETTING): asdict(Run(SETTING, 2, 0.5, {"colours": 0.5}, 0.1, 0.1, 1.0))}}
    for name, report in {"a": evaluation.to_dict(), "b": evaluation.to_dict(), "sweep": sweep}.items():
        (directory / f"{name}.json").write_text(json.dumps(report))


def read_all(directory: Path) -> None:
    """Compare the evaluations, and go on with the sweep. Nothing that a terminal obeys is printed."""
    tables = compare(*(read_evaluation(directory / f"{name}.json") for name in "ab")).to_table()
    tables += read_sweep(directory / "sweep.json", SWEEP).to_table()
    assert all(map(is_one_line, tables.split("\n"))), "a table with control characters"


@may_work(reports, read_all)
def reports_that_were_edited(directory: Path, random: Random) -> None:
    """Change one value, or a name that both evaluations have, of an object at any depth."""
    path = directory / random.choice(("a.json", "b.json", "sweep.json"))
    report = json.loads(path.read_text())
    if random.random() < 0.5:
        spoil(report, random)
    else:
        name = random.choice((*NAMES, "colours", str(SETTING)))
        part = report.get("categories", report.get("runs"))
        part[name] = part.pop(random.choice(sorted(part)))
        report["model"] = random.choice((report["model"], name, *HOSTILE))
    for other in ("a.json", "b.json") if path.name != "sweep.json" else (path.name,):
        (directory / other).write_text(json.dumps(report))
