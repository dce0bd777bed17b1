"""Training runs that are small beside their steps: few sample pictures, and a scaling factor from few pictures."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from janus_minimal.training import run

SHOWN = ("a red circle", "two stars")  # a report of the small world shows two pictures, not 28
STEPS = 2  # of a sample picture, not 12
CALIBRATED = 8  # pictures from which the VAE's scaling factor is computed, not 1000


def be_small(patch: pytest.MonkeyPatch | None = None) -> None:
    """Let all further runs of this process be small: a fork, or until the patch is undone."""
    patch = patch or pytest.MonkeyPatch()
    patch.setattr("janus_minimal.shapes.examples.SmallWorld.shown", SHOWN)
    patch.setattr(run, "draw_samples", partial(run.draw_samples, steps=STEPS))
    patch.setattr("janus_minimal.training.vae.CALIBRATED", CALIBRATED)


@contextmanager
def small_runs() -> Iterator[None]:
    """Let runs of this process be small."""
    with pytest.MonkeyPatch.context() as patch:
        be_small(patch)
        yield
