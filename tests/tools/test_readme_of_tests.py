"""The examples of tests/README.md work when they are pasted."""

import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tools.tour import in_fresh_processes

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "tests" / "README.md").read_text(encoding="utf-8")
EXAMPLES = dict(re.findall(r"```(?:python|toml) (\w+)\n(.*?)```", README, re.DOTALL))


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """A copy of the tests with each example pasted where the README says."""
    root = tmp_path_factory.mktemp("copy")
    shutil.copy(ROOT / "pyproject.toml", root)
    shutil.copytree(ROOT / "tests", root / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    flow = root / "tests" / "laws" / "test_flow.py"
    flow.write_text(flow.read_text(encoding="utf-8") + "\n\n" + EXAMPLES["law"], encoding="utf-8")
    (root / "tests" / "museum" / "exhibits" / "pasted.py").write_text(EXAMPLES["exhibit"], encoding="utf-8")
    exercises = root / "tests" / "exercises"
    (exercises / "test_21_guidance_at_one.py").write_text(EXAMPLES["exercise"], encoding="utf-8")
    (exercises / "solutions" / "21_guidance_at_one.py").write_text(EXAMPLES["solution"], encoding="utf-8")
    with (exercises / "catalogue.toml").open("a", encoding="utf-8") as catalogue:
        catalogue.write("\n" + EXAMPLES["entry"])
    return root


def run(copy, *arguments) -> str:
    """Run pytest in the copy, and return what it prints."""
    (said,) = in_fresh_processes(_said, [(copy, arguments)])
    return said


def _said(job) -> str:
    """Run pytest in this process, which is a fork. It has tools already, and must import the copy's."""
    folder, arguments = job
    os.chdir(folder)
    sys.path.remove(str(ROOT / "tests"))
    for name in [name for name in sys.modules if name.partition(".")[0] in ("tools", "museum", "exercises")]:
        del sys.modules[name]
    with contextlib.redirect_stdout(io.StringIO()) as out:
        pytest.main(["-q", "-W", "ignore::pytest.PytestAssertRewriteWarning", *arguments])
    return out.getvalue()


@pytest.mark.slow
@pytest.mark.grader
def test_the_law_holds_and_catches_a_bug(copy):
    """The law passes, and fails if guidance has the wrong sign. The pasted exercise, still unsolved, is skipped."""
    law = "tests/laws/test_flow.py::test_swapping_the_velocities_mirrors_the_weight"
    assert "1 passed, 1 skipped" in run(copy, law, "tests/exercises/test_21_guidance_at_one.py")
    assert "1 failed" in run(copy, law, "--exhibit", "guidance_sign")


@pytest.mark.slow
@pytest.mark.grader
def test_the_exhibit_is_caught(copy):
    """With the pasted exhibit planted, laws about guidance fail."""
    assert "FAILED tests/laws/test_flow.py::test_guidance" in run(
        copy, "tests/laws/test_flow.py", "-k", "guidance", "--exhibit", "pasted"
    )


@pytest.mark.slow
@pytest.mark.grader
def test_the_exercise_is_graded_like_the_others(copy):
    """The pasted exercise is not attempted, and its pasted solution is done."""
    files = ["exercises/test_21_guidance_at_one.py", "exercises/solutions/21_guidance_at_one.py"]
    command = [sys.executable, "-m", "tools.grade", *files]
    out = subprocess.run(command, cwd=copy / "tests", capture_output=True, text=True).stdout
    assert [line.split("  ")[-1] for line in out.splitlines()] == ["not attempted", "done", "1 of 2 done"]


@pytest.mark.slow
@pytest.mark.grader
def test_nothing_else_minds_a_further_exercise(copy):
    """With the pasted exercise and another one solved, the quick tests of the exercises pass."""
    exercises = copy / "tests" / "exercises"
    shutil.copy(exercises / "solutions" / "01_beyond_the_prompt.py", exercises / "test_01_beyond_the_prompt.py")
    (copy / "docs").symlink_to(ROOT / "docs")
    assert " passed" in (out := run(copy, "tests/tools/test_exercises.py", "-m", "not slow"))
    assert "failed" not in out


def test_every_example_is_about_ten_lines():
    """There are five examples, and none is longer than fourteen lines."""
    assert list(EXAMPLES) == ["law", "exhibit", "exercise", "solution", "entry"]
    assert all(len(text.splitlines()) <= 14 for text in EXAMPLES.values())
