"""The demo, without its page: the steps of a request, and what is shown of each."""

import sys

import numpy as np
import pytest
import torch

from janus_minimal import PromptPair, denoise, time_grid
from janus_minimal.cli import main
from janus_minimal.demo.play import play
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
    assert [frame.strip for frame in frames[:2]] == [[], []]
    assert [when for _, when in frames[2].strip] == ["t = 0.00", "t = 0.33", "t = 0.67"]
    for (sheet, _), z in zip(frames[2].strip, shown, strict=True):
        assert np.array_equal(np.asarray(sheet), np.asarray(contact_sheet(pipe.to_pictures(z), columns=2)))


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
