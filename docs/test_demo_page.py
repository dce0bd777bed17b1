"""The demo's page, served as its command serves it: through Gradio's client, and in a real browser."""

import gc
import socket
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import unescape
from ipaddress import ip_address
from threading import Lock
from typing import Any

import numpy as np
import pytest
from PIL import Image

from janus_minimal import JanusFlowPipeline, denoise
from janus_minimal.errors import InputError
from janus_minimal.figures.contact_sheet import contact_sheet
from janus_minimal.jobs.request import Request
from janus_minimal.solvers import SOLVERS

pytestmark = pytest.mark.filterwarnings("default")  # of Gradio's own code
LOOKS = [("light", 1440), ("dark", 390)]  # on a desk by day, on a telephone by night


class Elsewhere(list):
    """The hosts beyond this machine that this process has asked for."""

    def note(self, host: Any) -> None:
        name = host.decode() if isinstance(host, bytes) else host
        if not _is_here(name):
            self.append(name)


def _is_here(host: str | None) -> bool:
    try:
        return ip_address(host).is_loopback if host and host != "localhost" else True
    except ValueError:
        return False


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Elsewhere]:
    """Listens to every name that this process looks up and every address that it connects to."""
    hosts, look_up, connect = Elsewhere(), socket.getaddrinfo, socket.socket.connect
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            socket, "getaddrinfo", lambda host, *more, **named: hosts.note(host) or look_up(host, *more, **named)
        )

        def watched(self: socket.socket, address: Any) -> None:
            hosts.note(address[0] if isinstance(address, tuple) else None)
            connect(self, address)

        patch.setattr(socket.socket, "connect", watched)
        yield hosts


@pytest.fixture(scope="module")
def pipe() -> JanusFlowPipeline:
    return JanusFlowPipeline.from_pretrained("shapes")


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@contextmanager
def demo(pipe: JanusFlowPipeline, port: int) -> Iterator[str]:
    """Serve the page, and clear up after Gradio and its client, which leave event loops to the garbage collector."""
    from janus_minimal.demo.serve import serving

    with serving(pipe, "shapes", "127.0.0.1", port) as address:
        yield address
    with warnings.catch_warnings(action="ignore", category=ResourceWarning):
        gc.collect()


@pytest.fixture(scope="module")
def served(pipe: JanusFlowPipeline, port: int, elsewhere: Elsewhere) -> Iterator[str]:
    """The address of the page. One server for all tests of this file."""
    with demo(pipe, port) as address:
        yield address


@pytest.fixture
def client(served: str) -> Any:
    from gradio_client import Client

    with pytest.MonkeyPatch.context() as patch:  # what the client asks of others when it is made is not the page's
        patch.setenv("GRADIO_ANALYTICS_ENABLED", "False")  # without it, the option below is ignored
        patch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY", True)
        return Client(served, verbose=False, analytics_enabled=False, httpx_kwargs={"timeout": 120})


