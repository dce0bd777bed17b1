"""Options of the command line against each other, drawn by chance: most do not go together."""

import json
import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from random import Random

import torch
from PIL import Image
from tools.hostile import CAPTION, copy_of_shapes, is_one_line, lines_said, may_work
from tools.hostile.reports import reports

from janus_minimal.cli import main
from janus_minimal.loading.latents import write_latents

ASKED = "asked.json"
FILES = ("mine", "mine/config.json", "mine/vae/config.json", "mine/vae", "z.safetensors", "prompts.txt", "new.png")
PLACES = (*FILES, "fifo", "folder", "nowhere/x.png", "link", "zero", "new", "[/bold]\x1b[31m.png", ".", "", "a" * 300)
NUMBERS = ("0", "1", "2", "-1", "1.5", "nan", "inf", "1e9", "10000000000000", "x", "[red]", "")
CAPTIONS = (CAPTION, "", " ", "a dragon", "a re\x07d star", "red " * 3000, "[/bold]", "\ud800", "a $x$ star")
CAPTIONS += ("a red<begin_of_image>circle", "<｜begin▁of▁sentence｜>")
PICTURES = ("whole.png", "exif.jpg", "exif.png", "dark.png")
OPTIONS = {
    "generate": {
        **dict.fromkeys(("--steps", "--cfg-weight", "--num-images", "--seed", "--shift"), NUMBERS),
        **dict.fromkeys(("--out", "--latent", "--prompts"), PLACES),
        **dict.fromkeys(("--checkpoint", "--vae"), (*PLACES, "shapes", "mine", "owner/name")),
        "--solver": ("euler", "heun", "midpoint", "adams-bashforth", "rk45"),
        "--device": ("cpu", "cuda", "meta", "warp"),
        "--dtype": ("float32", "bfloat16", "float16", "int8"),
        "--strip": (None,),
    },
    "decode": {"--out": PLACES, "--vae": (*PLACES, "mine/vae", "mine/vae"), "--device": ("cpu", "warp")},
    "evaluate": {
        **dict.fromkeys(("--captions", "--steps", "--cfg-weight", "--seed"), NUMBERS),
        **dict.fromkeys(("--json", "--checkpoint", "--vae"), PLACES),
    },
    "edit": {
        **dict.fromkeys(("--steps", "--cfg-weight", "--num-images", "--seed", "--strength"), NUMBERS),
        **dict.fromkeys(("--image", "--mask"), (*PLACES, *PICTURES)),
        **dict.fromkeys(("--checkpoint", "--vae"), PLACES),
        "--out": (*PICTURES, "folder", "nowhere/x.png", ""),
    },
    "inspect": {"--no": (None,)},
    "train": {
        **dict.fromkeys(("--steps", "--vae-steps", "--examples", "--batch-size", "--save-every", "--seed"), NUMBERS),
        "--out": PLACES,
    },
    "fine-tune": {
        **dict.fromkeys(("--data", "--from", "--vae", "--tokenizer"), (*PLACES, "own", "shapes", "mine")),
        "--out": (*PLACES, "own"),
        "--train": ("uvit", "lora", "all", "none"),
        "--dtype": ("float32", "bfloat16", "float16"),
        "--gradient-checkpointing": (None,),
        **dict.fromkeys(("--lora", "--learning-rate", "--gradient-accumulation-steps"), NUMBERS),
    },
    "reflow": {
        **dict.fromkeys(("--pairs", "--steps", "--batch-size", "--learning-rate", "--save-every", "--seed"), NUMBERS),
        "--out": PLACES,
        "--student": (*PLACES, "mine", "shapes-few"),
    },
    "sweep": {
        **dict.fromkeys(("--steps", "--cfg-weight", "--shift", "--captions", "--seed", "--processes"), NUMBERS),
        "--solver": ("euler", "rk45", ""),
        **dict.fromkeys(("--json", "--checkpoint"), PLACES),
    },
    "compare": {"--json": (*PLACES, "a.json", "b.json"), "--no": (None,)},
    "demo": {
        **dict.fromkeys(("--checkpoint", "--vae"), PLACES),
        "--port": NUMBERS,
        "--device": ("cpu", "warp"),
        "--dtype": ("float32", "int8"),
    },
    "bench": {
        **dict.fromkeys(("--images", "--prompt-tokens", "--rounds"), NUMBERS),
        **dict.fromkeys(("--json", "--plot"), PLACES),
    },
}
OWN = ("--data", "own", "--from", "mine", "--out", "new")
ONE = ("--solver", "euler", "--cfg-weight", "1", "--shift", "1")
SMALL = {
    "generate": ("--steps", "1", "--num-images", "1", "--device", "cpu"),
    "edit": ("--image", "whole.png", "--steps", "1", "--num-images", "1", "--device", "cpu"),
    "evaluate": ("--captions", "1", "--steps", "1", "--device", "cpu"),
    "train": ("--steps", "1", "--vae-steps", "1", "--examples", "2", "--batch-size", "2", "--device", "cpu"),
    "fine-tune": (*OWN, "--steps", "1", "--batch-size", "2", "--device", "cpu"),
    "reflow": ("--out", "new", "--steps", "1", "--pairs", "2", "--batch-size", "2", "--device", "cpu"),
    "sweep": ("--steps", "1", "--captions", "1", "--processes", "1", *ONE),
    "compare": ("b.json",),
    "demo": ("--host", "256.256.256.256"),  # nobody can listen there, so it ends
    "bench": ("--rounds", "1", "--device", "cpu"),
}
WORDS = {"generate": CAPTIONS, "edit": CAPTIONS, "decode": PLACES, "inspect": PLACES}
WORDS["compare"] = (*PLACES, *["a.json"] * len(PLACES))
NAMES = {"fine-tune": "train"}  # what a command is called


