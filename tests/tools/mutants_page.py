"""The page of the mutants: how many small changes of the package the laws notice."""

import json
from pathlib import Path

from scipy.stats import binomtest

TOOLS = Path(__file__).parent
RECORD = TOOLS.parent.parent / "docs" / "mutants.json"
BEFORE = RECORD.with_name("mutants-before.json")  # what earlier draws gave, by their seeds
CORE = ("flow", "uvit", "prompt", "cache", "model", "sampling", "pipeline", "config")
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
notice it, why none should, or that a law was written for it afterwards.

The draws before this one: {before}. Laws were written for the gaps
that they found. If the same places were tried again, the share would say how good the laws are at places that somebody
has looked at. So these places were drawn anew, and no law was written for them before they were counted.

The number says more about the many small modules around the core than about the core, whose eight files have {core} of
the {total} places. And Cosmic Ray exchanges no arguments and leaves out no call, as the bugs of the
[museum](museum.md) do.

The first command records which laws execute which line, and how long each takes. For a mutant the quickest of its laws
are run, which together took at most 20 seconds. Each draws 10 examples where the suite draws 25. Without `--sample` the
second tries every place, which takes hours. With another `--seed` it draws others:

```bash
pip install --editable ".[test,demo,browser]" cosmic-ray pytest-cov && cd tests  # and a Chromium
python -m tools.reach reach
python -m tools.mutants reach --sample {sample} --seed {seed}
```

[Cosmic Ray](https://cosmic-ray.readthedocs.io) makes the changes: plus becomes minus, 0 becomes 1, a decorator is
removed, and so on. Changes of annotations alone are left out. `x is "cpu"` in place of `x == "cpu"` counts as noticed,
because the linter refuses it. So does a mutant with which the package cannot be imported, or with which the chosen laws
run for more than 90 seconds. A module with 0 mutants has
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
    earlier = json.loads(BEFORE.read_text(encoding="utf-8")).items()
    before = ", ".join(f"{draw['noticed']} of {draw['mutants']} by seed {seed}" for seed, draw in earlier)
    core = sum(report[name]["mutants"] for name in CORE)
    lines = [INTRODUCTION.format(sample=sample, seed=seed, before=before, core=core, **share)]
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
