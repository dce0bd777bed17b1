"""One run of the demo, shown while it goes on: after each step, what the page shows then."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import ceil, sqrt

from PIL import Image

from janus_minimal.figures.contact_sheet import contact_sheet
from janus_minimal.figures.film import Film
from janus_minimal.jobs.request import Request
from janus_minimal.pipeline import JanusFlowPipeline


@dataclass(frozen=True)
class Frame:
    """What the page shows after one step.

    Attributes:
        done: the number of steps that are taken.
        steps: the number of all steps.
        t: the time that is reached.
        sheet: the denoised predictions on one sheet, a tile for each image.
        strip: at the end, sheets of chosen steps and their times. Before, nothing.
    """

    done: int
    steps: int
    t: float
    sheet: Image.Image
    strip: list[tuple[Image.Image, str]] = field(default_factory=list)


def play(pipe: JanusFlowPipeline, request: Request) -> Iterator[Frame]:
    """Draw the request, and yield what there is to see after each step.

    Why a generator: whoever shows the frames may stop asking for them, and no further step is
    computed. The sheet shows the denoised predictions z + (1 - t) v, since the latent itself is
    mostly noise until late. After the last step they are the pictures.

    Raises:
        InputError: before the first step, if the request cannot be drawn; later, if a latent
            becomes infinite or NaN.
    """
    film = Film()
    for step in request.walk(pipe):
        film(pipe, step.index, step.t.item(), {"denoised": step.denoised})
        done, sheet = step.index + 1, sheet_of(pipe.to_pictures(step.denoised))
        strip = strip_of(pipe, film) if done == request.steps else []
        yield Frame(done, request.steps, step.t_next.item(), sheet, strip)


def sheet_of(pictures: list[Image.Image]) -> Image.Image:
    """Place pictures in a square as far as their number allows: four become two by two."""
    return contact_sheet(pictures, columns=ceil(sqrt(len(pictures))))


def strip_of(pipe: JanusFlowPipeline, film: Film) -> list[tuple[Image.Image, str]]:
    """Return a sheet of all images for each developed step, and the time at which the step began."""
    times, rows = film.develop(pipe)
    columns = zip(times, zip(*rows, strict=True), strict=True)
    return [(sheet_of(list(pictures)), f"t = {t:.2f}") for t, pictures in columns]
