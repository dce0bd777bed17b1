"""The site, built once as it is published, and a browser for all that look at it."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the processes of a test run share the cores; torch reads it at import

import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

ROOT = Path(__file__).parent.parent
sys.path += [str(ROOT / "tests"), str(ROOT / "docs" / "lab")]  # the museum, whose bugs the lab plants; measure.py
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the built site; strict, so a broken reference has already failed here.

    Several test processes share one build: the first makes it, and the others wait for it.
    """
    folder = tmp_path_factory.getbasetemp().parent / f"site-{os.environ.get('PYTEST_XDIST_TESTRUNUID', os.getpid())}"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            _build(folder)
    return folder


def _build(folder: Path) -> None:
    subprocess.run([sys.executable, "docs/prepare.py"], cwd=ROOT, check=True)
    subprocess.run([sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", folder], cwd=ROOT, check=True)


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder and says nothing."""

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="session")
def address(site: Path) -> Iterator[str]:
    """The site in a sub-folder of its server, as a project's pages lie: nothing may count on the root."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=site.parent))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/{site.name}/"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """The Chromium of this machine."""
    from playwright.sync_api import sync_playwright  # only those who look at pages need it

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def watched(address: str) -> Callable[[Any], Any]:
    """Return what lets a page note in `wrongs` whatever goes wrong in it, and each request to elsewhere."""

    def watch(page: Any) -> Any:
        page.wrongs = wrongs = []
        page.on("console", lambda said: wrongs.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: wrongs.append(str(error)))
        page.on("request", lambda r: None if r.url.startswith((address, "data:", "blob:")) else wrongs.append(r.url))
        # Leaving a page aborts what is still on its way (the icon, for example), and nothing is wrong with that.
        page.on("requestfailed", lambda r: None if r.failure == "net::ERR_ABORTED" else wrongs.append(r.url))
        return page

    return watch
