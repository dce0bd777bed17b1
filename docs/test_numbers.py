"""Numbers that the site shows: those that take no minutes are what their scripts compute today."""

import json
import runpy
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

import growth
import numpy as np
import pytest
import scrubber
import torch
from macros.excerpts import read
from PIL import Image

from janus_minimal import JanusFlowPipeline
from janus_minimal.bench.sizes import SDXL_VAE
from janus_minimal.config import JanusConfig
from janus_minimal.loading.config_file import read_config
from janus_minimal.loading.hub import find_checkpoint

DOCS = Path(__file__).parent
PICTURES = {"pictures", "picture"}  # another version of a library may write other bytes of the same pixels
Script = dict[str, Any]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[str], Script]]:
    """What a script defines. It finds its neighbours, and afterwards torch computes gradients again."""

    def defined(name: str) -> Script:
        monkeypatch.syspath_prepend(str((DOCS / name).parent))
        return runpy.run_path(str(DOCS / name), run_name="imported")

    monkeypatch.setenv("TUNING", str(tmp_path))  # else figures/fine_tuning.py makes a folder that stays
    before = torch.is_grad_enabled()
    torch.set_grad_enabled(False)
    yield defined
    torch.set_grad_enabled(before)


def bundled_vae() -> dict[str, Any]:
    config = json.loads((find_checkpoint("shapes") / "vae" / "config.json").read_text(encoding="utf-8"))
    return {key: value for key, value in config.items() if not key.startswith("_")}


def shapes() -> JanusFlowPipeline:
    return JanusFlowPipeline.from_pretrained("shapes")


COMPUTED: list[tuple[str, str, str, Callable[[Script], Any]]] = [  # script, record, its key, what computes it
    ("sizes.py", "sizes.json", "released", lambda s: s["sizes"](JanusConfig(), SDXL_VAE)),
    ("sizes.py", "sizes.json", "bundled", lambda s: s["sizes"](read_config(find_checkpoint("shapes")), bundled_vae())),
    *(("figures/speed.py", "speed", str(n), lambda s, n=n: s["picture"](n)) for n in (20, 200)),
    ("figures/speed.py", "speed", "200 over 20", lambda s: s["later_over_earlier"]()),
    ("figures/loop.py", "loop", "released step", lambda s: s["released_step"]()),
    ("figures/loop.py", "loop", "example", lambda s: s["example"](shapes())),
    ("figures/numerics.py", "numerics", "golden", lambda s: s["golden"]()),
    ("figures/numerics.py", "numerics", "rope", lambda s: s["rope"]()),
    *(("figures/uvit.py", "uvit", key, lambda s, key=key: s["MEASURES"][key]()) for key in ("gelu", "parameters")),
    *(("figures/time.py", "time", key, lambda s, key=key: s["MEASURES"][key]()) for key in ("likeness", "scales")),
    ("figures/latents.py", "latents", "mixing", lambda s: s["mixing"]()),
    ("figures/curve.py", "training-curve", "bundled", lambda s: {str(k): s["read_picture"](k) for k in s["BUNDLED"]}),
    ("figures/memory.py", "memory", "bfloat16", lambda s: s["counted"](lambda n: s["step"](n, torch.bfloat16))),
    ("figures/memory.py", "memory", "VAE", lambda s: s["counted"](s["decoding"])),
    ("figures/fine_tuning.py", "fine-tuning", "released", lambda s: s["count_released"]()),
    ("figures/prompt.py", "prompt", "trained on", lambda s: s["trained_on"](shapes().tokenizer)),
]


@pytest.mark.parametrize(
    ("name", "record", "key", "compute"), COMPUTED, ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_number_of_the_site_is_what_its_script_computes(script, name, record, key, compute):
    """A record that is older than the script, or a script that went wrong, would tell the reader something false."""
    kept = read(record if record.endswith(".json") else f"figures/data/{record}.json", key)
    assert_close(compute(script(name)), kept)


def assert_close(found: Any, kept: Any) -> None:
    """Two trees of dicts are the same, but for pictures. Whole numbers are equal, and others nearly.

    Nearly: another processor rounds otherwise, by up to 0.2 % of the largest number of a list.
    """
    if isinstance(kept, dict):
        assert {*map(str, found)} == kept.keys()
        for key, value in found.items():
            if key not in PICTURES:
                assert_close(value, kept[str(key)])
    elif isinstance(kept, str | int):
        assert found == kept
    else:
        found, kept = (np.asarray(value, dtype=float) for value in (found, kept))
        np.testing.assert_allclose(found, kept, rtol=0, atol=2e-3 * np.abs(kept).max())


def test_the_formula_beside_the_measured_times_is_the_count_of_operations():
    """Each point's operations are counted from its sizes, and all have the pace of the middle one."""
    rows = [row for axis in read("growth.json").values() for row in axis]
    points = {json.dumps({key: row[key] for key in vars(growth.Point())}): row for row in rows}
    for told, row in points.items():
        assert row["operations"] == growth.Point(**json.loads(told)).operations()
    pace = median(row["seconds"] / row["operations"] for row in points.values())
    for axis, line in read("growth.json").items():
        assert [row["value"] for row in line] == [growth.VALUES[axis](point) for point in growth.AXES[axis]]
        assert [row["formula"] for row in line] == pytest.approx([pace * row["operations"] for row in line])


def test_the_alignment_is_summed_up_over_its_seeds():
    """Means and deviations of each kind, and of its difference from the runs without, seed by seed."""
    told = read("alignment.json")
    kinds = told["runs"]
    for kind, runs in kinds.items():
        for key in runs[0]:
            values, others = ([run[key] for run in some] for some in (runs, kinds["without"]))
            assert told[kind][key] == pytest.approx({"mean": mean(values), "std": stdev(values)})
            if kind != "without":
                apart = [a - b for a, b in zip(values, others, strict=True)]
                assert told["difference"][kind][key] == pytest.approx({"mean": mean(apart), "std": stdev(apart)})


def test_the_ratios_of_the_throughput_are_those_of_its_rates():
    rows = read("throughput.json")
    assert [row["ratio"] for row in rows] == pytest.approx([row["rate"] / rows[0]["rate"] for row in rows])
    assert (rows[0]["processes"], rows[0]["threads"]) == (1, 1)


def test_the_scrubber_shows_the_steps_of_the_bundled_model(monkeypatch):
    """One of its sheets, nearly: what is kept has lost some details. Each row is nearest to its own."""
    prompt, seed, weight = 1, 2, 5.0
    monkeypatch.setattr(scrubber, "PROMPTS", scrubber.PROMPTS[prompt : prompt + 1])
    monkeypatch.setattr(scrubber, "SEEDS", (seed,))
    pipe = shapes()
    drawn = np.asarray(scrubber.sheet(pipe, scrubber.run(pipe, weight), 0), dtype=float)
    with Image.open(DOCS / "scrubber" / f"{prompt}-{seed}-{weight:g}.webp") as sheet:
        kept = np.asarray(sheet.convert("RGB"), dtype=float)
    rows, ours = (picture.reshape(len(scrubber.ROWS), -1) for picture in (kept, drawn))
    apart = np.abs(ours[:, None] - rows).mean(-1)
    assert apart.argmin(axis=1).tolist() == [*range(len(rows))], apart
    assert apart.diagonal().max() < 14  # of 255
