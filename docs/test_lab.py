"""The live lab in a real browser: it computes what Python computes and does what its reader asks. Needs a Chromium."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest
import torch
from macros.lab import exhibits
from playwright.sync_api import Browser, Page, expect

from janus_minimal import JanusFlowPipeline, time_grid
from janus_minimal.shapes.caption import Caption
from janus_minimal.shapes.score import satisfies
from janus_minimal.solvers import SOLVERS

FIRST = {"caption": "a red circle left of a blue square", "seed": 0, "weight": 2, "steps": 6, "solver": "euler"}
RUNS = [
    {**FIRST, "weight": 1, "steps": 12, "shift": 1},
    {"caption": "three purple stars", "seed": 1, "weight": 2, "steps": 8, "solver": "midpoint", "shift": 2},
    {"caption": "a green star", "seed": 2, "weight": 5, "steps": 8, "solver": "heun", "shift": 1},
    {"caption": "a circle", "seed": 3, "weight": 1, "steps": 12, "solver": "adams-bashforth", "shift": 3},
    {"caption": "four red crosses", "seed": 4, "weight": 2, "steps": 20, "solver": "euler", "shift": 2},
    {"caption": "a blue star right of a circle", "seed": 5, "weight": 5, "steps": 3, "solver": "midpoint", "shift": 1},
]
RUN = """link => new Promise(resolve => {
  lab.root.addEventListener("ended", () => resolve(lab.frames.map(frames => frames.map(frame => ({
    t: frame.tNext, latent: Array.from(frame.zNext), picture: Array.from(frame.denoisedPicture),
  })))), { once: true });
  location.hash = link;
})"""


@pytest.fixture(scope="module")
def pipe() -> JanusFlowPipeline:
    return JanusFlowPipeline.from_pretrained("shapes")


@pytest.fixture(scope="module")
def loaded(browser: Browser, watched: Callable[[Page], Page], address: str) -> Iterator[Page]:
    """The lab with its model, loaded once, which notes what goes wrong and what is asked from elsewhere."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, reduced_motion="reduce")
    context.set_default_timeout(120_000)
    page = watched(context.new_page())
    page.goto(address + "lab.html#" + urlencode(FIRST))
    page.locator("[data-do=start]").click()
    page.wait_for_function("lab.root.classList.contains('ready') && !lab.root.classList.contains('running')")
    yield page
    context.close()


@pytest.fixture
def lab(loaded: Page) -> Iterator[Page]:
    """The loaded lab; whatever a law does with it, nothing may go wrong."""
    yield loaded
    assert not loaded.wrongs


def run(lab: Page, **settings: Any) -> list[list[dict[str, Any]]]:
    """Order a run by its link, and return its frames: of the right run, and of the one with a bug."""
    return lab.evaluate(RUN, urlencode(FIRST | settings | {"again": np.random.default_rng().integers(2**40)}))


@pytest.mark.parametrize("settings", RUNS, ids=lambda settings: f"seed-{settings['seed']}")
def test_the_lab_draws_what_python_draws(lab: Page, pipe: JanusFlowPipeline, settings: dict[str, Any]):
    """The last latent, its picture and the verdict on it are Python's, with every solver."""
    drawn, _ = run(lab, **settings)
    latent = pipe(
        settings["caption"],
        cfg_weight=settings["weight"],
        times=time_grid(settings["steps"], settings["shift"]),
        solver=SOLVERS[settings["solver"]],
        generator=[torch.Generator().manual_seed(settings["seed"])],
        output_type="latent",
        progress=False,
    ).images
    found = torch.tensor(drawn[-1]["latent"]).view_as(latent)
    torch.testing.assert_close(found, latent, atol=1e-3, rtol=0)
    picture = np.asarray(pipe.to_pictures(latent)[0])
    shown = np.array(drawn[-1]["picture"]).reshape(48, 48, 4)[..., :3]
    assert np.abs(shown - picture).max() <= 2
    obeys = satisfies(picture, Caption.parse(settings["caption"]))
    assert lab.locator("[data-side='0'] .lab-verdict").get_attribute("data-obeys") == str(obeys).lower()


def test_a_planted_bug_changes_the_picture_and_its_reference_does_not(lab: Page):
    """Each bug of the docs is offered and can be seen in a picture, latent or time; the run beside it has no bug."""
    right, _ = run(lab, steps=3)
    names = lab.locator("[name=bug] option").evaluate_all("options => options.map(option => option.value)")[1:]
    assert set(names) == set(exhibits())
    for name in names:
        reference, wrong = run(lab, steps=3, bug=name)
        assert reference == right, name
        assert wrong != right, name


def test_every_bug_leads_to_its_exhibit_and_its_law(site: Path):
    """The links beside the two pictures end where the museum and the laws speak of this bug."""
    museum, laws = ((site / page).read_text(encoding="utf-8") for page in ("museum.html", "laws.html"))
    for name, told in exhibits().items():
        assert f'id="{name}"' in museum, name
        assert f'id="{told["law"]}"' in laws, name


def test_a_cancelled_run_leaves_nothing_running(lab: Page):
    """After Stop, the network is asked once more at most; the next run is not disturbed."""
    before = lab.evaluate("lab.client.evaluations")
    lab.evaluate("link => { location.hash = link }", urlencode(FIRST | {"steps": 50}))
    lab.wait_for_function("lab.total === 50 && lab.frames[0].length >= 2")
    lab.locator("[data-do=cancel]").click()
    lab.wait_for_function("!lab.root.classList.contains('running')")
    frames, asked = lab.evaluate("[lab.frames[0].length, lab.client.evaluations]")
    assert frames <= asked - before <= frames + 1 < 50
    run(lab, steps=1)
    assert lab.evaluate("lab.client.evaluations") == asked + 1


