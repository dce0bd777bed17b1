"""The site in a real browser, by day and by night, on a desk and on a telephone. It needs a Chromium."""

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

LOOKS = list(product(("light", "dark"), (390, 1440)))


@pytest.fixture(params=LOOKS, ids=lambda look: f"{look[0]}-{look[1]}")
def tab(request: pytest.FixtureRequest, browser: Browser, address: str) -> Iterator[Page]:
    """A tab of one look, which notes what goes wrong in it."""
    scheme, width = request.param
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    page.wrongs = []
    page.on("console", lambda said: page.wrongs.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: page.wrongs.append(str(error)))
    page.on("request", lambda r: None if r.url.startswith((address, "data:", "blob:")) else page.wrongs.append(r.url))
    page.on("requestfailed", lambda r: page.wrongs.append(r.url))
    yield page
    context.close()


def test_every_page_is_whole(tab: Page, site: Path, address: str):
    """No error, no request to elsewhere, all mathematics set, nothing wider than the screen."""
    for path in sorted(site.rglob("*.html")):
        # The pages of the API are made by one template: two of them stand for all.
        if path.name != "404.html" and (path.parent.name != "api" or path.stem in ("index", "model")):
            tab.goto(address + str(path.relative_to(site)), wait_until="load")
            assert tab.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, path.name
            assert tab.locator(".arithmatex:not(:has(.katex))").count() == 0, path.name
            assert tab.locator(".katex-error").count() == 0, path.name
            assert not tab.wrongs, (path.name, tab.wrongs)


def test_the_map_tells_the_shape_of_what_has_the_focus(tab: Page, address: str):
    tab.goto(address + "loop.html")
    tensor = tab.locator(".map .tensor", has_text="x_emb").first
    assert tensor.locator(".readout").evaluate("e => getComputedStyle(e).visibility") == "hidden"
    tensor.focus()
    assert tensor.locator(".readout").evaluate("e => getComputedStyle(e).visibility") == "visible"
    assert "B × 768 × 24 × 24" in tensor.text_content()


def test_a_line_of_the_loop_lights_what_belongs_to_it(tab: Page, address: str):
    tab.goto(address + "loop.html")
    lit = "[...document.querySelectorAll('.map .tensor.lit')].map(e => e.getAttribute('aria-label').split(':')[0])"
    tab.locator(".loop-row[data-line='2']").focus()
    assert tab.evaluate(lit) == ["x_emb", "t_emb", "tokens"]
    tab.keyboard.press("ArrowDown")
    assert tab.evaluate(lit) == ["ids", "keys, values", "tokens", "hidden"]
    assert tab.locator("g[data-line].lit").count() == 1
    tab.keyboard.press("Escape")
    assert tab.locator(".lit").count() == 0
    assert not tab.wrongs


def test_search_finds_a_page(tab: Page, address: str):
    tab.goto(address + "index.html")
    tab.keyboard.press("/")
    # Typed, not filled in: the search listens to keys, and may miss a value set at once.
    tab.locator("input[name=query]").press_sequentially("prefill")
    tab.locator(".md-search-result__item").first.wait_for(state="attached")
    assert tab.locator(".md-search-result__item", has_text="Prefill").count() > 0
