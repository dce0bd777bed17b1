"""The page itself, made of Gradio's parts: what can be set, what is shown, and who waits for whom.

Nothing on it leaves this machine. Gradio's own habits that would are switched off here and in
serve.py: reports of use, the search for a newer version, fonts of another host, links to share.
"""

from base64 import b64encode
from collections.abc import Iterator
from html import escape
from io import BytesIO
from typing import Any, no_type_check

import gradio as gr
from PIL import Image

from janus_minimal.demo.play import Frame, play
from janus_minimal.errors import InputError
from janus_minimal.jobs.request import Request
from janus_minimal.pipeline import JanusFlowPipeline
from janus_minimal.solvers import SOLVERS

MOST_SEED = 2**53 - 1  # the largest whole number that a page can hold exactly
EXAMPLES = {
    "shapes": ["a red circle left of a blue square", "three yellow stars", "a green triangle"]
}
KEPT = 3600  # seconds for which a drawn picture's file is kept

CSS = """
.run { display: flex; flex-wrap: wrap; align-items: center; gap: .3rem 1rem; min-height: 2rem; }
.run progress { flex: 1 1 12rem; height: .5rem; appearance: none; border: 0; }
.run progress, .run progress::-webkit-progress-bar { background: var(--border-color-primary); }
.run progress::-webkit-progress-value { background: var(--color-accent); }
.run progress::-moz-progress-bar { background: var(--color-accent); }
.run progress, .run progress::-webkit-progress-value { border-radius: .25rem; }
.strip { display: grid; grid-template-columns: repeat(4, 1fr); gap: .5rem; }
@media (min-width: 60rem) { .strip { grid-template-columns: repeat(8, 1fr); } }
.strip figure { margin: 0; }
.strip img { width: 100%; }
.strip figcaption { font-size: .8rem; text-align: center; font-variant-numeric: tabular-nums; }
"""


def build_page(pipe: JanusFlowPipeline, checkpoint: str) -> gr.Blocks:
    """Return the page for one model.

    One run goes on at a time, whoever asks for it, and the others wait in a queue. Two runs
    together would each take twice as long, and both together twice the memory.

    Args:
        pipe: what draws.
        checkpoint: its name, to be shown. For a bundled one there are prompts to choose from.
    """
    with gr.Blocks(
        title="JanusFlow, step by step", analytics_enabled=False, delete_cache=(KEPT, KEPT)
    ) as page:
        gr.Markdown(f"# JanusFlow, step by step\nThe model is `{checkpoint}`.")
        with gr.Row():
            with gr.Column(scale=2):
                settings = _settings(EXAMPLES.get(checkpoint, []))
                with gr.Row():
                    draw, stop = gr.Button("Draw", variant="primary"), gr.Button("Stop")
            with gr.Column(scale=3):
                shown = _shown()
        run = gr.on(
            [draw.click, settings[0].submit],
            _drawing_with(pipe),
            settings,
            shown,
            api_name="draw",
            concurrency_limit=1,
            show_progress="minimal",
            show_progress_on=shown[1],
        )
        stop.click(None, cancels=[run], api_visibility="private")
    return page


def _settings(examples: list[str]) -> list[Any]:
    """Return the parts that hold a request, in the order of its fields."""
    start = Request(examples[0] if examples else "")
    prompt = gr.Textbox(start.prompt, label="Prompt", max_lines=4, autofocus=True)
    if examples:
        gr.Examples([[text] for text in examples], prompt, api_visibility="private")
    return [
        prompt,
        gr.Slider(1, 100, start.steps, step=1, label="Steps"),
        gr.Slider(0, 10, start.cfg_weight, step=0.1, label="Guidance weight"),
        gr.Slider(1, 16, start.num_images, step=1, label="Pictures"),
        gr.Number(start.seed, label="Seed", precision=0, minimum=0, maximum=MOST_SEED),
        gr.Dropdown(list(SOLVERS), value=start.solver, label="Solver"),
    ]


def _shown() -> list[Any]:
    """Return the parts that show a frame: how far the run is, the sheet, and the film strip."""
    return [
        gr.HTML(said("ready"), label="Progress", show_label=False),
        gr.Image(label="Pictures", format="png", buttons=["download", "fullscreen"]),
        gr.HTML(label="Denoised prediction z + (1 - t) v, from noise to picture", show_label=False),
    ]


def _drawing_with(pipe: JanusFlowPipeline) -> Any:
    """Return what a press of the button does."""

    @no_type_check  # a checker wraps it, and Gradio then takes it for a plain function
    def draw(
        prompt: str, steps: int, cfg_weight: float, num_images: int, seed: int | None, solver: str
    ) -> Iterator[tuple[str, Any, str]]:
        """Draw pictures of a prompt: progress, the sheet so far, and at the end the film strip."""
        request = Request(prompt, steps, cfg_weight, num_images, seed or 0, solver)
        try:
            for frame in play(pipe, request):
                yield progress_bar(frame), frame.sheet, film_strip(frame)
        except InputError as error:
            # The page shows it where the progress stands; a program that called gets an error.
            yield said(f"not drawn: {error}"), None, ""
            raise gr.Error(escape(str(error)), visible=False, print_exception=False) from None

    return draw


def said(text: str) -> str:
    """Return a line in HTML. The text may quote what somebody typed or pasted, so it is escaped."""
    return f'<div class="run" role="status">{escape(text)}</div>'


def progress_bar(frame: Frame) -> str:
    """Return how far the run is, in HTML."""
    text = f"step {frame.done} of {frame.steps}, t = {frame.t:.2f}"
    bar = f'<progress max="{frame.steps}" value="{frame.done}"></progress>'
    return f'<label class="run">{text} {bar}</label>'


def film_strip(frame: Frame) -> str:
    """Return the chosen steps side by side, in HTML; nothing before the end of the run.

    The pictures stand in the HTML itself, because Gradio's own gallery cuts their edges off.
    """
    if not frame.strip:
        return ""
    shown = "".join(
        f'<figure><img alt="{when}" src="{_data_url(sheet)}"><figcaption>{when}</figcaption></figure>'
        for sheet, when in frame.strip
    )
    return f'<p>The denoised prediction z + (1 - t) v:</p><div class="strip">{shown}</div>'


def _data_url(picture: Image.Image) -> str:
    """Return a picture as a WebP in an address."""
    file = BytesIO()
    picture.save(file, format="webp")
    return f"data:image/webp;base64,{b64encode(file.getvalue()).decode()}"
