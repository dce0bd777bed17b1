"""The live lab in a real browser: it computes what Python computes and does what its reader asks. Needs a Chromium."""

import json
import re
from collections.abc import Callable, Iterator
from inspect import unwrap
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest
import torch
from macros.budgets import BUDGETS, lab_budgets
from macros.lab import exhibits
from measure import LAYERS, sizes
from museum.plant import changes_of, planted
from playwright.sync_api import Browser, Page, expect

from janus_minimal import JanusFlowPipeline, PromptPair, denoise, time_grid
from janus_minimal.pipeline import image_noise
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
ALLOWED = {"t": 1e-3, "latent": 1e-3, "denoised": 1e-3, "picture": 2}  # a picture's numbers are 0 to 255
RUN = """link => new Promise(resolve => {
  lab.root.addEventListener("ended", () => resolve(lab.frames.map(frames => frames.map(frame => ({
    t: frame.tNext, latent: Array.from(frame.zNext), denoised: Array.from(frame.denoised),
    picture: Array.from(frame.denoisedPicture),
  })))), { once: true });
  location.hash = link;
})"""


@pytest.fixture(scope="session")
def pipe() -> JanusFlowPipeline:
    return JanusFlowPipeline.from_pretrained("shapes")


@pytest.fixture(scope="session")
def loaded(browser: Browser, watched: Callable[[Page], Page], address: str) -> Iterator[Page]:
    """The lab with its model, which notes what goes wrong and what is asked from elsewhere.

    A test process loads it once, even if it is handed a test of another file between two of this one.
    """
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


@pytest.fixture(scope="session")
def right(pipe: JanusFlowPipeline) -> dict[str, np.ndarray]:
    """Python's last step without a bug."""
    return last_step(pipe)


@pytest.fixture(scope="session")
def plain(loaded: Page) -> list[dict[str, Any]]:
    """The frames of the run without a bug."""
    return run(loaded, steps=3)[0]


def test_each_bug_of_the_docs_is_offered(lab: Page):
    """And no other: the page names the exhibit and the law of each."""
    names = lab.locator("[name=bug] option").evaluate_all("options => options.map(option => option.value)")[1:]
    assert set(names) == set(exhibits())


@pytest.mark.parametrize("bug", exhibits())
def test_a_bug_of_the_lab_is_the_bug_of_the_museum(
    lab: Page, pipe: JanusFlowPipeline, bug: str, right: dict[str, np.ndarray], plain: list[dict[str, Any]]
):
    """Planted in the page and in Python, it gives the same times, latent, denoised prediction and picture.

    Else the lab would show the harm of some other bug than the one that the exhibit tells of and that the law catches.
    Each bug can be seen in a picture, latent or time, and the run beside it has no bug.
    """
    reference, wrong = run(lab, steps=3, bug=bug)
    assert reference == plain
    with planted(changes_of(bug)):
        expected = last_step(pipe)
    seen = [np.abs(expected[name] - right[name]).max() > 3 * allowed for name, allowed in ALLOWED.items()]
    assert any(seen), "three steps do not show the bug, so the comparison would say nothing"
    for name, allowed in ALLOWED.items():
        found = np.ravel(wrong[-1][name]).reshape(expected[name].shape)
        np.testing.assert_allclose(found, expected[name], atol=allowed, rtol=0, err_msg=name)


def last_step(pipe: JanusFlowPipeline) -> dict[str, np.ndarray]:
    """The last of three steps in Python, under the names that the page's frames have."""
    prompt = PromptPair.from_text(FIRST["caption"], pipe.tokenizer)
    z = image_noise(pipe.latent_shape, 1, [torch.Generator().manual_seed(FIRST["seed"])])
    times = unwrap(time_grid)(3)  # with its types checked, it would refuse one step too few
    *_, step = denoise(pipe.model, prompt, z, times, FIRST["weight"])
    picture = np.asarray(pipe.to_pictures(step.denoised)[0].convert("RGBA")).astype(float)
    numbers = {"t": step.t_next, "latent": step.z_next, "denoised": step.denoised}
    return {name: tensor.double().numpy() for name, tensor in numbers.items()} | {"picture": picture}


def test_the_files_stay_within_their_budget(site: Path):
    """A reader with a slow line waits for every byte that the lab loads."""
    found = {"files": sizes(site)}
    for name, (part, key), scale, _, most in (budget for budget in BUDGETS if budget[1][0] == "files"):
        assert scale * found[part][key] <= most, name


