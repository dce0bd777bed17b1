"""Which operations a step spends its time on: python docs/figures/profiled.py (one thread; writes data/profiled.json)

The page's own lines profile a step of the bundled model. The same is done here for the middle size, whose matrices are
large, and both are summed up by kind of operation.
"""

import json
from collections import Counter
from typing import Any

import torch
from recipes import DATA
from torch.profiler import ProfilerActivity, profile

from janus_minimal import denoise, time_grid
from janus_minimal.bench.sizes import sized
from janus_minimal.bench.subject import Subject

KINDS = {
    "aten::mm": "matrix products",
    "aten::addmm": "matrix products",
    "aten::bmm": "matrix products",
    "aten::_scaled_dot_product_flash_attention_for_cpu": "fused attention",
    "aten::mkldnn_convolution": "convolutions",
    "aten::copy_": "copies and joins",
    "aten::cat": "copies and joins",
}
STEPS = {"small": 20, "middle": 2}
SIDES = {"small": 12, "middle": 48}


def profiled(size: str) -> dict[str, Any]:
    """Return the share of each kind of operation in a step, and how many operations a step starts."""
    subject = Subject.of(sized(size), SIDES[size], 1, 20, torch.float32, torch.device("cpu"))
    steps = denoise(subject.model, subject.prompt, subject.z, time_grid(STEPS[size] + 1))
    next(steps)
    with profile(activities=[ProfilerActivity.CPU]) as record:
        for _ in steps:
            pass
    taken: Counter[str] = Counter()
    events = [event for event in record.key_averages() if event.key.startswith("aten::")]
    for event in events:
        taken[KINDS.get(event.key, "everything else")] += event.self_cpu_time_total
    shares = {kind: 100 * time / sum(taken.values()) for kind, time in taken.items()}
    return {"shares, %": shares, "operations": round(sum(event.count for event in events) / STEPS[size])}


if __name__ == "__main__":
    torch.set_num_threads(1)
    found = {size: profiled(size) for size in STEPS}
    (DATA / "profiled.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
