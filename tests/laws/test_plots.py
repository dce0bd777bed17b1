"""Plots: the numbers that stand in a figure are the numbers that were given, at their places and on the right scale."""

import io
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.colors import to_hex
from PIL import Image
from rich.console import Console
from torch import nn

from janus_minimal.figures import plots
from janus_minimal.figures.contact_sheet import BORDER, TILE, contact_sheet
from janus_minimal.figures.module_tree import module_tree


def lines_of(axes) -> dict[str, tuple[list[float], list[float]]]:
    return {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in axes.get_lines()}


def test_curves_stand_over_their_axis_under_their_names():
    """curves(x, {name: y}): each y over x, with title and axis labels; log on both axes or on none.

    Two curves that exchange their names tell the opposite.
    """
    figure = plots.curves([1, 2, 4], {"a": [3, 5, 9], "b": [2, 1, 7]}, "title", "across", "up")
    (axes,) = figure.axes
    assert lines_of(axes) == {"a": ([1, 2, 4], [3, 5, 9]), "b": ([1, 2, 4], [2, 1, 7])}
    assert (axes.get_title(), axes.get_xlabel(), axes.get_ylabel()) == ("title", "across", "up")
    assert (axes.get_xscale(), axes.get_yscale()) == ("linear", "linear")
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a", "b"]
    (axes,) = plots.curves([1, 2], {"a": [3, 5]}, "title", "across", "up", log=True).axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")


def test_everybody_can_tell_two_curves_apart():
    """curves: blue, orange, green, pink and sky of Okabe and Ito's palette, and each beside a line of another style.

    Who sees no red or no green, or prints in grey, must still know which curve is which.
    """
    (axes,) = plots.curves([1, 2], {name: [1, 2] for name in "abcde"}, "title", "x", "y").axes
    found = [(to_hex(line.get_color()).upper(), line.get_linestyle()) for line in axes.get_lines()]
    assert [colour for colour, _ in found] == ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9"]
    assert all(style != other for (_, style), (_, other) in pairwise(found))


def test_a_figure_grows_with_what_it_shows():
    """width, height in inches = those of one picture times columns and rows, and the room around them.

    In a figure of one size for all, eight pictures in a row would be stamps.
    """
    picture, latent = Image.new("RGB", (2, 2)), np.ones((4, 2, 2))
    points = [dict.fromkeys(("value", "formula", "seconds", "memory"), 1.0)]

    def size(figure):
        return tuple(round(float(inches), 6) for inches in figure.get_size_inches())

    assert size(plots.picture_grid(["a"] * 5, [""] * 2, [[picture] * 5] * 2, "")) == (6.5, 3.2)
    assert size(plots.latent_grid(["a"] * 4, [""] * 2, [[latent] * 4] * 2, "")) == (5.6, 2.9)
    assert size(plots.growth(dict.fromkeys("abc", points), "")) == (9, 5)


def test_no_figure_smooths_what_it_shows():
    """picture_grid, latent_grid, heatmap: interpolation = nearest.

    Between two numbers of a latent there is no third one, and a smoothed picture has colours that nothing drew.
    """
    figures = (
        plots.picture_grid(["a"], [""], [[Image.new("RGB", (2, 2))]], "title"),
        plots.latent_grid(["a"], [""], [[np.ones((4, 2, 2))]], "title"),
        plots.heatmap(np.eye(2), "title", "x", "y"),
    )
    assert [figure.axes[0].get_images()[0].get_interpolation() for figure in figures] == ["nearest"] * 3


def test_the_axis_names_the_values_that_are_there():
    """curves: up to 7 values of x are the ticks, on both kinds of axis. heatmap: a tick is the number of a row.

    matplotlib's own choice has a tick at 1.5 steps, and "3 x 10^0" and "4 x 10^0" on top of each other.
    """
    for log in (False, True):
        (axes,) = plots.curves([1, 2, 4], {"a": [3, 5, 9]}, "title", "x", "y", log=log).axes
        assert [text.get_text() for text in axes.get_xticklabels()] == ["1", "2", "4"]
        assert len(axes.get_xticks(minor=True)) == 0
    (axes,) = plots.curves(range(7), {"a": range(7)}, "title", "x", "y").axes
    assert list(axes.get_xticks()) == list(range(7))
    (axes,) = plots.curves(range(8), {"a": range(8)}, "title", "x", "y").axes
    assert list(axes.get_xticks()) != list(range(8))
    axes = plots.heatmap(np.zeros((2, 3)), "title", "x", "y").axes[0]
    assert all(tick == int(tick) for tick in axes.get_yticks())


