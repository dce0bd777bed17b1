"""The page of the mutants: how many small changes of the package the laws notice."""

import json
from pathlib import Path

TOOLS = Path(__file__).parent
RECORD = TOOLS.parent.parent / "docs" / "mutants.json"
SURVIVORS: dict[str, str] = json.loads((TOOLS / "survivors.json").read_text(encoding="utf-8"))  # why each survives


INTRODUCTION = """\
---
render_macros: false
---

# Mutants: would a law notice a small change?

A test suite is worth what it notices. So a program changes one place of the package at a time and runs the laws. It
made {total} such mutants, and the laws noticed {noticed} of them ({share:.1%}).

These numbers are of five modules, from before the package was laid out anew: `denoise.py` is `sampling.py` today, and
the other modules have not been tried. These commands repeat the run for the whole package, which takes hours. The first
records which laws execute which line, and only those are run for a mutant. `--sample 10` tries ten mutants of each
module, drawn at random:

```bash
pip install cosmic-ray pytest-cov && cd tests
python -m tools.reach reach
python -m tools.mutants reach
```

[Cosmic Ray](https://cosmic-ray.readthedocs.io) makes the changes: plus becomes minus, 0 becomes 1, a decorator is
removed, and so on. Changes of annotations alone are left out.

| module | mutants | noticed |
| --- | ---: | ---: |"""


def mutants_page() -> str:
    """Return the page: how many small changes of the package the laws notice, and why the others change nothing."""
    report = json.loads(RECORD.read_text(encoding="utf-8"))
    total, noticed = (sum(module[key] for module in report.values()) for key in ("mutants", "noticed"))
    lines = [INTRODUCTION.format(total=total, noticed=noticed, share=noticed / total)]
    lines += [f"| `{name}.py` | {found['mutants']} | {found['noticed']} |" for name, found in report.items()]
    lines += ["", "## Mutants that no law notices", "", "Each was examined. None of them computes anything else."]
    for name, found in report.items():
        for survivor in found["survivors"]:
            lines += ["", f'```diff title="janus_minimal/{name}.py"', _flush(survivor["change"]), "```", ""]
            lines += [SURVIVORS[changed(survivor["change"])]]
    return "\n".join([*lines, ""])


def changed(change: str) -> str:
    """Return the new line of a mutant."""
    return next(line[1:].strip() for line in change.splitlines() if line.startswith("+"))


def _flush(change: str) -> str:
    """Remove the indentation that all lines of a change share."""
    lines = change.splitlines()
    shared = min(len(line[1:]) - len(line[1:].lstrip()) for line in lines)
    return "\n".join(line[0] + " " + line[1 + shared :] for line in lines)