def test_a_new_caption_ends_the_old_run(lab: Page):
    """No frame of the old caption is shown among those of the new one."""
    lab.evaluate("link => { location.hash = link }", urlencode(FIRST | {"steps": 50}))
    lab.wait_for_function("lab.total === 50 && lab.frames[0].length >= 1")
    drawn, _ = run(lab, caption="a star", steps=2)
    assert [frame["t"] for frame in drawn] == [0.5, 1]


def test_an_unknown_word_is_named(lab: Page):
    """The model was never shown the word, so nothing is drawn, and the reader is told why."""
    lab.locator("[name=caption]").fill("a red dog")
    expect(lab.locator(".lab-status")).to_contain_text('The model does not know "dog". It knows: a, an, and')
    expect(lab.locator(".lab-marked mark")).to_have_text("dog")
    lab.locator("[name=caption]").fill("")
    expect(lab.locator(".lab-status")).to_contain_text("The caption is empty")


def test_the_caption_is_completed_by_keyboard(lab: Page):
    """Typing "pur", then arrow and Enter, writes "purple"."""
    lab.locator("[name=caption]").fill("")
    lab.locator("[name=caption]").press_sequentially("a pur")
    lab.keyboard.press("ArrowDown")
    lab.keyboard.press("Enter")
    expect(lab.locator("[name=caption]")).to_have_value("a purple ")
    lab.keyboard.type("star")
    lab.keyboard.press("Escape")
    lab.keyboard.press("Enter")
    lab.wait_for_function("lab.frames[0].length === lab.total && lab.state.caption === 'a purple star'")


def test_the_film_obeys_the_keyboard(lab: Page):
    """Step, scrub and play, each from the keyboard; the words say where one is."""
    run(lab)
    now = lab.locator(".lab-now")
    expect(now).to_contain_text("step 6 of 6")
    lab.locator("[data-do=back]").press("Enter")
    expect(now).to_contain_text("step 5 of 6, t = 0.667 to 0.833")
    lab.locator("[name=frame]").press("Home")
    expect(now).to_contain_text("step 1 of 6")
    lab.locator("[data-do=forward]").press("Enter")
    expect(now).to_contain_text("step 2 of 6")
    lab.locator("[name=speed]").select_option("15")
    lab.locator("[data-do=play]").press("Enter")
    expect(now).to_contain_text("step 6 of 6")
    expect(lab.locator("[data-do=play]")).to_have_attribute("aria-label", "play")


def test_the_numbers_of_a_tile_can_be_read(lab: Page):
    """The lens says the number that the run holds, by pointer and by keyboard."""
    drawn, _ = run(lab)
    lab.locator("[data-tile=denoised] canvas").focus()
    lab.keyboard.press("ArrowRight")  # from the middle of the square of squares to the second column of its right half,
    lab.keyboard.press("ArrowUp")  # and to the last row of its upper half: channel 2
    value = np.array(drawn[-1]["latent"]).reshape(4, 12, 12)[1, 11, 1]
    expect(lab.locator(".lab-lens output")).to_contain_text(f"channel 2, row 12, column 2: {value:.3f}")


def test_attention_is_shown_both_ways(lab: Page):
    """A word lights patches, a patch lights words."""
    run(lab)
    lab.locator(".lab-tokens button", has_text="red").focus()
    shares = "all => all.map(e => Number(e.style.getPropertyValue('--lit')))"
    lit = lab.locator(".lab-patches button").evaluate_all(shares)
    assert len(lit) == 36
    assert max(lit) == 1
    lab.locator(".lab-patches button").nth(7).focus()
    lab.keyboard.press("ArrowRight")
    expect(lab.locator(".lab-attention output")).to_contain_text("Row 2, column 3")


def test_the_link_holds_the_state(lab: Page):
    """Whoever opens the link sees the same controls and the same step."""
    said = {"seed": 7, "weight": 3.5, "steps": 5, "solver": "heun", "shift": 2, "bug": "guidance_sign", "layer": 1}
    run(lab, **said, frame=2)
    for name, value in said.items():
        expect(lab.locator(f"#lab [name={name}]")).to_have_value(str(value))
    expect(lab.locator(".lab-now")).to_contain_text("step 3 of 5")
    assert {"frame=2", "bug=guidance_sign", "weight=3.5"} <= set(lab.url.split("#")[1].split("&"))
    expect(lab.locator("[data-link=exhibit]")).to_have_attribute("href", "museum.html#guidance_sign")


def test_the_loaded_lab_fits_a_telephone(lab: Page):
    """Nothing is wider than 390 pixels, with two pictures side by side."""
    run(lab, bug="step_count")
    lab.set_viewport_size({"width": 390, "height": 844})
    assert lab.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    lab.set_viewport_size({"width": 1440, "height": 900})


def test_without_webassembly_the_recorded_film_plays(browser: Browser, address: str):
    """The page says so in a sentence, and the film can be scrubbed."""
    context = browser.new_context()
    context.add_init_script("delete window.WebAssembly")
    page = context.new_page()
    page.goto(address + "lab.html")
    expect(page.locator(".lab-film")).to_contain_text("The live lab cannot run here")
    expect(page.locator("#lab")).to_be_hidden()
    page.locator(".scrubber input[name=step]").press("ArrowRight")
    expect(page.locator(".scrubber output")).to_have_text(re.compile("step 1 of 0 to 29"))
    page.locator(".scrubber select[name=weight]").select_option("5")
    assert "/0-0-5.webp" in page.locator(".frame").last.evaluate("e => getComputedStyle(e).backgroundImage")
    context.close()