def test_a_loss_curve_counts_from_one_and_averages_backwards():
    """loss_curve: loss k over step k = 1 .. n; the mean of the last m losses over the step at which it is known.

    Means of 100, unless another number is given. No mean where there are not more losses than that.
    """
    losses = [float(k * k % 7 + 1) for k in range(12)]
    found = lines_of(plots.loss_curve(losses, "title", smooth=4).axes[0])
    assert found["each step"] == (list(range(1, 13)), losses)
    steps, means = found["mean of 4"]
    assert steps == list(range(4, 13))
    assert means == pytest.approx([sum(losses[k - 4 : k]) / 4 for k in range(4, 13)])
    assert list(lines_of(plots.loss_curve(losses, "title", smooth=12).axes[0])) == ["each step"]
    axes = plots.loss_curve(losses, "title").axes[0]
    assert list(lines_of(axes)) == ["each step"]
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert "mean of 100" in lines_of(plots.loss_curve(losses * 9, "title").axes[0])


def test_bars_are_as_long_as_their_numbers_one_after_the_other():
    """bars({row: parts}): part i begins where part i - 1 ends; rows from top to bottom in their order.

    A single part is grey, and several have colours and names.
    """
    (axes,) = plots.bars({"whole": {"whole": 6.0}, "parts": {"a": 1.0, "b": 2.0, "c": 3.0}}, "title", "ms").axes
    found = [(round(bar.get_x(), 6), round(bar.get_width(), 6)) for bar in axes.patches]
    assert found == [(0, 6), (0, 1), (1, 2), (3, 3)]
    colours = [to_hex(bar.get_facecolor()) for bar in axes.patches]
    assert len(set(colours)) == 4
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a", "b", "c"]
    assert axes.yaxis_inverted()
    assert (axes.get_title(), axes.get_xlabel()) == ("title", "ms")
    six = dict.fromkeys("abcdef", 1.0)  # as many as a step has stages
    (axes,) = plots.bars({"parts": six}, "title", "ms").axes
    assert [bar.get_x() for bar in axes.patches] == [0, 1, 2, 3, 4, 5]
    assert len({to_hex(bar.get_facecolor()) for bar in axes.patches}) == 6
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [*six]
    (axes,) = plots.bars({"parts": dict.fromkeys("abcdefg", 1.0)}, "title", "ms").axes
    assert len(axes.patches) == 7  # there are six colours, but no part is left out


def test_growth_sets_measured_points_beside_the_formulas_line():
    """growth: upper row: formula as a line, seconds as points; lower row: memory in gigabytes; all from zero.

    A formula that were drawn as the measurement would always agree with itself.
    """
    points = [{"value": v, "formula": 2.0 * v, "seconds": 3.0 * v, "memory": 1e9 * v} for v in (1, 2, 3)]
    figure = plots.growth({"images": points, "tokens": points}, "title")
    upper, lower = figure.axes[0], figure.axes[2]
    assert lines_of(upper) == {"formula": ([1, 2, 3], [2, 4, 6]), "measured": ([1, 2, 3], [3, 6, 9])}
    assert [(line.get_linestyle(), line.get_marker()) for line in upper.get_lines()] == [("--", "None"), ("None", "o")]
    assert list(lines_of(lower).values()) == [([1, 2, 3], [1, 2, 3])]
    assert (upper.get_ylabel(), lower.get_ylabel(), lower.get_xlabel()) == ("seconds", "memory, GB", "images")
    assert upper.get_ylim()[0] == lower.get_ylim()[0] == 0
    assert figure.get_suptitle() == "title"
    more = [point | {"seconds": 100.0, "memory": 1e12} for point in points]
    first, second, below, beside = plots.growth({"images": points, "tokens": more}, "title").axes
    assert (first.get_ylim(), below.get_ylim()) == (second.get_ylim(), beside.get_ylim())  # heights can be compared


def test_paths_run_from_the_noise_to_the_end():
    """paths: noise at the first time, data as given, t = 1 at the last time; both axes on one scale.

    The first coordinate is drawn across.
    """
    way, data = np.arange(12.0).reshape(3, 2, 2), np.array([[9.0, 1.0], [7.0, 2.0]])
    (axes,) = plots.paths(way, data, "title").axes
    found = {dots.get_label(): dots.get_offsets().tolist() for dots in axes.collections}
    assert found == {"noise, t = 0": way[0].tolist(), "data": data.tolist(), "t = 1": way[2].tolist()}
    assert [list(line.get_xdata()) for line in axes.get_lines()] == [[0, 4, 8], [2, 6, 10]]
    assert axes.get_aspect() == 1


