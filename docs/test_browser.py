"""The site in a real browser, by day and by night, on a desk and on a telephone. It needs a Chromium."""

import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect

LOOKS = [("light", 1440), ("dark", 390)]  # on a desk by day, on a telephone by night


@pytest.fixture(params=LOOKS, ids=lambda look: f"{look[0]}-{look[1]}")
def tab(request: pytest.FixtureRequest, browser: Browser, watched: Callable[[Page], Page]) -> Iterator[Page]:
    """A tab of one look, which notes what goes wrong in it."""
    scheme, width = request.param
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    yield watched(context.new_page())
    context.close()


# The pages of the API are made by one template: some of them stand for all.
@pytest.mark.parametrize("pages", ["[a-f]*.html", "[g-m]*.html", "[n-z]*.html", "notebooks/*.html", "api/[im]*.html"])
def test_every_page_is_whole(pages: str, browser: Browser, watched: Callable[[Page], Page], site: Path, address: str):
    """In both looks: no error, no request to elsewhere, all mathematics set, nothing wider than the screen."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    tab = watched(context.new_page())
    found = sorted(site.glob(pages))
    assert found
    for path in found:
        tab.goto("about:blank")  # the last page would be laid out again for the next one's look
        tab.set_viewport_size({"width": 1440, "height": 900})
        tab.emulate_media(color_scheme="light")
        tab.goto(address + str(path.relative_to(site)), wait_until="load")
        for scheme, width in LOOKS:
            tab.set_viewport_size({"width": width, "height": 900})
            tab.emulate_media(color_scheme=scheme)
            assert tab.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, (path.name, scheme, width)
        assert tab.locator(".arithmatex:not(:has(.katex))").count() == 0, path.name
        assert tab.locator(".katex-error").count() == 0, path.name
        assert not tab.wrongs, (path.name, tab.wrongs)
    context.close()


def is_shaded(box: Locator) -> bool:
    """Whether a shadow lies at the right edge of a table's box, below the table."""
    picture = np.asarray(Image.open(io.BytesIO(box.screenshot())).convert("L"), dtype=int)
    return bool(np.ptp(picture[-5, -12:]) > 20)


def test_a_table_has_a_shadow_where_more_of_it_can_be_scrolled_to(tab: Page, address: str):
    tab.goto(address + "parts.html")
    box = tab.locator(".md-typeset__scrollwrap").first
    assert is_shaded(box) == box.evaluate("e => e.scrollWidth > e.clientWidth")
    box.evaluate("e => e.scrollTo(e.scrollWidth, 0)")
    assert not is_shaded(box)


# The letter before each place where a line of code is broken, wherever no space stands.
BROKEN_AFTER = """code => {
  const [range, found] = [document.createRange(), []];
  const texts = document.createTreeWalker(code, NodeFilter.SHOW_TEXT);
  let last;
  while (texts.nextNode())
    for (const [i, letter] of [...texts.currentNode.data].entries()) {
      range.setStart(texts.currentNode, i);
      range.setEnd(texts.currentNode, i + 1);
      const { top } = range.getBoundingClientRect();
      if (last && top > last.top + 4 && letter !== " ") found.push(last.letter);
      last = letter === " " ? null : { letter, top };
    }
  return found;
}"""


@pytest.mark.parametrize("page", ["cite", "fine-tuning", "mutants"])
def test_a_name_in_a_table_breaks_at_its_joints(page: str, tab: Page, address: str):
    tab.goto(f"{address}{page}.html")
    found = tab.locator("td code").evaluate_all(f"all => all.flatMap({BROKEN_AFTER})")
    assert set(found) <= set("/_-")
    assert found or tab.viewport_size["width"] > 390


def test_a_short_formula_and_what_touches_it_stay_on_one_line(tab: Page, address: str):
    tab.goto(address + "training.html")
    formulas = tab.locator(".formula")
    lines = "e => new Set([...e.getClientRects()].map(({ top }) => Math.round(top))).size"
    assert formulas.evaluate_all(f"all => all.filter(e => ({lines})(e) > 1).map(e => e.textContent)") == []
    assert formulas.filter(has_text=re.compile("[.]$")).count() > 10


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


def says(tab: Page, name: str) -> str:
    """What a lab says under this name."""
    return tab.locator(f"[data-says={name}]").inner_text()


def comes_to_say(tab: Page, name: str, pattern: str) -> None:
    """Wait until the lab says something that fits."""
    expect(tab.locator(f"[data-says={name}]")).to_have_text(re.compile(pattern), timeout=60_000)


def test_the_flow_lab_does_the_worked_example(tab: Page, address: str):
    tab.goto(address + "flow-lab.html?t=0.25")
    comes_to_say(tab, "red", r"z = \(0\.375, 0\.000\), v = \(0\.357, 0\.000\), .* = \(0\.643, 0\.000\)")
    assert says(tab, "nfe") == "4"
    tab.locator("input[name=steps]").focus()
    tab.keyboard.press("ArrowRight")
    comes_to_say(tab, "nfe", "^5$")
    tab.locator("input[value=midpoint]").focus()
    tab.keyboard.press("Space")
    comes_to_say(tab, "nfe", "^10$")
    assert not tab.wrongs


