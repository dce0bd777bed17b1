"""Scenes, and the captions that are true of them."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from janus_minimal.errors import PromptError
from janus_minimal.shapes.caption import CATEGORIES, SEEN_CATEGORIES, Caption, draw_caption
from janus_minimal.shapes.outline import REACH
from janus_minimal.shapes.render import coverage, render
from janus_minimal.shapes.scene import RELATIONS, SHAPES, SIDE, UNSEEN, Thing, related

ANY = {"category": st.sampled_from(CATEGORIES), "seed": st.integers(0, 2**32)}


def drawn(category, seed):
    rng = np.random.default_rng(seed)
    caption = draw_caption(category, rng)
    return caption, caption.draw(rng)


@given(**ANY)
def test_captions_parse_back(category, seed):
    """parse(str(caption)) = caption.

    The text alone determines the caption.
    """
    caption, _ = drawn(category, seed)
    assert Caption.parse(str(caption)) == caption


@given(**ANY)
def test_a_caption_holds_of_the_scene_it_draws(category, seed):
    """caption.holds(caption.draw(seed)).

    Scenes are drawn from their captions, not described afterwards.
    """
    caption, scene = drawn(category, seed)
    assert caption.holds(scene)


@given(**ANY)
def test_a_scene_with_a_thing_too_many_or_too_few_is_another(category, seed):
    """holds(scene)  =>  not holds(scene - a thing), not holds(scene + a thing).

    A caption is true only if nothing is missing and nothing is added.
    """
    caption, scene = drawn(category, seed)
    assert not caption.holds(scene[1:])
    assert not caption.holds(scene + scene[:1])


def test_a_caption_holds_only_if_its_relation_does():
    """A red circle at the left and above a blue square, by hand: "left of" and "above" hold, and nothing else.

    The things alone are not the caption: it also says which of them stands where.
    """
    scene = Thing("red", "circle", 12, 10, 8), Thing("blue", "square", 36, 34, 8)
    true = {relation for relation in RELATIONS if Caption.parse(f"a red circle {relation} a blue square").holds(scene)}
    assert true == {"left of", "above"}
    assert Caption.parse("a blue square right of a red circle").holds(scene[::-1])


@given(category=st.sampled_from(SEEN_CATEGORIES), seed=st.integers(0, 2**32))
def test_training_never_shows_an_unseen_pair(category, seed):
    """(colour, shape) in UNSEEN  =>  in no training scene.

    Three of the thirty pairs are kept out of captions and pictures, to be asked for in the evaluation.
    """
    for other in range(8):
        _, scene = drawn(category, seed + other)
        assert not {(thing.colour, thing.shape) for thing in scene} & UNSEEN


@given(**ANY)
def test_things_neither_overlap_nor_leave_the_picture(category, seed):
    """coverage_a coverage_b = 0, and 0 along the border.

    Touching things would form one connected component, and the scorer would take them for one thing.
    """
    _, scene = drawn(category, seed)
    covers = [coverage(thing.shape, thing.x, thing.y, thing.size) for thing in scene]
    for a, b in combinations(covers, 2):
        assert not (a * b).any()
    for cover in covers:
        edge = np.concatenate([cover[0], cover[-1], cover[:, 0], cover[:, -1]])
        assert not edge.any()


@given(**ANY)
def test_things_keep_the_distance_that_the_widest_outline_needs(category, seed):
    """|a - b| >= (size_a + size_b) max REACH.

    Slim shapes must not stand closer together than wide ones, or the distances would reveal the shapes.
    """
    _, scene = drawn(category, seed)
    for a, b in combinations(scene, 2):
        assert np.hypot(a.x - b.x, a.y - b.y) >= (a.size + b.size) * max(REACH.values())


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shapes_area_and_centre_are_what_they_say(shape):
    """area = size^2, centre of gravity = (x, y).

    The scorer measures area and centre before it knows the shape.
    """
    cover = coverage(shape, 23.3, 25.1, 14.0)
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    assert cover.sum() == pytest.approx(14.0**2, rel=0.02)
    assert (x * cover).sum() / cover.sum() == pytest.approx(23.3, abs=0.1)
    assert (y * cover).sum() / cover.sum() == pytest.approx(25.1, abs=0.1)


def test_the_same_seed_draws_the_same_picture():
    """draw(seed) = draw(seed).

    Everything random is drawn from one generator.
    """
    a, b = (render(drawn("position", 7)[1]) for _ in range(2))
    assert (a == b).all()
    assert not (a == render(drawn("position", 8)[1])).all()


@pytest.mark.parametrize(
    ("caption", "text"),
    [
        (Caption((("orange", "circle"),)), "an orange circle"),
        (Caption((("red", "cross"),), count=3), "three red crosses"),
        (Caption(((None, "star"), ("blue", "square"))), "a star and a blue square"),
        (Caption((("red", "circle"), ("blue", "square")), relation="left of"), "a red circle left of a blue square"),
    ],
)
def test_captions_are_correct_english(caption, text):
    """str(caption) is English.

    Articles, plurals and the words between two phrases are correct.
    """
    assert str(caption) == text


@pytest.mark.parametrize(("kinds", "count"), [(1, 5), (1, 0), (2, 3), (0, 1)])
def test_a_scene_has_room_for_one_to_four_things(kinds, count):
    """1 <= kinds * count <= 4, else PromptError: the words count no further.

    Nothing could be drawn or said of such a caption.
    """
    with pytest.raises(PromptError, match="expected 1 to 4 things"):
        Caption((("red", "star"),) * kinds, count)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "red circle",
        "a orange circle",
        "two circle",
        "a pink star",
        "a star or a cross",
        "a star and a cross and a star",
    ],
)
def test_what_is_no_caption_is_named(text):
    """not a caption  =>  PromptError.

    The message names the text, and gives an example of a caption.
    """
    with pytest.raises(PromptError, match=f'"{text}"'):
        Caption.parse(text)


@given(category=st.sampled_from(["two objects", "colour attribution"]), seed=st.integers(0, 2**32))
def test_two_things_are_named_from_top_to_bottom(category, seed):
    """y(first) <= y(second), where no relation says otherwise.

    A causal language model reads the image row by row, and captions name things in the same order.
    """
    _, (first, second) = drawn(category, seed)
    assert first.y <= second.y


@pytest.mark.parametrize(
    ("relation", "x", "y"), [("left of", 10, 24), ("right of", 38, 24), ("above", 24, 10), ("below", 24, 38)]
)
def test_left_and_above_are_those_of_the_picture(relation, x, y):
    """x(a) < x(b)  =>  a is left of b; y(a) < y(b)  =>  a is above b; and nothing else.

    Drawing and scoring use one function. If it took left for right, every score would stay high and every picture with
    a relation would be mirrored.
    """
    a, b = Thing("red", "circle", x, y, 12), Thing("blue", "square", 24, 24, 12)
    assert [name for name in RELATIONS if related(a, b, name)] == [relation]


@pytest.mark.parametrize(("text", "colours"), [("two circles", 6), ("three stars", 5), ("four squares", 5)])
def test_things_of_an_open_colour_are_coloured_one_by_one(text, colours):
    """P(all n things have one colour) = (1 / c)^(n - 1), where c colours are open; some scenes have n colours.

    A caption that names no colour accepts any. Training on things of one colour would teach that they go together.
    """
    caption, rng = Caption.parse(text), np.random.default_rng(0)
    found = [len({thing.colour for thing in caption.draw(rng)}) for _ in range(40)]
    assert binomtest(found.count(1), 40, (1 / colours) ** (caption.count - 1)).pvalue > 1e-3
    assert max(found) == caption.count
