"""The page of the mutants: how many small changes of the package the laws notice."""

import json
from pathlib import Path

from scipy.stats import binomtest

TOOLS = Path(__file__).parent
RECORD = TOOLS.parent.parent / "docs" / "mutants.json"
SURVIVORS: dict[str, str] = json.loads((TOOLS / "survivors.json").read_text(encoding="utf-8"))  # why each survives


INTRODUCTION = """\
---
render_macros: false
---

# Mutants: would a law notice a small change?

A test suite is worth what it notices. So a program changes one place of the package at a time and runs the laws. At
most {sample} places of each module were drawn at random, {total} in all, and {noticed} of these mutants were noticed:
{share:.1%}, with a 95 % confidence interval of {low:.1%} to {high:.1%}. A short module counts as much as a long one,
and files such as `__init__.py` are left out. Each of the other mutants stands below with a reason: why no law could
notice it, why none should, or which law notices it that was not run for it.

Laws were written for the gaps that earlier draws, by other seeds, had found. If the same places were tried again, the
share would say how good the laws are at places that somebody has looked at. So these places were drawn anew after all
of those laws, and the number above is from before any gap among them was closed.

The first command records which laws execute which line, and only those are run for a mutant, for 20 seconds at most.
Without `--sample` the second tries every place, which takes hours. With another `--seed` it draws others:

```bash
pip install cosmic-ray pytest-cov && cd tests
python -m tools.reach reach
python -m tools.mutants reach --sample {sample} --seed {seed}
```

[Cosmic Ray](https://cosmic-ray.readthedocs.io) makes the changes: plus becomes minus, 0 becomes 1, a decorator is
removed, and so on. Changes of annotations alone are left out. `x is "cpu"` in place of `x == "cpu"` counts as noticed,
because the linter refuses it, and so does a mutant with which the laws run for 90 seconds. A module with 0 mutants has
nothing that Cosmic Ray changes.

| module | mutants | noticed |
| --- | ---: | ---: |"""


def mutants_page() -> str:
    """Return the page: how many small changes of the package the laws notice, and why the others change nothing."""
    report = json.loads(RECORD.read_text(encoding="utf-8"))
    total, noticed = (sum(module[key] for module in report.values()) for key in ("mutants", "noticed"))
    ((sample, seed),) = {(module["sample"], module["seed"]) for module in report.values()}
    low, high = binomtest(noticed, total).proportion_ci(method="wilson")
    share = {"total": total, "noticed": noticed, "share": noticed / total, "low": low, "high": high}
    lines = [INTRODUCTION.format(sample=sample, seed=seed, **share)]
    lines += [f"| `{name}.py` | {found['mutants']} | {found['noticed']} |" for name, found in report.items()]
    lines += ["", "## Mutants that the laws of this run did not notice", "", "Each was examined."]
    for name, found in report.items():
        for survivor in found["survivors"]:
            lines += ["", f'```diff title="janus_minimal/{name}.py"', _flush(survivor["change"]), "```", ""]
            lines += [SURVIVORS[changed(survivor["change"])]]
    return "\n".join([*lines, ""])


def changed(change: str) -> str:
    """Return the new line of a mutant, or the line that it removes."""
    lines = sorted(change.splitlines(), key=lambda line: not line.startswith("+"))
    return next(line[1:].strip() for line in lines if line[1:].strip())


def _flush(change: str) -> str:
    """Remove the indentation that all lines of a change share."""
    lines = change.splitlines()
    shared = min(len(line[1:]) - len(line[1:].lstrip()) for line in lines)
    return "\n".join(line[0] + " " + line[1 + shared :] for line in lines)