def test_points_of_the_flow_lab_move_by_keyboard_and_by_pointer(tab: Page, address: str):
    tab.goto(address + "flow-lab.html")
    comes_to_say(tab, "red", "z = ")
    canvas = tab.locator(".flow-lab canvas")
    canvas.focus()
    tab.keyboard.press("PageDown")
    tab.keyboard.press("ArrowRight")
    comes_to_say(tab, "said", r"^data point 1 of 2: -1\.90, 0\.00$")
    tab.keyboard.press("Insert")
    comes_to_say(tab, "said", r"^data point 3 of 3: -1\.50, 0\.40$")
    tab.keyboard.press("Delete")
    box = canvas.bounding_box()
    middle, unit = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2), box["width"] / 7
    tab.mouse.move(middle[0] + 2 * unit, middle[1])
    tab.mouse.down()
    tab.mouse.move(middle[0] + unit, middle[1] - unit)
    tab.mouse.up()
    tab.wait_for_url("**data=-1.9,0;1,1&**")
    assert tab.locator("select[name=data]").input_value() == "own"
    tab.wait_for_load_state("networkidle")  # what a reload interrupts would count as a failed request
    tab.reload()
    comes_to_say(tab, "red", "z = ")
    assert "data=-1.9,0;1,1&" in tab.url
    assert not tab.wrongs


def test_reflow_makes_one_step_enough(tab: Page, address: str):
    tab.goto(address + "flow-lab.html?data=ring&steps=1")
    comes_to_say(tab, "from-data", "^2[.]000$")
    assert float(says(tab, "straightness")) > 1
    tab.locator("input[name=rounds][value='0']").focus()
    tab.keyboard.press("ArrowRight")
    comes_to_say(tab, "from-data", "^0[.]")
    assert float(says(tab, "from-data")) < 0.15
    assert float(says(tab, "straightness")) < 0.01
    tab.locator("select[name=data]").select_option("two")  # other data: the reflow of the old ones says nothing of them
    comes_to_say(tab, "straightness", "^0[.][2-9]")
    assert tab.locator("input[name=rounds]:checked").input_value() == "0"
    tab.locator("input[name=rounds][value='1']").check()
    comes_to_say(tab, "straightness", "^0[.]00")
    assert float(says(tab, "from-data")) < 0.15
    assert not tab.wrongs


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
def test_the_flow_lab_plays_and_pauses(tab: Page, address: str, motion: str):
    tab.emulate_media(reduced_motion=motion)
    tab.clock.install()
    tab.goto(address + "flow-lab.html")
    tab.clock.run_for(1000)
    assert says(tab, "t") == "0.00"  # nothing moves by itself
    tab.get_by_role("button", name="Play").press("Enter")
    tab.clock.run_for(1500)
    assert (says(tab, "t") in ("0.25", "0.50")) == (motion == "reduce")  # four steps: nothing between them is shown
    tab.get_by_role("button", name="Pause").press("Enter")
    paused = says(tab, "t")
    tab.clock.run_for(3000)
    assert says(tab, "t") == paused
    tab.get_by_role("button", name="Play").press("Enter")
    tab.clock.run_for(6000)
    assert says(tab, "t") == "1.00"
    assert not tab.wrongs


def test_the_flow_lab_obeys_the_last_choice(tab: Page, address: str):
    """Whoever takes a round of reflow back while it is worked out does not get it, and its labels stand in a line."""
    tab.goto(address + "flow-lab.html?data=checkerboard")
    comes_to_say(tab, "straightness", "^[1-9]")
    tab.evaluate("""() => { for (const rounds of ["1", "0"]) {
        const radio = document.querySelector(`.flow-lab input[name=rounds][value="${rounds}"]`);
        radio.checked = true;
        radio.dispatchEvent(new Event("input", { bubbles: true }));
    } }""")
    tab.wait_for_timeout(3000)
    assert tab.locator("input[name=rounds]:checked").input_value() == "0"
    assert float(says(tab, "straightness")) > 1
    label = tab.locator(".flow-lab label", has=tab.locator("input[name=t]"))
    assert label.evaluate("e => getComputedStyle(e).flexDirection") == "row"


def test_a_wrong_link_to_the_flow_lab_is_named(tab: Page, address: str):
    tab.goto(address + "flow-lab.html?steps=many&data=ring&rounds=1")
    comes_to_say(tab, "straightness", "^0[.]00")
    comes_to_say(tab, "said", "^the link says steps=many: expected a whole number from 1 to 64$")
    assert tab.locator("select[name=data]").input_value() == "ring"
    tab.locator("input[name=steps]").press("ArrowRight")
    comes_to_say(tab, "said", "^$")
    tab.locator("input[name=rounds][value='2']").check()
    comes_to_say(tab, "said", "^$")
    assert not tab.wrongs


def test_the_compass_follows_the_weight(tab: Page, address: str):
    tab.goto(address + "guidance.html")
    comes_to_say(tab, "w", "^2[.]0$")
    last = tab.locator(".frame[data-shows=last]")
    place = "e => getComputedStyle(e).backgroundPosition"
    at_two, length = last.evaluate(place), float(says(tab, "length"))
    tab.locator(".compass input[name=w]").focus()
    tab.keyboard.press("End")
    assert says(tab, "w") == "8.0"
    assert float(says(tab, "length")) > 2 * length
    assert last.evaluate(place) != at_two
    tab.keyboard.press("Home")
    assert (says(tab, "w"), says(tab, "fits")) == ("0.0", "no")
    box = tab.locator(
        ".compass canvas"
    ).bounding_box()  # the origin lies at (-0.95, -1.45) of 3.5, w = 1 at (1.06, 0.38)
    unit = box["width"] / 3.5
    tab.mouse.click(box["x"] + (1.75 - 0.95 + 1.06) * unit, box["y"] + (1.75 + 1.45 - 0.38) * unit)
    assert says(tab, "w") == "1.0"
    tab.wait_for_load_state("networkidle")
    assert not tab.wrongs
