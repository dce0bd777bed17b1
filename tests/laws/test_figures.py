"""Figures: the same picture from a list, an array, or a tensor on any device; names are shown as they are."""

import io
import sys
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image
from rich.console import Console
from tools.drawn import SEEDS, normal
from torch import nn

from janus_minimal import PromptPair, denoise, time_grid
from janus_minimal.errors import InputError
from janus_minimal.figures import plots
from janus_minimal.figures.contact_sheet import BORDER, TILE, contact_sheet
from janus_minimal.figures.module_tree import module_tree
from janus_minimal.figures.plots import BLUE, GREEN, ORANGE
from janus_minimal.figures.steps import PANELS, StepFigures, principal_plane, slider
from janus_minimal.runtime.device import devices

PICTURES = [[Image.new("RGB", (4, 4), colour) for colour in ("red", "blue", "green")]]


@dataclass(frozen=True)
class Inputs:
    """Every kind of numbers that a figure is drawn from."""

    line: object
    matrix: object
    latent: object
    points: object

    def drawn(self) -> dict[str, Figure]:
        """Every function that takes numbers, by its name."""
        parts = {"a": self.line[0], "b": self.line[1]}
        growing = [{"value": v, "formula": v, "seconds": v, "memory": v} for v in self.line]
        return {
            "film_strip": plots.film_strip(self.line[:3], PICTURES, "title"),
            "latent_grid": plots.latent_grid(["z"], [""], [[self.latent]], "title"),
            "heatmap": plots.heatmap(self.matrix, "title", "x", "y"),
            "curves": plots.curves(self.line, {"y": self.line}, "title", "x", "y"),
            "curves of lists": plots.curves(list(self.line), {"y": list(self.line)}, "title", "x", "y"),
            "histogram": plots.histogram(self.line, "title", "x"),
            "paths": plots.paths(self.points, self.points[0], "title"),
            "loss_curve": plots.loss_curve(list(self.line), "title", smooth=4),
            "bars": plots.bars({"row": parts}, "title", "x"),
            "growth": plots.growth({"axis": growing}, "title"),
        }


def pixels(figure: Figure) -> np.ndarray:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.array(canvas.buffer_rgba())


def numbers(dtype: torch.dtype, device: str) -> Inputs:
    """Numbers that bfloat16 holds exactly, as tensors with a gradient."""
    tensors = (normal(0, 12).abs() + 0.5, normal(1, 3, 5), normal(2, 4, 6, 6), normal(3, 3, 8, 2))
    return Inputs(*(x.bfloat16().to(device, dtype).requires_grad_() for x in tensors))


@pytest.fixture(scope="module")
def plain() -> dict[str, np.ndarray]:
    """The figures that numpy arrays in float64 give."""
    inputs = vars(numbers(torch.float64, "cpu"))
    arrays = Inputs(**{name: x.detach().numpy() for name, x in inputs.items()})
    return {name: pixels(figure) for name, figure in arrays.drawn().items()}


@pytest.mark.parametrize("device", devices())
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_figure_is_the_same_from_any_tensor(plain, device, dtype):
    """figure(tensor on any device, in any dtype, with a gradient) = figure(numpy array).

    numpy reads no tensor on a GPU, none that needs a gradient and no bfloat16. A notebook that runs on a laptop's CPU
    would stop at its first figure on every other machine.
    """
    found = numbers(dtype, device).drawn()
    assert [name for name, figure in found.items() if not np.array_equal(pixels(figure), plain[name])] == []


