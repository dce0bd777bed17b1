"""Every exhibit is caught by a law, and the generated pages of the docs are up to date."""

import ast
import json

import pytest
from tools import pages
from tools.tour import EXHIBITS, RECORD, TESTS, passed_and_failed

CAUGHT = json.loads(RECORD.read_text(encoding="utf-8"))
SOURCES = {name: (TESTS / "museum" / "exhibits" / f"{name}.py").read_text(encoding="utf-8") for name in EXHIBITS}


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
    title, story = (ast.get_docstring(ast.parse(SOURCES[name])) or "").split("\n\n", 1)
    assert len(title.splitlines()) == 1
    assert len(story.split()) >= 15
    bug = SOURCES[name][SOURCES[name].index("@instead_of") :]
    assert len(bug.splitlines()) <= 15


@pytest.mark.parametrize("page", pages.PAGES)
def test_the_page_is_what_the_tests_say(page):
    """The page in docs/ is what `python tests/tools/pages.py` would write now."""
    assert (pages.DOCS / page).read_text(encoding="utf-8") == pages.PAGES[page]()
