"""Every exhibit is caught by a law, and the generated pages of the docs are up to date."""

import inspect
import json
from contextlib import suppress
from importlib import import_module

import pytest
from museum.plant import Change, changes_of, function_at, plant, planted, rewrite
from tools import pages
from tools.tour import EXHIBITS, RECORD, TESTS, passed_and_failed

CAUGHT = json.loads(RECORD.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def failures() -> dict[str, set[str]]:
    """For each exhibit: which laws fail when the first law is run that should catch it."""
    runs = [((str(TESTS.parent / CAUGHT[name][0]),), name) for name in EXHIBITS]
    return {name: failed for name, (_, failed) in zip(EXHIBITS, passed_and_failed(runs), strict=True)}


@pytest.mark.slow
@pytest.mark.parametrize("name", EXHIBITS)
def test_every_exhibit_is_caught(failures, name):
    """With the bug planted, the first law in its entry of docs/museum.json fails."""
    assert failures[name] == {CAUGHT[name][0]}


def test_the_record_knows_every_exhibit():
    """docs/museum.json has an entry for each exhibit. After adding one, run tools/tour.py again."""
    assert tuple(CAUGHT) == EXHIBITS
    assert len(EXHIBITS) >= 24


@pytest.mark.parametrize("name", EXHIBITS)
def test_an_exhibit_is_short_and_tells_its_story(name):
    """An exhibit has a title, a story, and a bug of at most fifteen lines."""
    title, story = (inspect.getdoc(import_module(f"museum.exhibits.{name}")) or "").split("\n\n", 1)
    assert len(title.splitlines()) == 1
    assert len(story.split()) >= 15
    assert sum(len(change.wrong.splitlines()) for change in changes_of(name)) <= 15


@pytest.mark.parametrize("name", EXHIBITS)
def test_a_bug_keeps_the_functions_signature(name):
    """With the bug planted, the function takes the same arguments and has the same annotations."""
    signatures = {change.where: inspect.signature(function_at(change.where)) for change in changes_of(name)}
    with planted(changes_of(name)) as right:
        for where, signature in signatures.items():
            assert function_at(where).__code__ != right[where]
            assert inspect.signature(function_at(where)) == signature
    assert all(function_at(where).__code__ == code for where, code in right.items())


def test_a_bug_whose_place_is_gone_is_an_error():
    """A text that does not stand in the function, but nowhere or in another one, or stands there twice."""
    for text in ("no such text", "(t_next - t) * v", "v_cond"):
        with pytest.raises(ValueError, match="times, not once"):
            plant([Change("flow:guide", right=text, wrong="pass")])


def test_a_bug_is_gone_after_its_block_even_if_the_block_fails():
    """After `planted` the right code is back, whatever was raised: the next test must not run with the bug."""
    function = function_at("flow:guide")
    code = function.__code__
    with suppress(ZeroDivisionError), planted(changes_of("guidance_sign")):
        assert function.__code__ != code
        raise ZeroDivisionError
    assert function.__code__ == code


def test_the_code_as_it_is_changes_nothing():
    """Planting a module's own source gives a function that is equal to the old one in every byte."""
    function = function_at("uvit:GlobalResponseNorm.forward")
    code = function.__code__
    rewrite("uvit:GlobalResponseNorm.forward", lambda source: source)
    assert function.__code__.co_code == code.co_code


@pytest.mark.parametrize("page", pages.PAGES)
def test_the_page_is_what_the_tests_say(page):
    """The page in docs/ is what `python tests/tools/pages.py` would write now."""
    assert (pages.DOCS / page).read_text(encoding="utf-8") == pages.PAGES[page]()
