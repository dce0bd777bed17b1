"""Every notebook runs from top to bottom on any device, and what it stores is what it makes."""

import ast
import asyncio
import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from janus_minimal.config import JanusConfig
from janus_minimal.figures.steps import slider
from janus_minimal.loading.config_file import read_config
from janus_minimal.loading.hub import find_checkpoint

sys.path.append(str(Path(__file__).parent.parent / "tests"))
from tools.notebook_kernels import Kernels

NOTEBOOKS = sorted(Path(__file__).parent.glob("*.ipynb"))
PACKAGE = Path(__file__).parent.parent / "janus_minimal"
CELL_LINES = 10
LARGEST = 1_000_000  # bytes
# The dearest cells are run with fewer pictures, captions and steps than those that are stored: each text and its
# replacement. The kinds of outputs, which are compared, are the same.
SHORTER = {
    "00_from_caption_to_picture": [("pipe(caption, num", "pipe(caption, 4, num")],
    "01_straight_lines": [("noise, 2000", "noise, 300")],
    "03_the_prompt_pair": [("range(24)", "range(4)"), ("caption, 15, 0.0, num", "caption, 2, 0.0, num"), ("=24", "=4")],
    "04_backbone_and_cache": [("time_grid(30)", "time_grid(4)"), ("15, tqdm", "1, tqdm")],
    "05_the_loop": [("time_grid(30)", "time_grid(6)"), ("(0, 5, 11, 17, 23, 29)", "(0, 5)")],
    "06_guidance": [
        ("[0.0, 0.5, 1.0, 2.0, 4.0, 8.0], 12", "[1.0, 8.0], 2"),
        ("steps=15", "steps=2"),
        ("latents(8.0, 10)", "latents(8.0, 2)"),
        ("time_grid(30)", "time_grid(6)"),
        ("range(0, 30, 5)", "range(0, 6, 5)"),
    ],
    "07_training": [
        ("1000, seed=0)", "20, seed=0)"),
        ("latents, 100, seed", "latents, 2, seed"),
        ("range(60)", "range(3)"),
        ("latents, 16, seed", "latents, 2, seed"),
        ("captions, generator", "captions, 2, generator"),
    ],
    "08_numerics": [("time_grid(30)", "time_grid(4)"), ("range(30)", "range(4)"), ("range(1, 31)", "range(1, 5)")],
    "09_solvers": [
        ("* 2\n", "* 1\n"),
        ("time_grid(32)", "time_grid(3)"),
        ("[4, 8, 16], {", "[2, 4], {"),
        ("time_grid(30)", "time_grid(4)"),
        ("time_grid(8, shift)", "time_grid(2, shift)"),
        ("budgets = [2, 4, 8, 16]", "budgets = [2]"),
    ],
    "10_guidance_of_your_own": [("2.0, 6.0, 16.0], 6", "16.0], 1"), ("captions, 12, w", "captions, 2, w")],
    "11_editing": [
        ("time_grid(20)", "time_grid(5)"),
        ("range(4)", "range(2)"),
        ("(0.0, 0.2, 0.4, 0.5, 0.6, 0.8, 1.0)", "(0.0, 0.5, 1.0)"),
    ],
    "12_few_steps": [
        ("(1, 2, 4, 30)", "(1, 2)"),
        ("(1, 2, 4)]", "(1,)]"),
        ("time_grid(20)", "time_grid(3)"),
        ("2, 3, 4], 8", "2], 1"),
        ("steps, 24)", "steps, 2)"),
        ("teacher, 16)", "teacher, 2)"),
        ("[1.0, 1.5, 2.0, 4.0]", "[1.0, 4.0]"),
    ],
    "13_inside": [
        ("time_grid(15)", "time_grid(4)"),
        ("[0, 3, 7, 14]", "[0, 3]"),
        ("(0, 7, 14)", "(0, 3)"),
        ("fresh_captions(category, 2, 0)", "fresh_captions(category, 1, 0)"),
        ("asked], 10, generator", "asked], 1, generator"),
        ("(4, 6, 8)", "(4, 6)"),
    ],
    "14_your_own_pictures": [
        (
            'for thing in things for colour in colours if (colour, thing) != ("blue", "tree")',
            "for colour, thing in zip(colours, things)",
        ),
        ("steps=170", "steps=3"),
        ("batch_size=12", "batch_size=2"),
        ("captions, 12, num", "captions, 2, num"),
    ],
}
PIXELS_PER_LATENT = {"shapes": 4, "released": 8}


@pytest.fixture(params=NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def path(request) -> Path:
    return request.param


@pytest.fixture
def cells(path) -> list[nbformat.NotebookNode]:
    return nbformat.read(path, as_version=4).cells


def execute(path: Path) -> nbformat.NotebookNode:
    """Run a notebook in a thread and an event loop of its own: the browser's tests may have left one in this thread.

    Kernels of several test processes share the cores, so each has one thread. Progress bars are off, because they show
    times, and a stored time differs from every fresh one.

    At the end the kernel is killed: it has nothing left to do, and a farewell takes half a second.
    """
    notebook = shortened(nbformat.read(path, as_version=4), SHORTER.get(path.stem, ()))
    options = {"timeout": 300, "shutdown_kernel": "immediate", "resources": {"metadata": {"path": str(path.parent)}}}
    run = NotebookClient(notebook, kernel_manager_class=Kernels, **options).async_execute(env=os.environ)
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, run).result()


def shortened(notebook: nbformat.NotebookNode, changes) -> nbformat.NotebookNode:
    """Replace texts in all code cells."""
    for cell in code_cells(notebook.cells):
        for long, short in changes:
            cell.source = cell.source.replace(long, short)
    return notebook


def code_cells(cells):
    return [cell for cell in cells if cell.cell_type == "code"]