def test_the_page_shows_each_measurement_beside_its_budget(monkeypatch, tmp_path):
    """All six, with the machine; a page without a record says that nothing was measured."""
    record = tmp_path / "measured.json"
    monkeypatch.setattr("macros.budgets.RECORD", record)
    assert lab_budgets().count("| not measured |") == len(BUDGETS) == 6
    assert "Not measured: `python docs/lab/measure.py SITE`" in lab_budgets()
    seconds = {"median": 1.234, "least": 1, "most": 2}
    found = {"files": {"bytes": 25e6, "gzipped": 9e6}, "opening": 5, "thirty": dict.fromkeys(LAYERS, seconds)}
    record.write_text(json.dumps(found | {"blocked": 0, "chromium": "140", "cores": 2}), encoding="utf-8")
    rows = [row.split(" | ")[1:] for row in lab_budgets().splitlines() if row.startswith("| ")][2:]
    assert rows[0] == ["25 MB", "30 MB |"]
    assert rows[3:] == [["1.23 s", "3 s |"], ["1.23 s", "2 s |"], ["less than 50 ms", "50 ms |"]]
    assert "Chromium 140 on 2 cores" in lab_budgets()


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
    lab.locator("[name=caption]").fill("a red ci")  # nobody is told that "ci" is unknown before the word is finished
    expect(lab.locator(".lab-status")).to_have_text("")
    expect(lab.locator("[name=caption]")).to_have_attribute("aria-invalid", "false")
    lab.keyboard.press("Enter")
    expect(lab.locator(".lab-status")).to_contain_text('The model does not know "ci"')


def test_an_unknown_word_stops_a_run_and_is_still_named(lab: Page):
    """The end of the run must not wipe out the reason."""
    lab.evaluate("link => { location.hash = link }", urlencode(FIRST | {"steps": 50}))
    lab.wait_for_function("lab.total === 50 && lab.frames[0].length >= 1")
    lab.locator("[name=caption]").fill("a red dog")
    lab.wait_for_function("!lab.root.classList.contains('running')")
    expect(lab.locator(".lab-status")).to_contain_text('The model does not know "dog"')


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
    expect(lab.locator("[name=frame]")).to_have_attribute("aria-valuetext", "6 of 6")
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
    """A word lights patches, a patch lights words. What the reader points at is read aloud, a film's steps are not."""
    run(lab)
    expect(lab.locator(".lab-attention output")).to_have_attribute("aria-live", "off")
    lab.locator(".lab-tokens button", has_text="red").focus()
    shares = "all => all.map(e => Number(e.style.getPropertyValue('--lit')))"
    lit = lab.locator(".lab-patches button").evaluate_all(shares)
    assert len(lit) == 36
    assert max(lit) == 1
    lab.locator(".lab-patches button").nth(7).focus()
    lab.keyboard.press("ArrowRight")
    expect(lab.locator(".lab-attention output")).to_contain_text("Row 2, column 3")
    expect(lab.locator(".lab-attention output")).to_have_attribute("aria-live", "polite")


def test_the_link_holds_the_state(lab: Page):
    """Whoever opens the link sees the same controls and the same step."""
    said = {"seed": 7, "weight": 3.5, "steps": 5, "solver": "heun", "shift": 2, "bug": "guidance_sign", "layer": 1}
    run(lab, **said, frame=2)
    for name, value in said.items():
        expect(lab.locator(f"#lab [name={name}]")).to_have_value(str(value))
    expect(lab.locator(".lab-now")).to_contain_text("step 3 of 5")
    assert {"frame=2", "bug=guidance_sign", "weight=3.5"} <= set(lab.url.split("#")[1].split("&"))
    expect(lab.locator("[data-link=exhibit]")).to_have_attribute("href", "museum.html#guidance_sign")


def test_what_a_link_says_that_cannot_be_is_named(lab: Page):
    """The reader learns why another picture is shown than the link's author meant."""
    run(lab, steps=1, weight=5)
    run(lab, steps=2, weight="many", seed=3)
    expected = "expected a number from 0 to 8 in steps of 0.25."
    expect(lab.locator(".lab-status")).to_have_text(f"The link says weight=many: {expected}")
    assert lab.evaluate("[lab.state.weight, lab.state.seed]") == [2, 3]
    lab.locator("[name=steps]").press("Home")
    lab.wait_for_function("lab.total === 1 && lab.frames[0].length === 1")
    expect(lab.locator(".lab-status")).to_have_text("")


def test_an_anchor_of_the_page_leaves_the_lab_as_it_is(lab: Page):
    """A heading's own link changes the address too, and holds no state."""
    run(lab, steps=2, seed=3)
    lab.evaluate("location.hash = 'try-this'")
    lab.wait_for_timeout(300)
    assert lab.evaluate("[lab.state.seed, lab.total, lab.frames[0].length]") == [3, 2, 2]


def test_a_link_of_the_page_keeps_the_model_and_back_returns(lab: Page):
    """A task's link runs at once, without loading the model again; Back shows what was before."""
    run(lab, steps=2, seed=3)
    lab.evaluate("window.same = true")
    lab.get_by_role("link", name="w = 8").click()
    lab.wait_for_function("lab.state.weight === 8 && lab.frames[0].length === 30")
    lab.go_back()
    lab.wait_for_function("lab.state.seed === 3 && lab.frames[0].length === 2")
    assert lab.evaluate("window.same")