def test_pictures_stand_in_their_rows_under_their_times():
    """film_strip: row i, column k shows picture [i][k], above it "t = ..." of step k.

    A strip is read from left to right, from noise to picture.
    """
    rows = [[Image.new("RGB", (2, 2), (10 * i + k, 0, 0)) for k in range(3)] for i in range(2)]
    figure = plots.film_strip([0.0, 1 / 3, 0.966], rows, "title")
    shown = [axes.get_images()[0].get_array()[0, 0, 0] for axes in figure.axes]
    assert shown == [0, 1, 2, 10, 11, 12]
    assert [axes.get_title() for axes in figure.axes[:3]] == ["t = 0.00", "t = 0.33", "t = 0.97"]
    named = plots.picture_grid(["p", "q", "r"], ["first", "second"], rows, "title")
    assert [axes.get_ylabel() for axes in named.axes[::3]] == ["first", "second"]
    assert [axes.get_title() for axes in named.axes[:3]] == ["p", "q", "r"]
    assert named.get_suptitle() == "title"
    long = plots.picture_grid(["a red circle left of a blue square"], [""], [rows[0][:1]], "title").axes[0].get_title()
    assert long == "a red circle\nleft of a blue\nsquare"


def test_a_prompt_in_a_figure_is_no_formula():
    """title, columns and rows of a grid, columns of a heatmap: the prompt's characters, dollar signs among them.

    matplotlib sets what stands between two dollars as a formula, and a prompt may say prices. This one is a wrong
    formula, on which it would end.
    """
    price = r"$5_{ to $6"
    plots.film_strip([0.0], [[Image.new("RGB", (2, 2))]], price).savefig(io.BytesIO(), format="png")
    plots.picture_grid([price], [price], [[Image.new("RGB", (2, 2))]], "").savefig(io.BytesIO(), format="png")
    plots.heatmap(np.zeros((1, 1)), "", "", "", [price]).savefig(io.BytesIO(), format="png")


def test_latents_share_one_scale_around_zero():
    """latent_grid: channels 0 1 above 2 3; colours from -m to m, where m is the largest number of all latents.

    With a scale of its own for each, a latent of 0.1 would look like one of 10.
    """
    latents = [np.full((4, 2, 2), 1.0) * np.array([1, 2, 3, -4])[:, None, None], np.full((4, 2, 2), -9.0)]
    figure = plots.latent_grid(["a", "b"], [""], [latents], "title")
    images = [axes.get_images()[0] for axes in figure.axes[:2]]
    assert [image.get_clim() for image in images] == [(-9, 9)] * 2
    assert images[0].get_array().tolist() == [[1, 1, 2, 2]] * 2 + [[3, 3, -4, -4]] * 2
    assert len(figure.axes) == 3  # the third shows which colour stands for which number
    assert min(images[0].cmap(0.5)[:3]) > 0.9  # zero is white, and the two signs are told apart


def test_heatmap_and_histogram_show_what_they_are_given():
    """heatmap: the matrix, its columns named in order; histogram: 50 bins that hold all values.

    Attention maps are read by the names of their columns.
    """
    matrix = np.arange(6.0).reshape(2, 3)
    axes, scale = plots.heatmap(matrix, "title", "x", "y", names=["a", "b", "c"]).axes
    assert scale.get_ylim() == (0, 5)
    assert axes.get_images()[0].get_array().tolist() == matrix.tolist()
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a", "b", "c"]
    assert (axes.get_title(), axes.get_xlabel(), axes.get_ylabel()) == ("title", "x", "y")
    values = np.linspace(0, 1, 999)
    (axes,) = plots.histogram(values, "title", "x").axes
    assert len(axes.patches) == 50
    assert sum(bar.get_height() for bar in axes.patches) == 999
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("x", "count")


def test_a_sheet_is_made_of_tiles_of_192_pixels():
    """TILE = 192, BORDER = 8: four pictures of 96 pixels in three columns give 608 x 408.

    The example of the docstring, and the size that the docs show.
    """
    assert (TILE, BORDER) == (192, 8)
    assert contact_sheet([Image.new("RGB", (96, 96))] * 4, columns=3).size == (608, 408)


def test_the_tree_counts_each_modules_own_parameters():
    """tree: name and number of parameters of each module, shape of each tensor, nested as they are.

    Linear(2, 3) has 2 * 3 + 3 = 9, with a norm of 3 beside it 12; a module without parameters is left out.
    """
    model = nn.ModuleDict({"block": nn.ModuleDict({"line": nn.Linear(2, 3), "act": nn.SiLU()}), "norm": nn.RMSNorm(3)})
    console = Console(file=io.StringIO(), width=80)
    console.print(module_tree(model, "mi\x1b[31mne\n"))  # a directory may have such a name
    text = [line.strip("│├└─ \n") for line in console.file.getvalue().splitlines()]
    expected = ["mine  12", "block  9", "line  9", "weight  [3, 2]", "bias  [3]", "norm  3", "weight  [3]"]
    assert text == expected
