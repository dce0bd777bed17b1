"""Every exhibit is caught, and the pages that tell of it are those that the tests make."""

import ast
import json

import pytest
from tools import pages
from tools.tour import EXHIBITS, RECORD, TESTS, passed_and_failed

CAUGHT = json.loads(RECORD.read_text(encoding="utf-8"))
SOURCES = {name: (TESTS / "museum" / "exhibits" / f"{name}.py").read_text(encoding="utf-8") for name in EXHIBITS}


@pytest.fixture(scope="module")
def failures() -> dict[str, set[str]]:
    """For each exhibit: does the first law fail that is said to catch it?"""
    runs = [((str(TESTS.parent / CAUGHT[name][0]),), name) for name in EXHIBITS]
    return {name: failed for name, (_, failed) in zip(EXHIBITS, passed_and_failed(runs), strict=True)}


@pytest.mark.slow
@pytest.mark.parametrize("name", EXHIBITS)
def test_every_exhibit_is_caught(failures, name):
    """With the bug planted, the first law that the record names fails."""
    assert failures[name] == {CAUGHT[name][0]}


def test_the_record_knows_every_exhibit():
    """A new exhibit wants a new tour."""
    assert tuple(CAUGHT) == EXHIBITS
    assert len(EXHIBITS) >= 24


@pytest.mark.parametrize("name", EXHIBITS)
def test_an_exhibit_is_short_and_tells_its_story(name):
    """A title, a story, and at most fifteen lines of bug."""
    title, story = (ast.get_docstring(ast.parse(SOURCES[name])) or "").split("\n\n", 1)
    assert len(title.splitlines()) == 1
    assert len(story.split()) >= 15
    bug = SOURCES[name][SOURCES[name].index("@instead_of") :]
    assert len(bug.splitlines()) <= 15


@pytest.mark.parametrize("page", pages.PAGES)
def test_the_page_is_what_the_tests_say(page):
    """`python tests/tools/pages.py` writes it anew."""
    assert (pages.DOCS / page).read_text(encoding="utf-8") == pages.PAGES[page]()
