"""The demo, without its page: the steps of a request, and what is shown of each."""

import logging
import re
import sys
from base64 import b64decode
from dataclasses import replace
from fractions import Fraction
from io import BytesIO
from types import SimpleNamespace
from unittest.mock import MagicMock, Mock

import numpy as np
import pytest
import torch
from PIL import Image

from janus_minimal import PromptPair, demo, denoise, time_grid
from janus_minimal.cli import main
from janus_minimal.demo.play import Frame, play, sheet_of
from janus_minimal.errors import InputError
from janus_minimal.figures.contact_sheet import contact_sheet
from janus_minimal.jobs.request import Request
from janus_minimal.solvers import SOLVERS


def noise(*seeds: int) -> torch.Tensor:
    return torch.stack([torch.randn(4, 12, 12, generator=torch.Generator().manual_seed(seed)) for seed in seeds])


@pytest.mark.parametrize("solver", sorted(SOLVERS))
def test_walking_through_a_request_is_drawing_it(pipe, solver):
    """Request.walk: as many steps as are asked for, and the last one's z_next is Request.draw, to the bit.

    Who watches a run gets the pictures of one who does not, and the shared seed means the same to both.
    """
    request = Request("two stars", steps=3, cfg_weight=3.0, num_images=2, seed=5, solver=solver, shift=2.0)
    steps = list(request.walk(pipe))
    assert [step.index for step in steps] == [0, 1, 2]
    assert torch.equal(steps[-1].z_next, request.draw(pipe, progress=False))


@pytest.mark.parametrize("weight", [np.float32(2.5), Fraction(5, 2)])
def test_a_walk_takes_a_weight_of_any_kind(unchecked, pipe, weight):
    """walk(w) of NumPy's numbers or a Fraction = walk(float(w)), to the bit.

    A slider gives NumPy's numbers, and torch multiplies by no Fraction.
    """
    found, expected = (next(Request("a star", 1, w, num_images=1).walk(pipe)) for w in (weight, 2.5))
    assert torch.equal(found.z_next, expected.z_next)


def test_a_walk_that_is_left_computes_nothing_more(pipe, monkeypatch):
    """After next() was called k times, the solver has taken k steps and no more.

    This is how a run is stopped: nobody asks for the next step.
    """
    taken = []

    def counting(*given):
        for step in denoise(*given):
            taken.append(step.index)
            yield step

    monkeypatch.setitem(SOLVERS, "euler", counting)
    walk = Request("a star", steps=30, num_images=1).walk(pipe)
    next(walk), next(walk)
    walk.close()
    assert taken == [0, 1]


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"prompt": " "}, "the prompt is empty"),
        ({"prompt": "a pink dog"}, "does not know"),
        ({"prompt": "a star " * 300}, "prompt tokens"),
        ({"steps": 0}, "steps is 0"),
        ({"solver": "magic"}, "solver is 'magic'"),
        ({"cfg_weight": float("nan")}, "guidance weight"),
        ({"cfg_weight": 1e38}, "not finite"),
    ],
)
def test_a_walk_refuses_what_cannot_be_drawn(pipe, wrong, reason):
    """A prompt, a number of steps, a solver or a weight that cannot be used  =>  InputError, as for draw.

    A weight that drives the latent to infinity is found at the step where it happens.
    """
    with pytest.raises(InputError, match=reason):
        list(Request(**{"prompt": "a star", "steps": 2, "num_images": 1, **wrong}).walk(pipe))


