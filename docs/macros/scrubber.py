"""{{ scrubber() }}: the controls and the five frames of the lab's film; assets/scrubber.js moves them."""

import json
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "scrubber"
SAID = {
    "z": "z, decoded",
    "v_cond": "v_cond: with the prompt",
    "v_uncond": "v_uncond: without it",
    "v": "v: guided",
    "denoised": "denoised prediction, decoded",
}


def scrubber() -> str:
    """Three choices, a slider, five frames. The sheet of the first choice shows at once, without a script too."""
    choices = json.loads((FOLDER / "choices.json").read_text(encoding="utf-8"))
    steps, rows = choices["steps"], choices["rows"]
    controls = [
        _select("prompt", choices["prompts"]),
        _select("seed", [f"{seed}" for seed in choices["seeds"]]),
        _select("weight", [f"{weight:g}" for weight in choices["weights"]]),
        f'<label class="step">step <input type="range" name="step" min="0" max="{steps - 1}" value="0">'
        f"<output>step 0 of 0 to {steps - 1}, t = 0.00</output></label>",
    ]
    frames = [_frame(name, row, len(rows), steps) for row, name in enumerate(rows)]
    inside = f'<div class="controls">{"".join(controls)}</div><div class="frames">{"".join(frames)}</div>'
    return f'<form class="scrubber" data-steps="{steps}" onsubmit="return false">{inside}</form>'


def _select(name: str, options: list[str]) -> str:
    values = [index if name == "prompt" else option for index, option in enumerate(options)]
    chosen = ["" if option != "2" or name != "weight" else " selected" for option in options]
    items = [f'<option value="{v}"{c}>{option}</option>' for v, c, option in zip(values, chosen, options, strict=True)]
    return f'<label>{name} <select name="{name}">{"".join(items)}</select></label>'


def _frame(name: str, row: int, rows: int, steps: int) -> str:
    """One frame: the sheet, as large as it is many frames, moved to this row."""
    style = f"background-size: {100 * steps}% {100 * rows}%; background-position: 0% {100 * row / (rows - 1):g}%"
    picture = f'<div class="frame" role="img" aria-label="{SAID[name]}" style="{style}"></div>'
    return f"<figure>{picture}<figcaption>{SAID[name]}</figcaption></figure>"
