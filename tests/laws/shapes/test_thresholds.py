"""The scorer's limits: what is still a thing, a colour or a shape; and how sure it is in each category."""

import numpy as np
import pytest

from janus_minimal.shapes.caption import CATEGORIES, RELATIONS, Caption, draw_caption
from janus_minimal.shapes.render import PALETTE, PAPER, render
from janus_minimal.shapes.scene import COLOURS, SHAPES, Thing
from janus_minimal.shapes.score import detect, satisfies

PAPER_ROWS = np.full((48, 48, 3), PAPER, dtype=np.uint8)


def painted(rows: slice, columns: slice, rgb) -> np.ndarray:
    """Paper with one rectangle."""
    picture = PAPER_ROWS.copy()
    picture[rows, columns] = rgb
    return picture


@pytest.mark.parametrize(("height", "width", "things"), [(2, 4, 0), (3, 3, 1), (1, 8, 0), (1, 9, 1)])
def test_a_speck_of_eight_pixels_is_noise_and_nine_are_a_thing(height, width, things):
    """component > 8 pixels <=> a thing.

    The smallest thing of this world covers 64 pixels. A decoded picture may have a few stray pixels.
    """
    assert len(detect(painted(slice(5, 5 + height), slice(5, 5 + width), (208, 40, 44)))) == things


@pytest.mark.parametrize(("darker", "things"), [(24, 0), (28, 1)])
def test_a_faint_stain_is_paper(darker, things):
    """|rgb - paper| > 45 <=> ink; 24 less in each channel is 42 away, 28 less is 48.

    The VAE's paper is not perfectly even. All six colours are at least 140 away.
    """
    stain = np.array(PAPER) - darker
    assert len(detect(painted(slice(10, 30), slice(10, 30), stain))) == things


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize(("share", "known"), [(0.9, True), (1.1, False)])
def test_a_colour_may_be_seventy_away_and_no_more(colour, share, known):
    """|rgb - palette| <= 70 <=> the colour is known, where no other colour is nearer.

    Beyond that, a picture shows something else than what its caption says.
    """
    others = [np.array(rgb, float) for name, rgb in PALETTE.items() if name != colour] + [np.array(PAPER, float)]
    own = np.array(PALETTE[colour], float)
    steps = np.stack(np.meshgrid(*[np.arange(-1, 1.01, 0.25)] * 3), -1).reshape(-1, 3)
    steps = steps[np.linalg.norm(steps, axis=1) > 0]
    ways = [own + 70 * share * step / np.linalg.norm(step) for step in steps]
    ways = [way for way in ways if way.min() >= 0 and way.max() <= 255]
    rgb = max(ways, key=lambda way: min(np.linalg.norm(way - other) for other in others))
    (thing,) = detect(painted(slice(10, 26), slice(10, 26), rgb.round()))
    assert thing.colour == (colour if known else "unknown")
    assert thing.shape == "square"


@pytest.mark.parametrize(("width", "shape"), [(16, "square"), (13, "square"), (12, "unknown"), (8, "unknown")])
def test_a_rectangle_is_a_square_as_long_as_four_fifths_overlap(width, shape):
    """intersection / union with the best outline >= 0.8 <=> the shape is known.

    A rectangle of 16 x w pixels and the square of its area overlap by s / (2 - s), s = sqrt(w / 16): 0.82 for
    w = 13, 0.76 for w = 12.
    """
    (thing,) = detect(painted(slice(8, 24), slice(8, 8 + width), PALETTE["blue"]))
    assert thing.shape == shape


def test_the_colour_is_that_of_most_pixels_of_the_inside():
    """colour = nearest to the median of the pixels that are not at the edge: 4 red ones, 3 blue ones, and a pale edge.

    Pixels at the edge are mixed with paper, and in a small thing they are most of all. A mean would be a third colour.
    """
    picture = painted(slice(5, 8), slice(5, 14), (227, 142, 141))  # half red, half paper
    picture[6, 6:10], picture[6, 10:13] = PALETTE["red"], PALETTE["blue"]
    assert [thing.colour for thing in detect(picture)] == ["red"]