def code(cells):
    """Return the code of all cells as syntax trees. IPython's magic commands are no Python."""
    return [ast.parse(re.sub(r"^%.*", "", cell.source, flags=re.MULTILINE)) for cell in code_cells(cells)]


def kinds(cells):
    """Return the kinds of output of each cell: figures, values, printed lines."""
    return [sorted({kind for output in cell.outputs for kind in _kinds(output)}) for cell in code_cells(cells)]


def _kinds(output):
    return list(output.get("data", {})) or [output.get("name", output.output_type)]


def texts(cells):
    """Return every text that the outputs store."""
    for output in (output for cell in code_cells(cells) for output in cell.outputs):
        yield from (output.get("text", ""), output.get("data", {}).get("text/plain", ""))


def definitions(trees):
    """Return the names of all functions and classes, methods included."""
    kinds = (ast.FunctionDef, ast.ClassDef)
    return {node.name for tree in trees for node in ast.walk(tree) if isinstance(node, kinds)}


@cache
def definitions_of_the_package():
    return definitions(ast.parse(path.read_text(encoding="utf-8")) for path in PACKAGE.rglob("*.py"))


def sizes(config: JanusConfig, pixels: int) -> set[int]:
    """Return the numbers of tokens and the widths of a model."""
    tokens = (config.image_size // pixels // config.encoder.stride) ** 2
    return {tokens, 1 + tokens, config.encoder.channels, config.language.hidden_size}


@pytest.mark.slow
def test_it_runs_in_a_fresh_kernel_and_shows_what_it_stores(path, cells):
    """No error, no warning, and each cell shows outputs of the kinds that are stored."""
    fresh = execute(path).cells
    assert "stderr" not in {output.get("name") for cell in code_cells(fresh) for output in cell.outputs}
    assert kinds(fresh) == kinds(cells)


@pytest.mark.parametrize("name", SHORTER)
def test_what_is_run_with_less_stands_in_the_notebook(name):
    """A text that no longer stands in a notebook would be replaced nowhere, and the check would take longer."""
    notebook = nbformat.read(Path(__file__).with_name(f"{name}.ipynb"), as_version=4)
    sources = "\n".join(cell.source for cell in code_cells(notebook.cells))
    assert all(long in sources for long, _ in SHORTER[name])


def test_its_outputs_hold_no_warning_and_no_path_of_a_machine(cells):
    """What is stored is the same on every machine, but for the times of notebook 04."""
    assert "stderr" not in {output.get("name") for cell in code_cells(cells) for output in cell.outputs}
    assert all(cell.metadata == {} for cell in cells)
    assert not re.search(r"(?<![\w.])/(?:home|root|tmp|work|usr|Users)/|site-packages", "\n".join(texts(cells)))


def test_it_picks_the_device_in_its_first_cell(cells):
    """The first code cell picks the device and shows it, so that everything after it can use it."""
    first = code_cells(cells)[0].source
    assert re.search(r"^device = pick_device\(\)$", first, re.MULTILINE)
    assert "print(device" in first


def test_it_names_no_device_and_switches_no_gradients(cells):
    """A notebook that names a kind of device runs on that kind only; a global switch outlives its cell."""
    sources = "\n".join(cell.source for cell in cells)
    assert not re.search("cuda|set_grad_enabled", sources, re.IGNORECASE)


def test_it_holds_no_size_of_a_model(cells):
    """Token counts and widths come from the model, so a notebook runs with another model too."""
    small, released = read_config(find_checkpoint("shapes")), JanusConfig()
    banned = sizes(small, PIXELS_PER_LATENT["shapes"]) | sizes(released, PIXELS_PER_LATENT["released"])
    numbers = {node.value for tree in code(cells) for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    assert not {number for number in numbers if type(number) is int} & banned


def test_it_defines_nothing_that_the_package_has(cells):
    """A copy in a notebook could differ from what the reader is told about."""
    assert not definitions(code(cells)) & definitions_of_the_package()


def test_it_is_made_of_short_cells_each_with_a_sentence_before(cells):
    """One idea a cell: at most ten lines of code, text before each."""
    for before, cell in pairwise(cells):
        if cell.cell_type == "code":
            assert before.cell_type == "markdown"
            assert re.search(r"[.:?)]$", before.source)
            assert sum(bool(line.strip()) for line in cell.source.splitlines()) <= CELL_LINES


def test_the_line_before_a_figure_says_what_it_shows(cells):
    """The site takes the last sentence before a figure as its alternative text."""
    for before, cell in pairwise(cells):
        if any("image/png" in output.get("data", {}) for output in cell.get("outputs", ())):
            line = before.source.splitlines()[-1]
            assert len(re.split(r"(?<=[.:?!])\s+(?=[A-Z])", line)) == 1
            assert line.endswith(".")


def test_it_ends_with_two_questions_with_folded_answers_and_an_exercise(path, cells):
    """The exercise that follows from it exists."""
    end = cells[-1].source
    assert re.findall(r"^\d\. ", end, re.MULTILINE) == ["1. ", "2. "]
    assert len(re.findall(r"^ {4}<details><summary>Answer</summary>.+</details>$", end, re.MULTILINE)) == 2
    links = re.findall(r"\]\((\.\./tests/exercises/.*?)\)", end)
    assert links
    assert all((path.parent / link).is_file() for link in links)


def test_it_is_small(path):
    """Outputs included."""
    assert path.stat().st_size <= LARGEST


def test_a_slider_goes_over_all_steps():
    """slider(draw, S): k = 0, ..., S - 1, and draw is told each k that is chosen."""
    shown = []
    (where, *_) = slider(shown.append, 5).children
    assert (where.min, where.max) == (0, 4)
    where.value = 4
    assert shown[-1] == 4
