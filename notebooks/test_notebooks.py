"""Every notebook runs from top to bottom, and what it stores is what it makes."""

import asyncio
import os
import re
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted(Path(__file__).parent.glob("*.ipynb"))
CELL_LINES = 10
LARGEST = 1_000_000  # bytes


@pytest.fixture(params=NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def path(request) -> Path:
    return request.param


@pytest.fixture(scope="session")
def runs() -> Iterator[dict[Path, Future]]:
    """Every notebook run in a kernel of its own, two at a time: much of a run is waiting for imports."""
    with ThreadPoolExecutor(2) as pool:
        yield {path: pool.submit(execute, path) for path in NOTEBOOKS}


def execute(path: Path) -> nbformat.NotebookNode:
    """In an event loop that ends with it; one thread for each kernel, since two kernels share the cores."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(path.parent)}})
    return asyncio.run(client.async_execute(env=os.environ | {"OMP_NUM_THREADS": "1"}))


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def kinds(notebook):
    """Of each cell, what kinds of output it has: figures, values, printed lines."""
    return [sorted({kind for output in cell.outputs for kind in _kinds(output)}) for cell in code_cells(notebook)]


def _kinds(output):
    return list(output.get("data", {})) or [output.get("name", output.output_type)]


@pytest.mark.slow
def test_it_runs_in_a_fresh_kernel_and_shows_what_it_stores(path, runs):
    """No error, no warning, and each cell shows outputs of the kinds that are stored."""
    stored, fresh = nbformat.read(path, as_version=4), runs[path].result()
    printed = [output for cell in code_cells(fresh) for output in cell.outputs if output.get("name") == "stderr"]
    assert printed == []
    assert kinds(fresh) == kinds(stored)


def test_it_is_made_of_short_cells_each_with_a_sentence_before(path):
    """One idea a cell: at most ten lines of code, text before each."""
    cells = nbformat.read(path, as_version=4).cells
    for before, cell in pairwise(cells):
        if cell.cell_type == "code":
            assert before.cell_type == "markdown"
            assert sum(bool(line.strip()) for line in cell.source.splitlines()) <= CELL_LINES


def test_it_ends_with_two_questions_and_an_exercise(path):
    """The exercise that follows from it exists."""
    end = nbformat.read(path, as_version=4).cells[-1].source
    assert re.findall(r"^\d\. ", end, re.MULTILINE) == ["1. ", "2. "]
    links = re.findall(r"\]\((\.\./tests/exercises/.*?)\)", end)
    assert links
    assert all((path.parent / link).is_file() for link in links)


def test_it_is_small(path):
    """Outputs included."""
    assert path.stat().st_size <= LARGEST
