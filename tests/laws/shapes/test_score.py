"""The scorer: it accepts true captions, refuses captions with one wrong word, and works after the VAE."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from janus_minimal.errors import PromptError
from janus_minimal.shapes.caption import CATEGORIES, WORDS, Caption, draw_caption
from janus_minimal.shapes.render import render
from janus_minimal.shapes.score import detect, satisfies
from janus_minimal.shapes.vae import encode_scenes

PER_CATEGORY = 100


@pytest.fixture(scope="module")
def truths():
    """(caption, scene) of every category."""
    rng = np.random.default_rng(11)
    captions = [draw_caption(category, rng) for category in CATEGORIES for _ in range(PER_CATEGORY)]
    return [(caption, caption.draw(rng)) for caption in captions]


@pytest.fixture(scope="module")
def seen(truths):
    """What the scorer sees in the picture of each scene."""
    return [detect(render(scene)) for _, scene in truths]


def changed_by_one_word(caption):
    """Every caption that differs from this one in exactly one word."""
    words = str(caption).split()
    for i, word in enumerate(words):
        for other in set(WORDS) - {word}:
            try:
                yield Caption.parse(" ".join([*words[:i], other, *words[i + 1 :]]))
            except PromptError:
                continue


def test_rendered_truth_is_accepted(truths, seen):
    """P(caption holds of detect(render(scene))) >= 0.995.

    The scorer reads back what was drawn.
    """
    accepted = [caption.holds(things) for (caption, _), things in zip(truths, seen, strict=True)]
    assert np.mean(accepted) >= 0.995


def test_what_one_word_makes_false_is_refused(truths, seen):
    """P(false caption holds of detect(render(scene))) <= 0.005.

    One word differs: another colour, shape, number or relation.
    """
    accepted = []
    for (caption, scene), things in zip(truths, seen, strict=True):
        accepted += [other.holds(things) for other in changed_by_one_word(caption) if not other.holds(scene)]
    assert len(accepted) > 5 * len(truths)
    assert np.mean(accepted) <= 0.005


def test_truth_is_accepted_after_the_vae(truths, pipe):
    """P(satisfies(vae(render(scene)), caption)) >= 0.98.

    So a low score in the evaluation is due to the flow, not to the VAE.
    """
    some = truths[::3]
    back = pipe.to_pictures(encode_scenes(pipe.vae, [scene for _, scene in some]))
    accepted = [satisfies(np.asarray(picture), caption) for picture, (caption, _) in zip(back, some, strict=True)]
    assert np.mean(accepted) >= 0.98


@given(seed=st.integers(0, 999), dx=st.integers(-8, 8), dy=st.integers(-8, 8))
def test_a_moved_scene_is_seen_as_before_but_moved(seed, dx, dy):
    """detect(shift(scene)) = shift(detect(scene)).

    The measured colour, shape and size of a thing do not depend on its place.
    """
    rng = np.random.default_rng(seed)
    (thing,) = draw_caption("colours", rng).draw(rng)
    middle = replace(thing, x=24.0, y=24.0, size=12.0)
    (here,), (there,) = (detect(render((t,))) for t in (middle, replace(middle, x=24.0 + dx, y=24.0 + dy)))
    assert (there.colour, there.shape) == (here.colour, here.shape) == (thing.colour, thing.shape)
    assert (there.x - here.x, there.y - here.y, there.size) == pytest.approx((dx, dy, here.size), abs=1e-6)


def test_what_is_no_shape_and_no_colour_of_this_world_is_unknown():
    """detect(smudge) = unknown, detect(paper) = nothing.

    The scorer must not force a smudge into one of the known colours and shapes.
    """
    picture = render(()).copy()
    assert detect(picture) == ()
    picture[10:14, 4:40], picture[10:30, 4:8] = (90, 60, 30), (90, 60, 30)
    (patch,) = detect(picture)
    assert patch.shape == "unknown"
    assert patch.colour == "unknown"
