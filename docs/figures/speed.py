"""The figure of the chapter on speed, and what follows from the benches: python docs/figures/speed.py

Reads docs/bench/*.json, docs/released.json and docs/sizes.json; writes data/speed.json. Nothing is timed here.
"""

import json
from typing import Any

from canvas import BLUE, GREEN, ORANGE, PINK, SKY, Drawing, figure, main
from matplotlib.figure import Figure
from recipes import DATA, DOCS

from janus_minimal.bench.cost import llama, step_cost
from janus_minimal.config import JanusConfig

STEPS = 30
STAGES = ("encode", "align in", "language model", "align out", "decode")


def read(name: str) -> dict[str, Any]:
    return json.loads((DOCS / name).read_text(encoding="utf-8"))


def picture(prompt_tokens: int) -> dict[str, Any]:
    """Return what one picture of the released size takes: seconds and operations, by stage."""
    bench = read(f"bench/released-{prompt_tokens}.json")
    seconds = {name: STEPS * bench["stages"][name]["median"] / 1000 for name in STAGES}
    once = {name: bench["stages"][name]["median"] / 1000 for name in ("prefill", "VAE")}
    config = JanusConfig()
    operations = {name: STEPS * n for name, n in step_cost(config, 48, 1, prompt_tokens).items()}
    prefill = llama(config.language, 2, prompt_tokens, prompt_tokens)
    whole = sum(seconds.values()) + sum(once.values())
    step = sum(step_cost(config, 48, 1, prompt_tokens).values())
    return {
        "seconds": seconds | once,
        "minutes": whole / 60,
        "seconds a step": bench["loops"]["ours"]["median"] / 1000,
        "share of the language model": seconds["language model"] / whole,
        "TFLOP a step": step / 1e12,
        "TFLOP a picture": (sum(operations.values()) + prefill) / 1e12,
        "TFLOP": {name: n / 1e12 for name, n in (operations | {"prefill": prefill}).items()},
        "GFLOP a second": max(bench["products"].values()) / 1e9,
        "floor, seconds a step": bench["floor"] / 1000,
        "over the floor": bench["over the floor"],
    }


def benches() -> list[dict[str, Any]]:
    """Return the benches of the page's table."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(DATA.parent.parent.glob("bench/*.json"))]


def later_over_earlier() -> dict[str, float]:
    """Return by how many per cent the run with 200 prompt tokens differs from the one with 20.

    The decoder never sees the prompt, so its difference is the machine's.
    """
    first, second = (read(f"bench/released-{tokens}.json") for tokens in (20, 200))
    step = 1 - second["loops"]["ours"]["median"] / first["loops"]["ours"]["median"]
    decode = 1 - second["stages"]["decode"]["median"] / first["stages"]["decode"]["median"]
    work = sum(second["operations"].values()) / sum(first["operations"].values()) - 1
    return {"operations, %": 100 * work, "step, %": 100 * step, "decode, %": 100 * decode}


def derived() -> dict[str, Any]:
    """Return the numbers of the page, and write them."""
    parameters = read("sizes.json")["released"]["parameters"]
    config = JanusConfig()
    found = {
        "20": picture(20),
        "200": picture(200),
        "stand-in minutes": STEPS * read("released.json")["steps"]["seconds a step"] / 60,
        "weights part, TFLOP": 2 * 2 * 577 * parameters["transformer blocks"] / 1e12,
        "attention part, TFLOP": config.language.num_hidden_layers * 4 * 2 * 577 * 2048 * 597 / 1e12,
        "farthest from ideal, %": max(abs(100 * (b["ratio"] / b["ideal"] - 1)) for b in benches()),
        "200 over 20": later_over_earlier(),
        "VAE GB": 4 * (parameters["VAE encoder"] + parameters["VAE decoder"]) / 1e9,
    }
    (DATA / "speed.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return found


@figure("speed_picture")
def speed_picture() -> Drawing:
    """Draw where operations and seconds of one picture go."""
    found = derived()["20"]
    seconds = found["seconds"]
    operations = found["TFLOP"]
    groups = {
        "language model": ("language model",),
        "U-ViT decoder": ("decode",),
        "U-ViT encoder, aligners": ("encode", "align in", "align out"),
        "prompt, once": ("prefill",),
        "VAE, once": ("VAE",),
    }
    colours = (BLUE, ORANGE, GREEN, PINK, SKY)
    drawn = Figure(figsize=(8.4, 2.5))
    ax = drawn.subplots()
    rows = {"operations": operations, "seconds": seconds}
    for y, (name, parts) in enumerate(rows.items()):
        whole, left = sum(parts.values()), 0.0
        for (label, members), colour in zip(groups.items(), colours, strict=True):
            width = 100 * sum(parts.get(member, 0.0) for member in members) / whole
            ax.barh(y, width, left=left, color=colour, label=label if name == "seconds" else None, height=0.55)
            left += width
    ax.set(yticks=range(2), yticklabels=list(rows), xlim=(0, 100), xlabel="per cent of one picture")
    ax.invert_yaxis()
    ax.tick_params(axis="y", length=0)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, 1.45), ncols=3, frameon=False, fontsize=10)
    share = 100 * seconds["language model"] / sum(seconds.values())
    work = 100 * operations["language model"] / sum(operations.values())
    rest = 100 * seconds["VAE"] / sum(seconds.values())
    return Drawing(
        drawn,
        alt="Two bars of 100 per cent, one for operations and one for seconds. Nearly all of both is the language model.",
        caption=f"Where one picture of the released size goes: {STEPS} steps, 20 prompt tokens, float32 on 2 CPU cores. "
        f"The language model does {work:.0f} % of the multiplications and takes {share:.0f} % of the time. The VAE, run "
        f"once at the end, takes {rest:.1f} % (its operations are not counted).",
    )


if __name__ == "__main__":
    main()