@given(seed=SEEDS, n=st.integers(1, 9), columns=st.integers(1, 5), side=st.sampled_from([7, 48, 96, 192, 250]))
def test_every_picture_has_its_place_on_the_sheet(seed, n, columns, side):
    """sheet[row, column] = picture[row * columns + column], enlarged by squares; all the rest is white.

    Smoothing would show colours that the model never drew. The last row is often not full, and a library's grid
    fills the places that are left with black.
    """
    random = np.random.default_rng(seed)
    arrays = [random.integers(0, 255, (side, side, 3), dtype=np.uint8) for _ in range(n)]
    sheet = np.array(contact_sheet([Image.fromarray(array) for array in arrays], columns))
    factor = max(1, TILE // side)
    for i, array in enumerate(arrays):
        top, left = (BORDER + k * (side * factor + BORDER) for k in divmod(i, min(columns, n)))
        place = sheet[top : top + side * factor, left : left + side * factor]
        assert np.array_equal(place, array.repeat(factor, 0).repeat(factor, 1))
        place[:] = 255
    assert (sheet == 255).all()


@pytest.mark.parametrize("size", [(100, 60), (60, 100)])
def test_a_sheet_of_pictures_that_are_not_square_is_as_high_as_they_are(size):
    """height(sheet) = rows * (height(picture) + border) + border.

    An earlier sheet took the width for both, so pictures in portrait format lost their lower part.
    """
    sheet = contact_sheet([Image.new("RGB", size)] * 3, columns=2)
    factor = max(1, TILE // size[0])
    assert sheet.size == tuple(2 * (side * factor + BORDER) + BORDER for side in size)


@pytest.mark.parametrize(("sides", "columns"), [([], 4), ([8], 0), ([8], 1.5), ([8, 9], 1)])
def test_a_sheet_is_of_pictures_of_one_size(unchecked, sides, columns):
    """sheet: pictures, all of one size, in a whole number of columns from 1; else InputError.

    Where sizes differ, one picture would cover a part of the next.
    """
    with pytest.raises(InputError, match="expected"):
        contact_sheet([Image.new("RGB", (8, side)) for side in sides], columns)


@pytest.mark.parametrize("name", ["[/bold]x", "[red]", "a[b]c", "[link=x]", ":smile:", "\\[bold]"])
def test_a_name_is_shown_as_it_is(name):
    """text(tree) contains the name, whatever characters it has.

    rich reads square brackets as markup. A directory "[/bold]x" then stops the command, and "[red]" is not shown.
    """
    model = nn.ModuleDict({"layer": nn.Linear(2, 3)})
    console = Console(file=io.StringIO(), width=100)
    console.print(module_tree(model, name))
    text = console.file.getvalue()
    assert text.startswith(f"{name}  9")
    assert "weight  [3, 2]" in text


@pytest.fixture(scope="module")
def steps(pipe):
    """A run of four steps and two images, as StepFigures takes it."""
    prompt = PromptPair.from_text("a star", pipe.tokenizer, 2)
    return list(denoise(pipe.model, prompt, normal(0, 2, 4, 12, 12), time_grid(4)))


def test_a_path_in_a_plane_keeps_its_distances_on_the_principal_plane():
    """states = m + a_k p + b_k q with orthonormal p, q  =>  |x_i - x_j| on the plane = |z_i - z_j|; the mean is at 0.

    The two directions that are drawn must be those in which the path is longest.
    """
    plane = torch.linalg.qr(normal(0, 4 * 3 * 3, 2)).Q.T.view(2, 4, 3, 3)
    factors, middle = normal(1, 7, 2), normal(2, 4, 3, 3)
    states = middle + torch.einsum("kd, dchw -> kchw", factors, plane)
    mean, directions = principal_plane(states)
    found = (states.flatten(1) - mean) @ directions
    torch.testing.assert_close(torch.cdist(found, found), torch.cdist(factors, factors), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found.mean(dim=0), torch.zeros(2), rtol=0, atol=1e-4)


def test_steps_from_latents_with_a_gradient_are_drawn(pipe, steps):
    """StepFigures(run from z with a gradient) = StepFigures(run from z).

    Whoever optimises the noise wants to look at its run.
    """
    z = steps[0].z.clone().requires_grad_()
    again = list(denoise(pipe.model, PromptPair.from_text("a star", pipe.tokenizer, 2), z, time_grid(4)))
    assert np.array_equal(StepFigures(pipe, again).path, StepFigures(pipe, steps).path)
    assert StepFigures(pipe, again)(0).axes


def test_every_step_is_drawn_on_one_scale(pipe, steps):
    """StepFigures(k): six latents with one colour scale, which is the same for all k and holds every value.

    On a scale of its own, each step would look as strong as the others.
    """
    draw = StepFigures(pipe, steps)
    limits = set()
    for k in range(len(steps)):
        figure = draw(k)
        panels = [ax for ax in figure.axes if ax.get_title() in PANELS][:6]
        assert [ax.get_title() for ax in panels] == list(PANELS)
        limits |= {panel.images[0].get_clim() for panel in panels}
        assert f"step {k} of 4, t = {k / 4:.2f}" in figure.get_suptitle()
        difference = panels[PANELS.index("v_cond - v_uncond")].images[0].get_array()
        assert difference.max() == pytest.approx((steps[k].v_cond - steps[k].v_uncond)[0].max().item(), rel=1e-5)
    ((low, high),) = limits
    assert low == -high
    shown = ("z", "v_cond", "v_uncond", "v", "denoised")
    largest = max(getattr(step, name)[0].abs().max().item() for step in steps for name in shown)
    assert high >= largest
    reverse = StepFigures(pipe, steps[::-1])  # the largest number may stand in any step
    assert reverse.limit == high


def test_of_several_images_the_first_is_drawn(pipe, steps):
    """StepFigures(k): z and denoised of image 0, as latents and as pictures.

    The path below is that of image 0, too. Two images in one figure would tell a story that never happened.
    """
    figure, step = StepFigures(pipe, steps)(2), steps[2]
    shown = {name: [ax.images[0].get_array() for ax in figure.axes if ax.get_title() == name] for name in PANELS}
    for name in PANELS:
        z = step.v_cond - step.v_uncond if " - " in name else getattr(step, name)
        assert np.array_equal(shown[name][0], plots.channel_square(z[0]))
        if name in ("z", "denoised"):
            assert np.array_equal(shown[name][1], np.asarray(pipe.to_pictures(z[:1])[0]))
    pictures = [ax.images[0] for ax in figure.axes if ax.get_title() in ("z", "denoised")][-2:]
    assert [picture.get_interpolation() for picture in pictures] == ["nearest"] * 2  # nothing is smoothed


def test_the_slider_has_a_place_for_every_step(monkeypatch):
    """slider(draw, S): places 0 .. S - 1, and place k shows draw(k).

    One place more would end in an error under the reader's hand. It draws when the hand lets go, not at each place that
    it passes: a figure takes longer than that.
    """
    widgets = SimpleNamespace(IntSlider=lambda **how: how, interactive=lambda show, k: (show, k))
    monkeypatch.setitem(sys.modules, "ipywidgets", widgets)
    show, where = slider(lambda k: f"step {k}", 4)
    assert (where["min"], where["max"], where["continuous_update"]) == (0, 3, False)
    assert show(2) == "step 2"


def test_the_arrows_end_where_straight_lines_would(pipe, steps):
    """The arrow of each velocity v goes from z to z + (1 - t) v, on the plane; the path begins at z_0 and ends at z_S.

    An arrow of another length would point to another picture.
    """
    draw = StepFigures(pipe, steps)
    ax = draw(1).axes[-1]
    lines = {line.get_label(): np.array(line.get_data()).T for line in ax.lines}
    for name in ("v_cond", "v_uncond", "v"):
        there = steps[1].z + 3 / 4 * getattr(steps[1], name)  # from t = 1/4 to t = 1
        plane = [(z[0].flatten() - draw.centre) @ draw.directions for z in (steps[1].z, there)]
        np.testing.assert_allclose(lines[name], torch.stack(plane).numpy(), rtol=1e-4, atol=1e-4)
    assert [to_hex(ax.lines[i].get_color()) for i in (1, 3, 5)] == [c.lower() for c in (BLUE, ORANGE, GREEN)]
    for line, head in zip(ax.lines[1::2], ax.lines[2::2], strict=True):
        assert np.array_equal(head.get_xydata(), line.get_xydata()[-1:])
    ends = [(z[0].flatten() - draw.centre) @ draw.directions for z in (steps[0].z, steps[-1].z_next)]
    np.testing.assert_allclose(ax.lines[0].get_xydata()[[0, -1]], torch.stack(ends).numpy(), rtol=1e-4, atol=1e-4)
