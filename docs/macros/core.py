"""{{ core_files() }}: how long the eight files of the core are. {{ dependencies() }}: what the package needs."""

import runpy
import tomllib

from macros.excerpts import ROOT

HOLDS = {
    "flow": "the mathematics: line, velocity, Euler step, guidance; knows no network",
    "uvit": "the convolutions around the language model, and the time embedding",
    "prompt": "template, rows with and without the caption, masks, positions",
    "cache": "the prompt's keys and values, only read",
    "model": "the five stages of the network, with the official names",
    "sampling": "the loop",
    "pipeline": "from a caption to pictures: noise, loop, VAE",
    "config": "all sizes, checked when they are read",
}
USES = {
    "accelerate": "training on several processes and devices",
    "diffusers": "the VAE",
    "einops": "every change of a tensor's layout, by the names of its axes",
    "filelock": "one process at a time writes a run's folder",
    "huggingface-hub": "downloads of checkpoints",
    "jaxtyping": "shapes in annotations, which the tests enforce",
    "matplotlib": "loss curves and other plots",
    "numpy": "arrays of pixels, and the drawn scenes",
    "pillow": "reading and writing pictures",
    "pydantic": "checks of config files",
    "rich": "the model's tree in the terminal",
    "safetensors": "weights and latents in files that cannot run code",
    "scipy": "connected things in the scorer",
    "tokenizers": "tokenizers, trained and loaded",
    "torch": "everything that computes",
    "tqdm": "progress bars",
    "transformers": "the Llama blocks, and loading tokenizers",
    "typer": "the command line",
}


def core_files() -> str:
    """A row for each file of the core, in reading order, and their sum."""
    tool = runpy.run_path(str(ROOT / "tests" / "tools" / "prose.py"))
    rows, sums = [], [0, 0]
    for name in tool["CORE"]:
        counted = tool["prose_and_code"]((tool["PACKAGE"] / f"{name}.py").read_text(encoding="utf-8"))
        sums = [total + lines for total, lines in zip(sums, counted, strict=True)]
        rows.append(f"| [`{name}.py`](api/{name}.md) | {HOLDS[name]} | {counted[1]} | {counted[0]} |")
    head = ["| file | what it holds | lines of code | lines of prose |", "| --- | --- | ---: | ---: |"]
    return "\n".join([*head, *rows, f"| **all eight** | | **{sums[1]}** | **{sums[0]}** |"])


def dependencies() -> str:
    """A row for each dependency of the package, with the oldest version that is allowed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    split = (text.partition(">=") for text in project["dependencies"])
    rows = [f"| {name} | {'≥ ' + bound.replace(',<', ', < ')} | {USES[name]} |" for name, _, bound in split]
    return "\n".join(["| library | version | what for |", "| --- | --- | --- |", *rows])