def test_each_frame_shows_the_prediction_and_the_last_one_the_pictures(pipe):
    """Frame k of S: a sheet of z + (1 - t) v, two by two for four images, t = k / S; frame S: the decoded z_next.

    The strip of chosen steps comes with the last frame, each named by the time at which its step began.
    """
    frames = list(play(pipe, Request("two stars", steps=3, solver="heun", seed=7)))
    prompt = PromptPair.from_text("two stars", pipe.tokenizer, 4)
    steps = list(SOLVERS["heun"](pipe.model, prompt, noise(7, 8, 9, 10), time_grid(3), 2.0))
    shown = [step.z + (1 - step.t) * step.v for step in steps]
    for frame, z in zip(frames, [*shown[:2], steps[-1].z_next], strict=True):
        expected = contact_sheet(pipe.to_pictures(z), columns=2)
        assert np.array_equal(np.asarray(frame.sheet), np.asarray(expected))
    assert [(frame.done, frame.steps, round(frame.t, 4)) for frame in frames] == [
        (1, 3, 0.3333),
        (2, 3, 0.6667),
        (3, 3, 1),
    ]
    three = sheet_of(pipe.to_pictures(shown[0])[:3])
    assert three.size == frames[0].sheet.size  # two by two, with a place that stays white
    assert [frame.strip for frame in frames[:2]] == [[], []]
    assert [when for _, when in frames[2].strip] == ["t = 0.00", "t = 0.33", "t = 0.67"]
    for (sheet, _), z in zip(frames[2].strip, shown, strict=True):
        assert np.array_equal(np.asarray(sheet), np.asarray(contact_sheet(pipe.to_pictures(z), columns=2)))