class Patient:
    """A solver that takes its time for each step, and counts: steps, and runs at one time."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.steps = self.running = self.most = 0

    def __call__(self, *given: Any) -> Iterator[Any]:
        with self.lock:
            self.running += 1
            self.most = max(self.most, self.running)
        try:
            for step in denoise(*given):
                time.sleep(0.2)
                self.steps += 1
                yield step
        finally:
            with self.lock:
                self.running -= 1

    def rests(self) -> int:
        """Wait until no step is taken for a second; return how many were."""
        before = -1
        while before != self.steps:
            before = self.steps
            time.sleep(1)
        return before


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> Patient:
    solver = Patient()
    monkeypatch.setitem(SOLVERS, "euler", solver)
    return solver


def soon(true: Callable[[], bool]) -> bool:
    """Whether this becomes true within a minute."""
    end = time.monotonic() + 60
    while not true() and time.monotonic() < end:
        time.sleep(0.05)
    return true()


def pixels(path: str) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def test_the_page_draws_what_the_pipeline_draws(client: Any, pipe: JanusFlowPipeline):
    """The same prompt, settings and seed give the same pixels as the package, and every step is sent on its way."""
    job = client.submit("two stars", 3, 3.0, 4, 7, "heun", api_name="/draw")
    job.result(timeout=120)
    expected = pipe.to_pictures(Request("two stars", 3, 3.0, 4, 7, "heun").draw(pipe, progress=False))
    progress, sheet, strip = zip(*job.outputs(), strict=True)
    assert ["step 1 of 3, t = 0.33" in progress[0], "step 3 of 3, t = 1.00" in progress[-1]] == [True, True]
    assert np.array_equal(pixels(sheet[-1]), np.asarray(contact_sheet(expected, columns=2)))
    assert [text.count("<figure>") for text in strip] == [0, 0, 3]


@pytest.mark.parametrize(
    ("prompt", "reason"),
    [("a pink dog", "does not know"), ("", "the prompt is empty"), ("a star " * 300, "prompt tokens")],
)
def test_a_bad_prompt_is_one_line(client: Any, prompt: str, reason: str, capfd: pytest.CaptureFixture):
    """It tells what is wrong, to the page and to a program that called. No traceback is printed."""
    from gradio_client.exceptions import AppError

    job = client.submit(prompt, 2, 2.0, 1, 0, "euler", api_name="/draw")
    with pytest.raises(AppError, match=reason):
        job.result(timeout=120)
    assert reason in job.outputs()[0][0]
    assert "Traceback" not in "".join(capfd.readouterr())
    assert client.predict("a star", 2, 2.0, 1, 0, "euler", api_name="/draw")[1]


def test_what_is_typed_is_shown_as_text(client: Any):
    """A prompt that looks like HTML is quoted letter by letter, on the page and to a program that called."""
    from gradio_client.exceptions import AppError

    job = client.submit("<img/src=x>", 2, 2.0, 1, 0, "euler", api_name="/draw")
    with pytest.raises(AppError, match="&lt;img/src=x&gt;"):
        job.result(timeout=120)
    assert '"<img/src=x>"' in unescape(job.outputs()[0][0])
    assert "<img" not in job.outputs()[0][0]


def test_the_page_lets_one_run_at_a_time_and_stops_it(pipe: JanusFlowPipeline):
    """Of the page's events the one that draws has one place, and the one that stops ends that one and asks nothing."""
    from janus_minimal.demo.page import build_page

    page = build_page(pipe, "shapes")
    events = page.config["dependencies"]
    (draw,) = (event for event in events if event["api_name"] == "draw")
    (stop,) = (event for event in events if event["cancels"])
    assert page.fns[draw["id"]].concurrency_limit == 1
    assert stop["cancels"] == [draw["id"]]
    assert not stop["inputs"]


def test_a_run_that_is_cancelled_leaves_nothing_running(client: Any, patient: Patient):
    """After cancel, at most the step at hand ends. The solver is closed, and the next run begins at once."""
    job = client.submit("a star", 90, 2.0, 1, 0, "euler", api_name="/draw")
    assert soon(lambda: len(job.outputs()) > 0)
    job.cancel()
    assert soon(lambda: patient.running == 0)
    assert patient.rests() < 90
    assert client.predict("a star", 2, 2.0, 1, 0, "midpoint", api_name="/draw")[1]


def test_one_run_goes_on_at_a_time(client: Any, patient: Patient):
    """Three runs that are asked for together are all drawn, one after the other."""
    jobs = [client.submit("a star", 3, 2.0, 1, seed, "euler", api_name="/draw") for seed in range(3)]
    for job in jobs:
        assert job.result(timeout=120)[1]
    assert (patient.most, patient.steps) == (1, 9)


def test_two_demos_cannot_share_a_port(served: str, pipe: JanusFlowPipeline, port: int):
    """A port that another program uses, or an address of another machine, is one line."""
    from janus_minimal.demo.serve import serving

    for host in ("127.0.0.1", "203.0.113.5"):
        with pytest.raises(InputError, match="cannot listen at"), serving(pipe, "shapes", host, port):
            pass


