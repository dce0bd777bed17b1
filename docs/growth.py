"""How time and memory grow with steps, images and tokens: python docs/growth.py measure (six minutes)

Each point is a process of its own, so that its memory is its own. Writes growth.json and pictures/growth.png.
"""

import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import torch
import typer
from tqdm import tqdm

from janus_minimal.bench.clock import peak_memory
from janus_minimal.bench.cost import llama, step_cost
from janus_minimal.bench.sizes import middle
from janus_minimal.bench.subject import Subject
from janus_minimal.figures.plots import growth
from janus_minimal.flow import time_grid
from janus_minimal.sampling import denoise

DOCS = Path(__file__).parent
CPU = torch.device("cpu")
ROUNDS = 3
app = typer.Typer(add_completion=False)


@dataclass(frozen=True)
class Point:
    """One generation at the middle size."""

    steps: int = 2
    images: int = 1
    prompt_tokens: int = 20
    side: int = 48

    def operations(self) -> int:
        """Of the prompt, once for both rows, and of the steps."""
        config, prompt = middle(), self.prompt_tokens
        return llama(config.language, 2, prompt, prompt) + self.steps * sum(
            step_cost(config, self.side, self.images, prompt).values()
        )


AXES = {
    "steps": [Point(steps=s) for s in (1, 2, 4, 8)],
    "images": [Point(images=b) for b in (1, 2, 4, 8)],
    "prompt tokens": [Point(prompt_tokens=length) for length in (20, 200, 400, 800)],
    "image tokens": [Point(side=side) for side in (16, 24, 32, 48, 64)],
}
VALUES = {
    "steps": lambda p: p.steps,
    "images": lambda p: p.images,
    "prompt tokens": lambda p: p.prompt_tokens,
    "image tokens": lambda p: (p.side // 2) ** 2,
}


@app.command()
def point(text: str) -> None:
    """Print the seconds, at best, and the memory of one point."""
    p = Point(**json.loads(text))
    subject = Subject.of(middle(), p.side, p.images, p.prompt_tokens, torch.float32, CPU)
    seconds = min(generation(subject, p.steps) for _ in range(ROUNDS))
    typer.echo(json.dumps({"seconds": seconds, "memory": peak_memory(CPU)}))


def generation(subject: Subject, steps: int) -> float:
    start = time.perf_counter()
    for _ in denoise(subject.model, subject.prompt, subject.z, time_grid(steps)):
        pass
    return time.perf_counter() - start


@app.command()
def measure() -> None:
    """Measure every point and draw them."""
    every = {p: None for points in AXES.values() for p in points}
    for p in tqdm(every, unit="point"):
        words = [sys.executable, __file__, "point", json.dumps(asdict(p))]
        said = subprocess.run(words, check=True, capture_output=True, text=True).stdout
        every[p] = json.loads(said) | asdict(p) | {"operations": p.operations()}
    pace = median(found["seconds"] / found["operations"] for found in every.values())
    for found in every.values():
        found["formula"] = found["operations"] * pace
    record = {axis: [every[p] | {"value": VALUES[axis](p)} for p in points] for axis, points in AXES.items()}
    (DOCS / "growth.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    growth(record, "Time and memory of a generation, middle size").savefig(DOCS / "pictures" / "growth.png", dpi=110)


if __name__ == "__main__":
    app()
