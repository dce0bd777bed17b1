"""Kill commands at random moments: python tests/tools/kill.py kills training and generating twenty times each.

No file with a final name may be incomplete, and resumed training must reach the losses of an uninterrupted run.
"""

import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from random import Random

import typer
from PIL import Image
from safetensors import safe_open
from tqdm import trange

JANUS = [sys.executable, "-m", "janus_minimal"]
SIZES = ["--steps", "12", "--vae-steps", "6", "--batch-size", "4", "--save-every", "1", "--examples", "12"]


def main(kills: int = 20, seed: int = 0) -> None:
    """Kill a run, check its files, resume, and repeat; at the end compare the losses bit by bit."""
    random = Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        whole, cut = Path(folder, "whole"), Path(folder, "cut")
        start = time.perf_counter()
        subprocess.run(train(whole), check=True, capture_output=True)
        seconds = time.perf_counter() - start
        for _ in trange(kills, desc="train"):
            killed(train(cut), random.uniform(0.2, 1.0) * seconds)
            check(cut)
            if len(losses(cut)) == len(losses(whole)):
                shutil.rmtree(cut)  # this run reached its end before it was killed: start a new one
        subprocess.run(train(cut), check=True, capture_output=True)
        assert losses(cut) == losses(whole)
        check(cut)
        assert not list(cut.rglob(".unfinished-*"))
        for _ in trange(kills, desc="generate"):
            killed(
                [*JANUS, "generate", "a red circle", "--out", str(Path(folder, "picture.png"))], random.uniform(1, 8)
            )
            check(Path(folder))
    typer.echo(f"{kills} kills of training and of generating: every file whole, losses equal to the bit")


def train(directory: Path) -> list[str]:
    return [*JANUS, "train", "--out", str(directory), "--device", "cpu", *SIZES]


def killed(command: list[str], seconds: float) -> None:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()


def check(directory: Path) -> None:
    """Check that every file with a final name can be read to its end."""
    for path in directory.rglob("*"):
        if path.is_file() and not any(part.startswith(".unfinished-") for part in path.parts):
            read(path)


def read(path: Path) -> None:
    if path.suffix == ".safetensors":
        with safe_open(path, "pt") as file:
            for key in file.keys():  # noqa: SIM118
                file.get_tensor(key)
    elif path.suffix == ".json":
        json.loads(path.read_text(encoding="utf-8"))
    else:
        with Image.open(path) as picture:
            picture.load()


def losses(directory: Path) -> list[float]:
    path = directory / "flow.training.safetensors"
    if not path.exists():
        return []
    with safe_open(path, "pt") as file:
        return file.get_tensor("losses").tolist()


if __name__ == "__main__":
    typer.run(main)
