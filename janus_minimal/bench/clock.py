"""Timing by turns: every action runs once in each round, so that a noisy minute is noisy for all of them."""

import resource
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor
from tqdm import tqdm

Action = Callable[[], object]


@dataclass(frozen=True)
class Spread:
    """What an action took, in milliseconds: the median of its rounds, the least and the most."""

    median: float
    low: float
    high: float


def by_turns(actions: Mapping[str, Action], rounds: int, bar: tqdm) -> dict[str, Spread]:
    """Run every action once to warm up, then once a round; the bar moves by one for each."""
    bar.reset(len(actions) * (rounds + 1))
    for action in actions.values():
        action()
        bar.update()
    taken: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(rounds):
        for name, action in actions.items():
            taken[name].append(milliseconds(action))
            bar.update()
    return {name: Spread(median(times), min(times), max(times)) for name, times in taken.items()}


def milliseconds(action: Action) -> float:
    """How long an action takes, the GPU's part included."""
    synchronize()
    start = time.perf_counter()
    action()
    synchronize()
    return 1000 * (time.perf_counter() - start)


def synchronize() -> None:
    """Wait for what a GPU has been given to do."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def peak_memory(device: torch.device) -> int:
    """The most bytes in use so far: of the GPU's memory there, else of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def product(rows: int, width: int, outputs: int, dtype: torch.dtype, device: torch.device) -> Action:
    """A matrix product of this size, the least that a linear layer can cost."""
    a: Tensor = torch.randn(rows, width, device=device).to(dtype)
    b: Tensor = torch.randn(width, outputs, device=device).to(dtype)
    return lambda: a @ b