def something_of_everything(directory: Path) -> None:
    copy_of_shapes(directory / "mine")
    write_latents(directory / "z.safetensors", torch.zeros(1, 4, 12, 12))
    (directory / "prompts.txt").write_text("\ufeffa red circle\n\ntwo stars\n", encoding="utf-8")
    for name in PICTURES:
        damaged = {"exif": b"Exif\0\0" + b"\xff" * 30} if name.startswith("exif") else {}
        Image.new("RGB", (48, 48), "black" if name == "dark.png" else "white").save(directory / name, **damaged)
    (directory / "own").mkdir()
    Image.new("RGB", (50, 60), "red").save(directory / "own" / "red.png")
    (directory / "own" / "metadata.jsonl").write_text('{"file_name": "red.png", "text": "a red circle"}\n')
    reports(directory)
    (directory / "folder").mkdir()
    os.mkfifo(directory / "fifo")
    (directory / "link").symlink_to("z.safetensors")
    (directory / "zero").symlink_to("/dev/zero")


def ask(directory: Path) -> None:
    """Run the command line in the directory. Its inputs stay what they are, and what it says is one line."""
    words = json.loads((directory / ASKED).read_text())
    before = inputs(directory)
    code = f"from {main.__module__} import main; main()"
    command = [sys.executable, "-c", code, *(word.encode("utf-8", "surrogatepass") for word in words)]
    done = subprocess.run(command, cwd=directory, stdin=subprocess.DEVNULL, capture_output=True)
    said = lines_said(done.stderr)
    assert inputs(directory) == before, f"an input was changed: {words}"
    assert done.returncode in (0, 2), f"status {done.returncode}: {words}: {said[-1:]}"
    assert all(map(is_one_line, said)), f"more than a line: {words}: {said}"
    assert done.returncode == 0 or len(said) == 1, f"{len(said)} lines: {words}: {said}"


def inputs(directory: Path) -> dict[str, str]:
    """Return a digest of every file that is there before the command runs, and of no folder's own files."""
    paths = [path for name in ("mine", "own") for path in (directory / name).rglob("*.*")]
    paths += [directory / name for name in ("z.safetensors", "prompts.txt", "a.json", "b.json")]
    return {str(path): sha256(path.read_bytes()).hexdigest() for path in paths if path.is_file()} | {
        name: str((directory / name).lstat().st_mode) for name in ("fifo", "link", "zero", "folder")
    }


@may_work(something_of_everything, ask)
def options_against_each_other(directory: Path, random: Random) -> None:
    command = random.choice(sorted(OPTIONS))
    words = [NAMES.get(command, command)]
    words += [random.choice(WORDS[command])] if command in WORDS and random.random() < 0.9 else []
    words += SMALL.get(command, ())
    options = OPTIONS[command]
    for name in random.sample(sorted(options), min(len(options), random.choice((1, 2, 3)))):
        value = random.choice(options[name])
        words += [name] if value is None else [name, value]
    (directory / ASKED).write_text(json.dumps(words))