def test_a_caption_that_cannot_be_drawn_changes_nothing_of_the_last_run(lab: Page):
    """What is still shown belongs to the last caption, and is dimmed; its attention is read as it was."""
    run(lab, steps=2)
    lab.locator(".lab-patches button").nth(7).focus()
    said = lab.locator(".lab-attention output").text_content()
    lab.locator("[name=caption]").fill("a dog")
    assert "stale" in lab.locator("#lab").get_attribute("class")
    lab.locator("[data-do=back]").press("Enter")
    lab.locator("[data-do=forward]").press("Enter")
    expect(lab.locator(".lab-attention output")).to_have_text(said)
    run(lab, steps=1)
    assert "stale" not in lab.locator("#lab").get_attribute("class")


def test_the_tensors_of_the_run_with_the_bug_can_be_read(lab: Page):
    """The tiles show either run, and the time is told of both: some bugs change nothing else."""
    run(lab, steps=6, bug="half_precision_clock", side=1)
    expect(lab.locator("[name=side]")).to_have_value("1")
    expect(lab.locator(".lab-now")).to_contain_text("t = 0.833 to 1.000; with the bug t = 0.835 to 1.002")
    lab.locator("[data-tile=v] canvas").focus()
    at = "row => row.v[3 * 144 + 0]"  # the middle of the square of squares: the first place of channel 4
    wrong, right = (lab.evaluate(f"({at})(lab.frames[{side}].at(-1))") for side in (1, 0))
    assert f"{wrong:.3f}" != f"{right:.3f}"
    expect(lab.locator(".lab-lens output")).to_contain_text(f"channel 4, row 1, column 1: {wrong:.3f}")
    lab.locator("[name=side]").select_option("0")
    expect(lab.locator(".lab-lens output")).to_contain_text(f"channel 4, row 1, column 1: {right:.3f}")


def test_every_control_has_its_name(lab: Page):
    """A screen reader says what each control is, and not the name of the number or button beside it."""
    sliders, lists = ["Guidance weight w", "Steps", "Time shift", "Step"], ["Solver", "Break it", "Speed", "Layer"]
    boxes = ["Caption", "Example captions", "Tensors of the run"]
    for role, names in {"slider": sliders, "combobox": lists + boxes, "spinbutton": ["Seed"]}.items():
        for name in names:
            expect(lab.locator("#lab").get_by_role(role, name=name, exact=True, include_hidden=True)).to_have_count(1)


def test_a_finger_reads_the_number_that_it_touches(lab: Page):
    """A tap sends no movement, and it gives the tile the focus; neither may lead to the middle of the tile."""
    run(lab, steps=1)
    lab.locator("[data-do=back]").focus()
    tile = lab.locator("[data-tile=z] canvas")
    tile.evaluate("""tile => { const { left, top } = tile.getBoundingClientRect();
        tile.dispatchEvent(new PointerEvent("pointerdown", { clientX: left + 2, clientY: top + 2 }));
        tile.focus(); }""")
    expect(lab.locator(".lab-lens output")).to_contain_text("channel 1, row 1, column 1")


def test_attention_is_computed_only_where_it_is_shown(lab: Page):
    """With layer "none" the network is not asked for it; a layer chosen later brings it."""
    run(lab, steps=2, layer=-1)
    assert lab.evaluate("lab.frames[0].every(frame => frame.attention === undefined)")
    expect(lab.locator(".lab-tokens")).to_be_hidden()
    lab.locator("[name=layer]").select_option("2")
    lab.wait_for_function("lab.frames[0].length === 2 && lab.frames[0].every(frame => frame.attention)")
    expect(lab.locator(".lab-tokens")).to_be_visible()


def test_the_examples_are_reached_by_the_arrow_keys(lab: Page):
    """The list stays at the example that is shown, so the next key leads to the next one."""
    run(lab, steps=1, caption="a red circle left of a blue square")
    lab.locator("[name=example]").focus()
    lab.keyboard.press("ArrowDown")
    lab.keyboard.press("ArrowDown")
    expect(lab.locator("[name=caption]")).to_have_value("a yellow cross and a green triangle")


def test_draw_loads_the_model_where_the_browser_remembers_nothing(browser: Browser, address: str):
    """Whoever presses Draw first gets a picture; the memory of the browser is only a convenience."""
    context = browser.new_context()
    context.add_init_script("""Object.defineProperty(window, "localStorage", {
        get() { throw new DOMException("forbidden", "SecurityError"); } })""")
    page = context.new_page()
    page.goto(address + "lab.html#" + urlencode(FIRST | {"steps": 1}))
    page.get_by_role("button", name="Draw", exact=True).click()
    page.wait_for_function("lab.frames[0].length === 1", timeout=60_000)
    context.close()


def test_draw_waits_for_the_script(browser: Browser, address: str):
    """Until the script is there, a press on Draw would send the form and load the page again."""
    context = browser.new_context()
    context.route("**/lab/lab.mjs", lambda route: route.abort())
    page = context.new_page()
    page.goto(address + "lab.html")
    expect(page.get_by_role("button", name="Draw", exact=True)).to_be_disabled()
    context.close()


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