def test_only_this_machine_reaches_the_page(served: str, port: int):
    """The server listens at the loopback address, and at no other of this machine."""
    assert served == f"http://127.0.0.1:{port}/"
    with socket.socket() as other, pytest.raises(ConnectionRefusedError):
        other.connect(("127.0.0.2", port))  # loopback too, but another address: 0.0.0.0 would answer here


@pytest.fixture(params=LOOKS, ids=lambda look: f"{look[0]}-{look[1]}")
def tab(request: pytest.FixtureRequest, browser: Any, served: str) -> Iterator[Any]:
    """The page in one look. It notes in `wrongs` what goes wrong, and each request to elsewhere."""
    scheme, width = request.param
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    page.wrongs = wrongs = []
    page.on("console", lambda said: wrongs.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: wrongs.append(str(error)))
    page.on(
        "request", lambda asked: None if asked.url.startswith((served, "data:", "blob:")) else wrongs.append(asked.url)
    )
    page.goto(served)
    yield page
    context.close()


def set_steps(tab: Any, number: int) -> None:
    steps = tab.get_by_role("spinbutton", name="Steps")
    steps.fill(str(number))
    steps.press("Tab")


def test_a_reader_draws_watches_and_is_told_what_is_wrong(tab: Any, elsewhere: Elsewhere):
    """In each look: a run is drawn to its end, nothing is wider than the screen, and no request leaves the machine."""
    from playwright.sync_api import expect

    set_steps(tab, 8)
    tab.get_by_role("button", name="Draw").click()
    expect(tab.get_by_text("step 8 of 8, t = 1.00")).to_be_visible(timeout=60_000)
    expect(tab.locator(".strip img")).to_have_count(8)
    assert tab.locator("progress").evaluate("bar => bar.value / bar.max") == 1
    assert tab.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    # What is typed is text, whatever it looks like. The address is one that belongs to nobody.
    prompt = tab.get_by_role("textbox", name="Prompt")
    prompt.fill("<img/src=http://203.0.113.5/x>")  # one word, so the message quotes all of it
    prompt.press("Enter")
    expect(tab.get_by_text("not drawn: the tokenizer does not know")).to_be_visible(timeout=60_000)
    assert tab.locator("img[src*='203.0.113.5']").count() == 0
    assert not tab.wrongs
    assert not elsewhere


@pytest.mark.parametrize("tab", LOOKS[:1], indirect=True)
def test_stop_stops(tab: Any, patient: Patient):
    """The button ends the run that goes on, and the page draws again afterwards."""
    from playwright.sync_api import expect

    set_steps(tab, 100)
    tab.get_by_role("button", name="Draw").click()
    assert soon(lambda: patient.steps > 0)
    tab.get_by_role("button", name="Stop").click()
    assert patient.rests() < 100
    set_steps(tab, 8)
    tab.get_by_role("button", name="Draw").click()
    expect(tab.get_by_text("step 8 of 8, t = 1.00")).to_be_visible(timeout=60_000)
    assert not tab.wrongs


@pytest.mark.usefixtures("served")  # which clears up at the end
def test_serving_prints_nothing(pipe: JanusFlowPipeline, capfd: pytest.CaptureFixture):
    """The command prints one line of its own, and Gradio none beside it."""
    with demo(pipe, free_port()):
        pass
    assert capfd.readouterr().out == ""


def test_the_page_takes_every_seed_that_it_can_hold(client: Any):
    """0 <= seed <= 2^53 - 1: JavaScript rounds larger numbers, and another picture would be drawn."""
    (seed,) = (c["props"] for c in client.config["components"] if c["props"].get("label") == "Seed")
    assert (seed["minimum"], seed["maximum"], seed["precision"]) == (0, 9007199254740991, 0)