def test_pixels_that_touch_at_a_corner_are_one_thing():
    """component: eight neighbours, not four.

    The tip of a star is often joined to the rest by a corner only.
    """
    picture = painted(slice(5, 15), slice(5, 15), (44, 96, 200))
    picture[15:25, 15:25] = (44, 96, 200)
    assert len(detect(picture)) == 1


def test_a_pixel_covers_no_more_than_itself_and_belongs_to_one_thing():
    """a red square with a dark spot, and one pixel beside it a blue one: each has the size and the centre that it has.

    A pixel that counted more than once would make a thing larger than it is, and move it.
    """
    picture = painted(slice(5, 21), slice(5, 21), PALETTE["red"])
    picture[7:10, 7:10], picture[5:21, 22:38] = (120, 0, 0), PALETTE["blue"]
    found = [(thing.colour, thing.shape, thing.x, thing.y, thing.size) for thing in detect(picture)]
    assert [thing[:2] for thing in found] == [("red", "square"), ("blue", "square")]
    assert [thing[2:] for thing in found] == [pytest.approx((x, 13, 16), abs=0.01) for x in (13, 30)]


@pytest.mark.parametrize("shape", SHAPES)
def test_colour_centre_and_size_are_measured_as_they_were_drawn(shape):
    """detect(render(thing)) = thing, to 0.07 pixels, with x to the right and y downwards.

    Relations are judged by these centres.
    """
    for colour in COLOURS:
        (found,) = detect(render((Thing(colour, shape, 17.3, 29.8, 12.0),)))
        assert (found.colour, found.shape) == (colour, shape)
        assert (found.x, found.y) == pytest.approx((17.3, 29.8), abs=0.07)
        assert found.size == pytest.approx(12.0, rel=0.02)


@pytest.fixture(scope="module")
def noisy() -> dict[str, list[tuple[Caption, np.ndarray]]]:
    """Captions of every category, and their pictures with a little noise on every pixel."""
    rng = np.random.default_rng(5)
    found = {}
    for category in CATEGORIES:
        captions = [draw_caption(category, rng) for _ in range(10)]
        pictures = [render(caption.draw(rng)) + rng.normal(0, 6, (48, 48, 3)) for caption in captions]
        found[category] = [(c, p.clip(0, 255).astype(np.uint8)) for c, p in zip(captions, pictures, strict=True)]
    return found


@pytest.mark.parametrize("category", CATEGORIES)
def test_the_scorer_is_not_too_strict_in_any_category(noisy, category):
    """P(accepted | true) >= 0.9 in each category, with noise of six levels on every pixel.

    Together, six good categories could hide one in which nothing is accepted.
    """
    assert np.mean([satisfies(picture, caption) for caption, picture in noisy[category]]) >= 0.9


def falsehoods(caption: Caption) -> list[Caption]:
    """Captions that are false of every scene of this one, one for each thing that it says."""
    (colour, shape), *rest = caption.kinds
    other_shape = next(s for s in SHAPES if s not in {kind[1] for kind in caption.kinds})
    found = [Caption(((colour, other_shape), *rest), caption.count, caption.relation)]
    if colour:
        other = next(c for c in COLOURS if c not in {kind[0] for kind in caption.kinds})
        found.append(Caption(((other, shape), *rest), caption.count, caption.relation))
    if not rest:
        found.append(Caption(caption.kinds, caption.count % 4 + 1))
    if caption.relation:
        turned = dict(zip(RELATIONS, ("right of", "left of", "below", "above"), strict=True))[caption.relation]
        found.append(Caption(caption.kinds, relation=turned))
    return found


@pytest.mark.parametrize("category", CATEGORIES)
def test_the_scorer_is_not_too_lenient_in_any_category(noisy, category):
    """P(accepted | another shape, colour, number or relation) = 0 in each category.

    A scorer that looks for enough, and not for exactly, rewards pictures full of things.
    """
    for caption, picture in noisy[category]:
        assert not [str(false) for false in falsehoods(caption) if satisfies(picture, false)]
