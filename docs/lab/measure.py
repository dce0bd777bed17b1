"""Measure the live lab in a Chromium of this machine: python docs/lab/measure.py SITE writes docs/lab/measured.json.

SITE is the folder of the built site. Run it on an idle machine. lab.md shows what it finds, each beside its budget:

    files       bytes of all that the lab loads, as they are and gzipped
    opening     seconds from opening the page, nothing in the browser's cache, to the first frame of a run
    thirty      seconds for 30 steps, every tensor and two decoded pictures of each: with attention and without
    blocked     milliseconds of the longest task on the page's own thread, from the press on Load to the end; what the
                theme's scripts take while the page opens is not the lab's, and is not counted
"""

import gzip
import json
import os
import shutil
import statistics
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Annotated, Any

import typer
from facts import write
from playwright.sync_api import Page, sync_playwright

HERE = Path(__file__).parent
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
RUNS = 5
WATCH = """window.tasks = [];
new PerformanceObserver(list => tasks.push(...list.getEntries()))
  .observe({ type: "longtask" });"""
LONG = "asked => tasks.filter(task => task.startTime >= asked).map(task => task.duration)"
LAYERS = {"attention": 5, "without": -1}  # the layer whose attention is shown; -1 asks the network for none
RUN = """layer => new Promise(resolve => {
  const begin = performance.now();
  lab.root.addEventListener("ended", () => resolve((performance.now() - begin) / 1000), { once: true });
  lab.state.layer = layer;
  lab.order();
})"""


def main(site: Annotated[Path, typer.Argument(exists=True, file_okay=False)]) -> None:
    """Serve the site, open the lab, and write what was measured."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=site))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        page = browser.new_page()
        page.add_init_script(WATCH)
        page.goto(f"http://127.0.0.1:{server.server_port}/lab.html")
        found = {"files": sizes(site), **timed(page), "chromium": browser.version, "cores": os.cpu_count()}
    write(HERE / "measured.json", json.dumps(found, indent=1).encode())


def timed(page: Page) -> dict[str, Any]:
    """Return the seconds, and the longest task."""
    page.wait_for_load_state("networkidle")  # nobody presses a button before the page has been laid out
    asked = page.evaluate("performance.now()")
    page.locator("[data-do=start]").click()
    page.wait_for_function("lab.frames[0].length > 0")
    opening = page.evaluate("performance.now() / 1000")
    page.wait_for_function("!lab.root.classList.contains('running')")
    return {
        "opening": opening,
        "thirty": {name: thirty(page, layer) for name, layer in LAYERS.items()},
        "blocked": max(page.evaluate(LONG, asked), default=0),  # below 50 ms, a browser calls no task long
    }


def thirty(page: Page, layer: int) -> dict[str, float]:
    """Return the seconds of some runs: the median, and how far they scatter."""
    seconds = [page.evaluate(RUN, layer) for _ in range(RUNS)]
    return {"median": statistics.median(seconds), "least": min(seconds), "most": max(seconds)}


def sizes(site: Path) -> dict[str, int]:
    """Return the bytes of the lab's files: scripts, graphs, weights and runtime."""
    vendored = site / "vendor" / "onnxruntime"
    paths = [path for folder in (site / "lab", vendored) for path in folder.rglob("*") if path.is_file()]
    contents = [path.read_bytes() for path in paths]
    return {"bytes": sum(map(len, contents)), "gzipped": sum(len(gzip.compress(content)) for content in contents)}


if __name__ == "__main__":
    typer.run(main)
