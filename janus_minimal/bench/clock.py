"""Timing in turns: every action runs once in each round, so that a slow minute of the machine slows all of them."""

import resource
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor
from tqdm import tqdm

Action = Callable[[], object]


@dataclass(frozen=True)
class Spread:
    """The time of an action in milliseconds: the median, the shortest and the longest of its rounds."""

    median: float
    low: float
    high: float


def by_turns(actions: Mapping[str, Action], rounds: int, bar: tqdm) -> dict[str, Spread]:
    """Run every action once to warm up, then once in each round. The bar moves by one for each run."""
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
    """Return the time of an action, until the accelerator has finished its part too."""
    synchronize()
    start = time.perf_counter()
    action()
    synchronize()
    return 1000 * (time.perf_counter() - start)


def synchronize() -> None:
    """Wait until the accelerator has done its work. Calls to it return before that."""
    if torch.accelerator.is_available():
        torch.accelerator.synchronize()


def peak_memory(device: torch.device) -> int:
    """Return the most bytes in use so far: tensors on the accelerator, if it counts them, else all of this process.

    For MPS, PyTorch counts them in new releases only, and older ones raise RuntimeError. Its memory is shared with the
    CPU, so the process's own number stands in for it there.
    """
    if device.type != "cpu":
        with suppress(RuntimeError):
            return torch.accelerator.max_memory_allocated(device)
    unit = (
        1 if sys.platform == "darwin" else 1024
    )  # of ru_maxrss: bytes on macOS, kilobytes on Linux
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def product(
    rows: int, width: int, outputs: int, dtype: torch.dtype, device: torch.device
) -> Action:
    """Return a matrix product of this size. A linear layer of the size cannot be faster."""
    a: Tensor = torch.randn(rows, width, device=device).to(dtype)
    b: Tensor = torch.randn(width, outputs, device=device).to(dtype)
    return lambda: a @ b
