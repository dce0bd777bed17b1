"""The package itself: light to import, honest about its names, and explained where it is read."""

import ast
import doctest
import importlib
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import FrozenInstanceError, fields, is_dataclass
from pathlib import Path

import pytest
from tools.launched import printed
from tools.prose import CORE, prose_and_code

import janus_minimal

PACKAGE = Path(janus_minimal.__file__).parent


@pytest.mark.parametrize("name", janus_minimal.__all__)
def test_every_public_name_is_listed_and_there(name):
    """name in __all__  =>  name in dir(janus_minimal), and getattr gives it.

    Completion in an editor or a notebook shows what dir lists.
    """
    assert name in dir(janus_minimal)
    assert getattr(janus_minimal, name).__name__ == name


def test_a_module_is_a_module_and_a_function_a_function():
    """import janus_minimal.m gives the module m, for every module; no public name is a module's name.

    Otherwise what a name means would depend on what was imported first.
    """
    for name in CORE:
        module = importlib.import_module(f"janus_minimal.{name}")
        assert getattr(janus_minimal, name) is module
        assert name not in janus_minimal.__all__


def test_the_package_can_be_reloaded():
    """reload(janus_minimal) gives the same names.

    Notebooks reload what they try out.
    """
    code = "import importlib, janus_minimal as j; importlib.reload(j); print(j.denoise.__name__, j.sampling.Step)"
    assert "denoise <class" in printed(code)


def test_importing_the_package_alone_loads_no_heavy_library():
    """import janus_minimal  =>  torch is not imported.

    Help and refusals of the command line come at once.
    """
    code = "import sys, janus_minimal.cli; print({'torch', 'transformers', 'diffusers'} & sys.modules.keys())"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "set()\n"


def test_importing_the_command_runs_none():
    """import janus_minimal.__main__  =>  nothing happens.

    Each process of a sweep imports it, and would begin a sweep of its own.
    """
    assert importlib.import_module("janus_minimal.__main__").main is importlib.import_module("janus_minimal.cli").main


def test_an_unknown_name_is_an_attribute_error():
    """janus_minimal.nonsense  =>  AttributeError.

    hasattr and from-imports rely on it.
    """
    with pytest.raises(AttributeError, match="nonsense"):
        getattr(janus_minimal, "nonsense")  # noqa: B009  # a plain attribute alone would be a useless expression


def test_a_record_cannot_be_changed():
    """record.field = value  =>  FrozenInstanceError, for every dataclass but a step and a film.

    A config, a request or a report is handed from one function to the next. If one of them could change it, what the
    others see would depend on their order. A callback may set a step's z_next, and a film grows.
    """
    paths = [path.relative_to(PACKAGE.parent).with_suffix("") for path in PACKAGE.rglob("[!_]*.py")]
    names = {".".join(path.parts) for path in paths} - {"janus_minimal.demo.page", "janus_minimal.demo.serve"}  # Gradio
    found = [entry for name in sorted(names) for entry in vars(importlib.import_module(name)).values()]
    records = [entry for entry in found if isinstance(entry, type) and is_dataclass(entry)]
    ours = {entry.__qualname__: entry for entry in records if entry.__module__ in names}
    for name, record in ours.items():
        some, frozen = object.__new__(record), name not in ("Step", "Film")
        with pytest.raises(FrozenInstanceError) if frozen else nullcontext():
            setattr(some, fields(record)[0].name, None)
    assert len(ours) > 25


@pytest.mark.parametrize("name", CORE)
def test_the_core_fits_an_editor_window(name):
    """len(line) <= 100 in the eight files.

    They are read side by side with the paper.
    """
    lines = (PACKAGE / f"{name}.py").read_text(encoding="utf-8").splitlines()
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize("name", CORE)
def test_the_core_is_heavily_documented(name):
    """lines(prose) >= 0.9 lines(code) in each file.

    The core is read in an editor, without the site, by people who have not seen this model before.
    """
    prose, code = prose_and_code((PACKAGE / f"{name}.py").read_text(encoding="utf-8"))
    assert prose >= 0.9 * code


def examples(name):
    """The examples of every docstring, read from the source: the shape checks wrap the functions themselves."""
    module, kinds = importlib.import_module(f"janus_minimal.{name}"), (ast.Module, ast.ClassDef, ast.FunctionDef)
    tree = ast.parse((PACKAGE / f"{name}.py").read_text(encoding="utf-8"))
    texts = [ast.get_docstring(node) or "" for node in ast.walk(tree) if isinstance(node, kinds)]
    parser = doctest.DocTestParser()
    return [parser.get_doctest(text, {**vars(module)}, name, name, 0) for text in texts if ">>>" in text]


@pytest.mark.parametrize("name", ["flow", "uvit", "prompt", "cache", "model", "pipeline", "config"])
def test_the_examples_in_the_docstrings_are_true(name):
    """python(example) = the output beneath it.

    An example that has gone stale teaches something false.
    """
    found = examples(name)
    assert found
    for example in found:
        assert doctest.DocTestRunner().run(example).failed == 0
