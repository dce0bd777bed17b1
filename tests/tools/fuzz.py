"""Hostile input: python tests/tools/fuzz.py damages checkpoints, latents, states, reports and options, and uses them.

Each case must end in a picture, a run or a report that is right as far as that can be told, or in one line. It must not
raise another exception, hang, use more than 500 MB of memory beyond what it began with, or write a file. Warnings are
lines too. Case i of seed s is always the same. Each case runs in its own process.

With --record, the result is written to a file every few cases, and a run that was stopped goes on from there.
"""

import json
import os
import resource
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import Annotated, Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import tools.hostile.checkpoints
import tools.hostile.commands
import tools.hostile.reports
import tools.hostile.runs
import tools.hostile.vocabularies  # noqa: F401  # each adds its kinds
import torch
import typer
from tools.hostile import KINDS, Kind, is_one_line, lines_said
from tqdm import trange

from janus_minimal.errors import InputError

MEMORY = 500 * 2**20  # bytes
SECONDS = 60  # of computing; a case that waits is given ten times as long
WORKED, REFUSED = "worked", "refused"
EVERY = 20  # cases between two records


def kind_of(index: int) -> Kind:
    return KINDS[index % len(KINDS)]


def judge(seed: int, index: int) -> str:
    """Try one case in this process. Return "worked", "refused", or a description of what went wrong."""
    kind = kind_of(index)
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        kind.fill(directory)
        kind.damage(directory, Random(f"{seed} {index}"))
        before = sorted(directory.rglob("*"))
        limit()
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            verdict = outcome(kind, directory)
        said = [str(warning.message) for warning in warned]
        if long := [text for text in said if not is_one_line(text)]:
            return f"a warning of more than a line: {long[0][:300]!r}"
        writes = kind.act.__name__ in ("train", "ask")
        return verdict if writes or sorted(directory.rglob("*")) == before else "something was written"


def limit() -> None:
    """Kill this process if it hangs, computes for too long or takes too much memory."""
    signal.alarm(10 * SECONDS)
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    allowed = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (allowed, allowed))


def outcome(kind: Kind, directory: Path) -> str:
    try:
        kind.act(directory)
    except InputError as error:
        return REFUSED if is_one_line(str(error)) else f"more than one line: {error}"
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    return WORKED if kind.may_work else "accepted what must be refused"


def forked(seed: int, index: int) -> str:
    """Try one case in a process that is forked from this one."""
    context = get_context("fork")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=send, args=(there, seed, index))
    process.start()
    there.close()
    try:
        return here.recv()
    except EOFError:
        process.join()
        return f"died with exit code {process.exitcode}"
    finally:
        process.join()
        here.close()


def send(there: Any, seed: int, index: int) -> None:
    """Send the verdict. What a library prints by itself is one more fault."""
    with tempfile.TemporaryFile() as said:
        for stream in (1, 2):
            os.dup2(said.fileno(), stream)
        verdict = judge(seed, index)
        said.seek(0)
        noise = lines_said(said.read())
    there.send(f"said {noise[:3]}" if noise and verdict in (WORKED, REFUSED) else verdict)


def begun(record: Path | None, seed: int) -> dict[str, Any]:
    """Return the record of a run that was stopped, or an empty one."""
    fresh = {"seed": seed, "cases": 0, "failures": [], "kinds": {kind.name: {} for kind in KINDS}}
    found = json.loads(record.read_text()) if record is not None and record.exists() else fresh
    if found["seed"] != seed or found["kinds"].keys() != fresh["kinds"].keys():
        raise typer.BadParameter(f"{record} is of another seed or of other kinds: expected another file")
    return found


def run(found: dict[str, Any], cases: int, pause: Path | None) -> Iterator[None]:
    """Try the cases that are missing, each in its own process, and add them to the record."""
    torch.set_num_threads(1)
    for index in trange(found["cases"], cases, unit="case", disable=False):
        while pause is not None and pause.exists():
            time.sleep(1)
        name, end = kind_of(index).name, forked(found["seed"], index)
        if end not in (WORKED, REFUSED):
            found["failures"].append({"case": index, "kind": name, "end": end})
        counts = Counter(found["kinds"][name])
        counts[end if end in (WORKED, REFUSED) else "failed"] += 1
        found["kinds"][name], found["cases"] = dict(counts), index + 1
        yield


def main(
    cases: Annotated[int, typer.Option(help="How many.")] = 600,
    seed: Annotated[int, typer.Option(help="Which.")] = 0,
    record: Annotated[Path | None, typer.Option(help="Write the result there, and go on from there.")] = None,
    pause: Annotated[Path | None, typer.Option(help="Wait while this file exists.")] = None,
) -> None:
    """Print how often each kind worked or was refused, and every case that ended otherwise."""
    found = begun(record, seed)
    for _ in run(found, cases, pause):
        if record is not None and (found["cases"] % EVERY == 0 or found["cases"] == cases):
            record.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    for name, counts in found["kinds"].items():
        typer.echo(f"{name:36} " + ", ".join(f"{number} {end}" for end, number in sorted(counts.items())))
    for failure in found["failures"]:
        typer.echo("case {case}, {kind}: {end}".format(**failure))
    wrong = len(found["failures"])
    typer.echo(f"{found['cases']} cases of seed {seed}: {wrong} ended otherwise than in a result or in one line")
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    typer.run(main)
