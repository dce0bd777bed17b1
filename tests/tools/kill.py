"""Kill commands at random moments: python tests/tools/kill.py kills training and generating twenty times each.

No file with a final name may be incomplete. However often a run was killed, it must end with the weights of a run that
was not: the checkpoint, the states of VAE and flow, every tensor of them, to the bit. A run that reached its end before
it was killed stays: the same command on it, killed or not, must leave it as it is.
"""

import json
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
from safetensors.torch import load_file
from tqdm import trange

JANUS = [sys.executable, "-m", "janus_minimal"]
SIZES = ["--steps", "12", "--vae-steps", "6", "--batch-size", "4", "--save-every", "1", "--examples", "12"]
FILES = (
    *("model.safetensors", "vae/diffusion_pytorch_model.safetensors", "latents.safetensors"),
    *("vae.training.safetensors", "flow.training.safetensors"),
)


def main(kills: int = 20, seed: int = 0) -> None:
    """Kill runs, check their files, resume, and repeat; at the end compare all weights bit by bit."""
    random = Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder, "whole")
        start = time.perf_counter()
        subprocess.run(train(whole), check=True, capture_output=True)
        seconds = time.perf_counter() - start
        runs = [Path(folder, "cut 0")]
        for _ in trange(kills, desc="train"):
            killed(train(runs[-1]), random.uniform(0.2, 1.0) * seconds)
            check(runs[-1])
            if steps(runs[-1]) == steps(whole):
                killed(train(runs[-1]), random.uniform(0.2, 1.0) * seconds)  # also in what it still owes
                check(runs[-1])
                runs.append(Path(folder, f"cut {len(runs)}"))
        for run in runs:
            subprocess.run(train(run), check=True, capture_output=True)
            check(run)
            compare(whole, run)
            assert not list(run.rglob(".unfinished-*"))
        for _ in trange(kills, desc="generate"):
            picture = [*JANUS, "generate", "a red circle", "--out", str(Path(folder, "picture.png"))]
            killed(picture, random.uniform(1, 8))
            check(Path(folder))
    typer.echo(
        f"{2 * kills} kills: no incomplete file; {len(runs)} killed runs ended with the weights of an uninterrupted one"
    )


def train(directory: Path) -> list[str]:
    return [*JANUS, "train", "--out", str(directory), *SIZES]


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
        load_file(path)
    elif path.suffix == ".json":
        json.loads(path.read_text(encoding="utf-8"))
    elif path.suffix == ".png":
        with Image.open(path) as picture:
            picture.load()


def compare(whole: Path, run: Path) -> None:
    """Check that every tensor of two runs is the same, to the bit."""
    for name in FILES:
        expected, found = load_file(whole / name), load_file(run / name)
        assert found.keys() == expected.keys(), name
        for key, tensor in expected.items():
            assert found[key].equal(tensor), f"{name}: {key}"


def steps(directory: Path) -> int:
    """Return how many steps of the flow a run has taken."""
    path = directory / "flow.training.safetensors"
    if not path.exists():
        return 0
    with safe_open(path, "pt") as file:
        return file.get_slice("losses").get_shape()[0]


if __name__ == "__main__":
    typer.run(main)
