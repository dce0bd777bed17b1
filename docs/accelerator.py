"""Try and measure everything on the accelerator of this machine.

    python docs/accelerator.py          writes docs/accelerator.json, which speed.md and released.md show

One call, at most ten minutes: the laws that meet a device, every notebook, a picture and five of a stand-in for the
released model (its sizes, random weights) in bfloat16, with and without torch.compile, the bench with 1 and 5 images,
and a minute of training. It needs the extras test and notebooks. Each job runs in a process of its own, with what is
left of the time as its limit, so one that fails or hangs leaves the others' numbers; the file is written after each.
The exit status is 1 if any job failed.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import torch
import typer

from janus_minimal.runtime.device import device_name, pick_device

ROOT = Path(__file__).parent.parent
RECORD = Path(__file__).parent / "accelerator.json"
MINUTES = 10
TRAINING = 60  # seconds
TAIL = 400  # characters kept of what a failed job printed
DRAW = """
import json, sys, time
import torch
from janus_minimal import JanusFlowPipeline
folder, device, dtype, compiled, steps = sys.argv[1:]
dtype, compiled = getattr(torch, dtype), compiled == "compile"
pipe = JanusFlowPipeline.from_pretrained(folder, dtype=dtype, device=device, compile=compiled)
found = {}
for images in (1, 5):
    for run in ("first", "second"):
        start = time.perf_counter()
        drawn = pipe("a red bicycle", int(steps), num_images_per_prompt=images, output_type="pt", progress=False)
        finite = bool(drawn.images.isfinite().all())  # also waits for the device
        found[f"{images}, {run}"] = {"seconds": time.perf_counter() - start, "finite": finite}
print(json.dumps(found))
"""


def jobs(folder: Path, device: str, size: str, steps: int) -> Iterator[tuple[str, list[str], int]]:
    """Yield each job: its name, its command, and the most seconds that it may take."""
    python, many = [sys.executable], 10**6
    ours = [*python, "-m", "janus_minimal"]
    pytest = [*python, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    checkpoint = "shapes"
    if size == "released":
        checkpoint = str(folder / "released")
        yield "write the stand-in", [*python, "-m", "tools.standin", "write", checkpoint, "--shards", "1"], many
    for compiled in ("plain", "compile"):
        yield f"draw, {compiled}", [*python, "-c", DRAW, checkpoint, device, "bfloat16", compiled, str(steps)], many
    for images in (1, 5):
        bench = [*ours, "bench", "--size", size, "--images", str(images), "--device", device, "--dtype", "bfloat16"]
        yield f"bench, {images}", [*bench, "--json", str(folder / f"bench-{images}.json")], many
    train = [*ours, "train", "--out", str(folder / "run"), "--device", device, "--save-every", "50"]
    yield "train", [*train, "--vae-steps", "1", "--examples", "500"], TRAINING
    laws = [f"tests/laws/test_{name}.py" for name in ("model", "pipeline", "compile", "device")]
    yield "laws", [*pytest, *laws], many
    yield "notebooks", [*pytest, "-n", "4", "notebooks/test_notebooks.py", "-k", "fresh_kernel"], many


def run(name: str, command: list[str], seconds: float) -> dict[str, Any]:
    """Run a job, and return its time and what it printed last. A training that is stopped has done what it should."""
    folder = ROOT / "tests" if "tools.standin" in command else ROOT
    environment = os.environ | ({} if name == "laws" else {"JAXTYPING_DISABLE": "1"})
    start = time.perf_counter()
    try:
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=seconds)
        passed, printed = done.returncode == 0, done.stdout or done.stderr
        told = printed if passed else (done.stdout + done.stderr)
    except subprocess.TimeoutExpired as stopped:
        passed = name == "train"
        told = ((stopped.stderr if passed else stopped.stdout) or b"").decode(errors="replace")
    taken = time.perf_counter() - start
    return {"passed": passed, "seconds": taken, "told": told.strip()[-TAIL:]}


def numbers(name: str, result: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return what a job measured, beside its time."""
    if not result["passed"]:
        return {}
    if name.startswith("draw"):
        return {"pictures": json.loads(result["told"].splitlines()[-1])}
    if name.startswith("bench"):
        return {"report": json.loads((folder / f"bench-{name[-1]}.json").read_text(encoding="utf-8"))}
    if name == "train":
        return {"steps": int(next(iter(re.findall(r"(\d+)/\d+ \[", result["told"])[::-1]), 0))}
    return {}


def main(
    device: Annotated[str | None, typer.Argument(help="Left out: the accelerator of this machine.")] = None,
    size: str = "released",
    steps: int = 30,
    minutes: float = MINUTES,
    record: Path = RECORD,
) -> None:
    """Run the jobs in turn and write what they found."""
    where, end = pick_device(device), time.monotonic() + 60 * minutes
    found: dict[str, Any] = {"device": device_name(where), "torch": torch.__version__, "size": size, "jobs": {}}
    with TemporaryDirectory() as place:
        folder = Path(place)
        for name, command, most in jobs(folder, str(where), size, steps):
            result = run(name, command, min(most, max(1.0, end - time.monotonic())))
            found["jobs"][name] = result | numbers(name, result, folder)
            record.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
            typer.echo(f"{name}: {'done' if result['passed'] else 'FAILED'} in {result['seconds']:.0f} s")
    if not all(result["passed"] for result in found["jobs"].values()):
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
