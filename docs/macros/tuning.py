"""{{ tuned_ways() }}: what each way to fine-tune learned and forgot. {{ what_to_have() }}: the memory that it needs.

{{ tuning_times() }}: how long it should take, by data sheet. {{ save_peak("all") }}: the memory of a save, in GB.
All from what docs/figures/fine_tuning.py measured and counted.
"""

import json
from pathlib import Path
from typing import Any

from macros.estimates import DEVICES, REACHED

RECORD = Path(__file__).parent.parent / "figures" / "data" / "fine-tuning.json"
MERGED = 24 * (4 * 2048**2 + 3 * 2048 * 5632)  # weights of the linear layers that adapters change, released size
ADVICE = {  # options: what they are called in the record, and the memory to have, in GB
    "--train all": ("all", 40),
    "--lora 16": ("lora 16", 24),
    "--lora 16 --dtype bfloat16": ("lora 16, bfloat16", 12),
    "the same and --gradient-checkpointing": ("lora 16, bfloat16, checkpointing", 12),
}
NEW = ("new colour", "new shape", "new beside old", "both, never shown")


def tuned_ways() -> str:
    """A row for the model before, and one for each way that has been measured."""
    found = json.loads(RECORD.read_text(encoding="utf-8"))
    heads = ("", "weights that train", "steps", *NEW, "old captions")
    rows = [_row(name, entry) for name, entry in found.items() if "scores" in entry]
    return "\n".join([f"| {' | '.join(heads)} |", "| --- |" + " ---: |" * (len(heads) - 1), *rows])


def _row(name: str, entry: dict[str, Any]) -> str:
    trained = [f"{entry[key]:,}" if key in entry else "" for key in ("trainable", "steps")]
    scores = [f"{entry['scores'][kind]:.2f}" for kind in NEW]
    return "| " + " | ".join([name, *trained, *scores, f"{entry['old']:.2f}"]) + " |"


def what_to_have() -> str:
    """A row for each choice of options: a step and a save as counted, a step as measured, and the advice."""
    found = json.loads(RECORD.read_text(encoding="utf-8"))
    measured = {"lora 16": f"{found['step, released']['peak'] / 1e9:.2f}, on a CPU"}
    rows = [
        f"| `{options}` | {found['released'][way]['sum']:.3g} | {save_peak(way)} | {measured.get(way, '')} | {advice} |"
        for options, (way, advice) in ADVICE.items()
    ]
    head = "| options | a step, counted | a save, counted | a step, measured | have |"
    return "\n".join([head, "| --- |" + " ---: |" * 4, *rows]).replace("`the same and ", "the same and `")


def save_peak(way: str) -> str:
    """What a save needs: a step without gradients and activations, and two copies of what was trained."""
    parts = json.loads(RECORD.read_text(encoding="utf-8"))["released"][way]
    lasting = sum(parts[name] for name in ("weights", "masters", "moments", "average"))
    merged = MERGED * (2 if "bfloat16" in way else 4) / 1e9
    return f"{lasting + 2 * (merged if way.startswith('lora') else parts['weights']):.1f}"


COUNTED = ("lora 16", "lora 16, checkpointing", "all", "all, checkpointing")
BATCH, STEPS = 16, 1000


def tuning_times() -> str:
    """A row for each GPU: seconds of a step and length of a run, at a half and at a quarter of its data sheet."""
    found = json.loads(RECORD.read_text(encoding="utf-8"))["operations"]
    head = f"| GPU, TFLOP/s | {' | '.join(f'`{way}`' if way in ('all', 'lora 16') else way for way in COUNTED)} |"
    rows = [
        f"| {name}, {rate} | " + " | ".join(_times(found[way]["sum"], rate) for way in COUNTED) + " |"
        for name, (rate, _) in DEVICES.items()
    ]
    return "\n".join([head, "| --- |" + " --- |" * len(COUNTED), *rows])


def _times(tera: float, rate: float) -> str:
    seconds = [BATCH * tera / (share * rate) for share in REACHED]
    return f"{seconds[0]:.2g} to {seconds[1]:.2g} s; {_long(seconds[0])} to {_long(seconds[1])}"


def _long(seconds: float) -> str:
    minutes = STEPS * seconds / 60
    return f"{minutes:.0f} min" if minutes < 100 else f"{minutes / 60:.1f} h"
