"""{{ measured_there() }}: what docs/accelerator.py measured, or the words that say that nobody has run it."""

import json
from typing import Any

from macros.excerpts import ROOT

RECORD = ROOT / "docs" / "accelerator.json"
COMMAND = "`python docs/accelerator.py`"


def measured_there() -> str:
    """A table of pictures and steps on one card, with its name."""
    if not RECORD.exists():
        return f"Not measured: {COMMAND} has not been run on a machine with an accelerator."
    return told(json.loads(RECORD.read_text(encoding="utf-8")))


def told(found: dict[str, Any]) -> str:
    """What one run of the script found, in Markdown."""
    jobs = found["jobs"]
    failed = [name for name, job in jobs.items() if not job["passed"]]
    lines = [f"Measured on {found['device']}, PyTorch {found['torch']}, bfloat16, {found['size']} size ({COMMAND}):"]
    lines += ["", "| | 1 image | 5 images |", "| --- | ---: | ---: |"]
    for kind in ("plain", "compile"):
        if pictures := jobs[f"draw, {kind}"].get("pictures"):
            lines.append(row(f"a picture, {kind}", [pictures[f"{n}, second"]["seconds"] for n in (1, 5)], "s"))
    if all("report" in jobs[f"bench, {n}"] for n in (1, 5)):
        medians = [jobs[f"bench, {n}"]["report"]["loops"]["ours"]["median"] for n in (1, 5)]
        lines.append(row("one step", medians, "ms"))
    if "steps" in jobs["train"]:
        lines += ["", f"A minute of training took {jobs['train']['steps']} steps of the flow."]
    return "\n".join([*lines, "", f"Jobs that failed: {', '.join(failed) or 'none'}."])


def row(name: str, values: list[float], unit: str) -> str:
    """A row of the table."""
    return f"| {name} | {' | '.join(f'{value:.3g} {unit}' for value in values)} |"
