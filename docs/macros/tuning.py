"""{{ tuned_ways() }}: what each way to fine-tune learned and forgot, as docs/figures/fine_tuning.py measured it."""

import json
from pathlib import Path
from typing import Any

RECORD = Path(__file__).parent.parent / "figures" / "data" / "fine-tuning.json"
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
