"""Pictures in a second, by the number of processes: python docs/throughput.py (six minutes) writes throughput.json."""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from tqdm import tqdm

from janus_minimal.shapes.evaluate import fresh_captions

FEW, MANY = 4, 24  # prompts: what the first ones take is starting, the others are the rate
RUNS = [(1, 1), (1, 2), (2, 1)]  # processes, threads of each
ROUNDS = 3


def seconds(processes: int, threads: int, prompts: int) -> float:
    """Of `accelerate launch`, four pictures for each prompt."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "prompts.txt"
        file.write_text("\n".join(map(str, fresh_captions("position", prompts, seed=0))), encoding="utf-8")
        several = ["--multi_gpu"] if processes > 1 else ["--cpu"]
        launch = [sys.executable, "-m", "accelerate.commands.launch", *several, "--num_processes", str(processes)]
        generate = ["-m", "janus_minimal", "generate", "--prompts", str(file), "--out", f"{folder}/album"]
        start = time.perf_counter()
        environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
        subprocess.run([*launch, *generate], check=True, capture_output=True, env=environment)
        return time.perf_counter() - start


def main() -> None:
    """By turns, the median of three rounds, so that a noisy minute is noisy for all."""
    taken: dict[tuple[int, int], list[float]] = {run: [] for run in RUNS}
    for _ in tqdm(range(ROUNDS), unit="round"):
        for run in RUNS:
            taken[run].append(seconds(*run, MANY) - seconds(*run, FEW))
    rates = {run: 4 * (MANY - FEW) / median(times) for run, times in taken.items()}
    record = [
        {"processes": p, "threads": t, "rate": rate, "ratio": rate / rates[RUNS[0]]} for (p, t), rate in rates.items()
    ]
    (Path(__file__).parent / "throughput.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
