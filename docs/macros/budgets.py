"""{{ lab_budgets() }}: what docs/lab/measure.py measured, beside what the lab may take at most."""

import json
from typing import Any

from macros.excerpts import ROOT

RECORD = ROOT / "docs" / "lab" / "measured.json"
COMMAND = "`python docs/lab/measure.py SITE`"

# What is measured, where the record holds it, how it is written, and the budget in the same unit.
BUDGETS = (
    ("files that the lab loads", ("files", "bytes"), 1e-6, "MB", 30),
    ("the same, gzipped", ("files", "gzipped"), 1e-6, "MB", 14),
    ("from opening the page to the first picture", ("opening",), 1, "s", 8),
    ("30 steps with attention (median)", ("thirty", "attention", "median"), 1, "s", 3),
    ("30 steps without attention (median)", ("thirty", "without", "median"), 1, "s", 2),
    ("longest time that the page is blocked, after the press on Load", ("blocked",), 1, "ms", 50),
)


def lab_budgets() -> str:
    """A table of the budgets, with what was measured if somebody has run the command."""
    found = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else None
    rows = ["| | measured | at most |", "| --- | ---: | ---: |"]
    for name, keys, scale, unit, most in BUDGETS:
        rows.append(f"| {name} | {_said(found, keys, scale, unit)} | {most} {unit} |")
    return "\n".join([*rows, "", told(found)])


def told(found: dict[str, Any] | None) -> str:
    """Where it was measured, or that nobody has done it."""
    if found is None:
        return f"Not measured: {COMMAND} has not been run on an idle machine."
    return f"Measured in Chromium {found['chromium']} on {found['cores']} cores, of which the lab uses one ({COMMAND})."


def _said(found: Any, keys: tuple[str, ...], scale: float, unit: str) -> str:
    if found is None:
        return "not measured"
    for key in keys:
        found = found[key]
    if keys == ("blocked",) and found == 0:
        return "less than 50 ms"  # a browser reports no shorter one
    return f"{scale * found:.3g} {unit}"