@pytest.mark.parametrize(("pictures", "columns"), [(1, 1), (2, 2), (4, 2), (5, 3), (9, 3), (10, 4), (16, 4)])
def test_a_sheet_is_a_square_as_far_as_its_pictures_fill_it(pictures, columns):
    """sheet_of(n pictures) has ceil(sqrt(n)) columns, and as many rows as these need.

    Sixteen pictures in two columns would be a strip eight pictures high.
    """
    rows = -(-pictures // columns)
    images = [Image.new("RGB", (192, 192))] * pictures
    assert sheet_of(images).size == (8 + 200 * columns, 8 + 200 * rows)


class Blocks:
    """Stands for Gradio's page: it says where it is when it is served."""

    def __init__(self, **how):
        self.launch, self.close, self.how = Mock(return_value=(None, "http://here", None)), Mock(), how

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None


class PageError(Exception):
    """Stands for Gradio's own error, which takes options."""

    def __init__(self, text, **how):
        super().__init__(text)
        self.how = how


def forget_the_page():
    """Let the next import of the page find the Gradio that is there then."""
    for name in ("page", "serve"):
        sys.modules.pop(f"janus_minimal.demo.{name}", None)
        vars(demo).pop(name, None)


@pytest.fixture
def gradio(monkeypatch):
    """A stand-in for Gradio, which the package need not have: it remembers which parts were asked for."""
    parts = (
        "Row",
        "Column",
        "Markdown",
        "Textbox",
        "Examples",
        "Slider",
        "Number",
        "Dropdown",
        "HTML",
        "Image",
        "Button",
    )
    stand_in = SimpleNamespace(
        Blocks=Blocks, Error=PageError, **{name: MagicMock() for name in (*parts, "on", "themes")}
    )
    monkeypatch.setitem(sys.modules, "gradio", stand_in)
    forget_the_page()
    yield stand_in
    forget_the_page()


def test_the_page_draws_what_is_set_on_it(gradio, pipe, monkeypatch):
    """draw(prompt, steps, weight, pictures, seed, solver) = play(Request(the same)); an empty seed is 0.

    The parts of the page have the order of these arguments, and one run has the machine for itself.
    """
    from janus_minimal.demo import page

    asked = []
    monkeypatch.setattr(page, "play", lambda _, request: asked.append(request) or iter(()))
    page.build_page(pipe, "shapes")
    draw, how = gradio.on.call_args.args[1], gradio.on.call_args.kwargs
    assert [*draw("a star", 2, 3.5, 4, 5, "heun"), *draw("a star", 2, 0, 4, None, "heun")] == []
    like = Request("a star", steps=2, cfg_weight=3.5, num_images=4, seed=5, solver="heun")
    assert asked == [like, replace(like, seed=0, cfg_weight=0)]
    assert [call.kwargs["label"] for call in gradio.Slider.call_args_list] == ["Steps", "Guidance weight", "Pictures"]
    settings = [gradio.Textbox, *[gradio.Slider] * 3, gradio.Number, gradio.Dropdown]
    assert gradio.on.call_args.args[2] == [part.return_value for part in settings]
    assert (how["concurrency_limit"], how["api_name"]) == (1, "draw")
    assert gradio.Number.call_args.kwargs["maximum"] == 2**53 - 1  # the largest that a page holds exactly


def test_the_page_begins_and_ends_a_run_as_its_parts_say(gradio, pipe):
    """Draw, and Enter in the prompt, begin a run; Stop cancels that run; the ranges hold the official settings.

    A weight of 0 shows what the model draws without the prompt. Gradio is told to send nothing about the page away.
    """
    from janus_minimal.demo import page

    gradio.HTML.side_effect = ["progress", "strip"]
    gradio.Button.side_effect = draw, stop = MagicMock(), MagicMock()
    how = page.build_page(pipe, "shapes").how
    assert [call.args for call in gradio.Button.call_args_list] == [("Draw",), ("Stop",)]
    assert gradio.on.call_args.args[0] == [draw.click, gradio.Textbox.return_value.submit]
    assert stop.click.call_args.kwargs["cancels"] == [gradio.on.return_value]
    assert not draw.click.called
    assert [call.args for call in gradio.Slider.call_args_list] == [(1, 100, 30), (0, 10, 2.0), (1, 16, 4)]
    assert gradio.Dropdown.call_args.args == (list(SOLVERS),)
    assert gradio.Dropdown.call_args.kwargs["value"] == "euler"
    assert how["analytics_enabled"] is False
    assert how["delete_cache"] == (3600, 3600)  # a picture can be saved for an hour, and then its file is deleted
    assert [call.kwargs["step"] for call in gradio.Slider.call_args_list] == [1, 0.1, 1]
    assert gradio.Number.call_args.args == (0,)
    assert {key: gradio.Number.call_args.kwargs[key] for key in ("precision", "minimum")} == {
        "precision": 0,
        "minimum": 0,
    }
    assert gradio.Image.call_args.kwargs["format"] == "png"  # of the pixels that were drawn
    assert gradio.on.call_args.args[3] == ["progress", gradio.Image.return_value, "strip"]
    assert gradio.on.call_args.kwargs["show_progress_on"] is gradio.Image.return_value


def test_the_page_names_examples_of_a_model_whose_words_it_knows(gradio, pipe):
    """examples = prompts that "shapes" can draw, and none for another checkpoint, whose name stands above.

    Another model may not know these words.
    """
    from janus_minimal.demo import page

    page.build_page(pipe, "elsewhere")
    assert gradio.Markdown.call_args.args[0].endswith("The model is `elsewhere`.")
    assert not gradio.Examples.called
    assert gradio.Textbox.call_args.args == ("",)
    page.build_page(pipe, "shapes")
    for (prompt,) in gradio.Examples.call_args.args[0]:
        pipe.prompt_pair(prompt)
    assert gradio.Textbox.call_args.args == (gradio.Examples.call_args.args[0][0][0],)


def test_the_page_shows_how_far_a_run_is_and_its_strip(gradio):
    """frame 1 of 3: "step 1 of 3, t = 0.33", a bar of 1 in 3, no strip; the last one: a WebP for each chosen step.

    The pictures stand in the page itself, each over the time at which its step began.
    """
    from janus_minimal.demo import page

    sheet = Image.new("RGB", (8, 6), "red")
    first, last = Frame(1, 3, 1 / 3, sheet), Frame(3, 3, 1.0, sheet, [(sheet, "t = 0.00"), (sheet, "t = 0.67")])
    assert "step 1 of 3, t = 0.33" in page.progress_bar(first)
    assert '<progress max="3" value="1">' in page.progress_bar(first)
    assert page.film_strip(first) == ""
    assert re.findall("<figcaption>(.*?)</figcaption>", page.film_strip(last)) == ["t = 0.00", "t = 0.67"]
    assert re.findall('alt="(.*?)"', page.film_strip(last)) == ["t = 0.00", "t = 0.67"]
    for data in re.findall('src="data:image/webp;base64,(.*?)"', page.film_strip(last)):
        assert Image.open(BytesIO(b64decode(data))).size == (8, 6)


def test_the_page_says_what_cannot_be_drawn_letter_by_letter(gradio, pipe):
    """a prompt that cannot be drawn: one line on the page, with its marks escaped, then Gradio's error.

    The message quotes what was typed, which may come from another page and look like HTML.
    """
    from janus_minimal.demo import page

    page.build_page(pipe, "shapes")
    run = gradio.on.call_args.args[1]("<b>star", 2, 2.0, 1, 0, "euler")
    progress, sheet, strip = next(run)
    assert "not drawn: " in progress
    assert "&lt;b&gt;star" in progress
    assert "<b>" not in progress
    assert (sheet, strip) == (None, "")
    with pytest.raises(PageError, match="&lt;b&gt;star") as error:
        next(run)
    assert error.value.how == {"visible": False, "print_exception": False}  # neither a second message nor a traceback


def test_the_page_is_served_at_one_address_and_closed_again(gradio, pipe, monkeypatch, caplog):
    """serving(host, port): launched there, shared with nobody, closed when the block ends, after an error too.

    An address where nobody can listen is one line, and the server's own line about it is not shown.
    """
    from janus_minimal.demo import serve

    blocks, built = Blocks(), []
    monkeypatch.setattr(serve, "build_page", lambda *given: built.append(given) or blocks)
    serving = serve.serving(pipe, "mine", "127.0.0.1", 99)
    assert serving.__enter__() == "http://here"
    assert built == [(pipe, "mine")]  # another name would stand above the page, with its examples
    assert not blocks.close.called
    assert not serving.__exit__(KeyError, KeyError(), None)
    assert blocks.close.called
    how = blocks.launch.call_args.kwargs
    assert (how["server_name"], how["server_port"]) == ("127.0.0.1", 99)
    assert (how["share"], how["ssr_mode"]) == (False, False)
    assert (how["quiet"], how["footer_links"]) == (True, [])
    assert how["prevent_thread_lock"] is True  # or the launch itself would wait, and nobody be told the address
    assert (how["css"], how["theme"]) == (serve.CSS, gradio.themes.Default.return_value)
    blocks.close.assert_called_once_with(verbose=False)  # what is to be said, the command says
    theme = gradio.themes.Default.call_args.kwargs
    assert all(isinstance(font, str) for fonts in theme.values() for font in fonts)  # of this machine, not of a host
    with serve.serving(pipe, "shapes", "::1", 99):  # as it stands in an address
        assert blocks.launch.call_args.kwargs["server_name"] == "[::1]"

    def busy(**_):
        logging.getLogger("uvicorn.error").error("address already in use")
        raise OSError

    blocks.launch.side_effect = busy
    with pytest.raises(InputError, match=r"cannot listen at 127\.0\.0\.1, port 99"):
        serve.serving(pipe, "shapes", "127.0.0.1", 99).__enter__()
    assert not caplog.records
    assert not logging.getLogger("uvicorn.error").filters


def test_without_gradio_the_demo_says_what_to_install(monkeypatch, capsys):
    """demo without the extra  =>  status 2 and one line with the command that installs it.

    Most users do not need the page, so its libraries are not installed with the package.
    """
    monkeypatch.setattr("janus_minimal.cli.demo.find_spec", lambda name: None)
    monkeypatch.setattr(sys, "argv", ["janus-minimal", "demo"])
    with pytest.raises(SystemExit) as stop:
        main()
    out, err = capsys.readouterr()
    assert (stop.value.code, out, err.count("\n")) == (2, "", 1)
    assert 'pip install --editable ".[demo]"' in err
