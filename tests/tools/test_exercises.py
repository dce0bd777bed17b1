"""The grading is fair: correct solutions are graded as done, and tests that check nothing are not."""

import subprocess
import sys
from pathlib import Path

import pytest
from exercises.grade import EXERCISES, HERE, SOLUTIONS, grade, report, title_and_exhibits
from tools.tour import EXHIBITS

HEAD = '"""0. A law.\n\nCatches  guidance_sign, step_count\n"""\n'
LAWS = {
    "says_nothing": "def test_it():\n    assert True\n",
    "fails_always": "def test_it():\n    assert False\n",
    "catches_one": "from janus_minimal import time_grid\n\n\ndef test_it():\n    assert len(time_grid(3)) == 4\n",
}
GRADES = {
    "says_nothing": "passes, but misses guidance_sign and step_count",
    "fails_always": "fails on correct code",
    "catches_one": "passes, but misses guidance_sign",
}


def test_there_are_twelve_exercises_each_with_its_solution():
    """Exercise and solution have the same title and the same exhibits, and the exhibits exist."""
    assert len(EXERCISES) == 12
    for exercise, solution in zip(EXERCISES, SOLUTIONS, strict=True):
        assert title_and_exhibits(exercise) == title_and_exhibits(solution)
        assert set(title_and_exhibits(exercise)[1]) <= set(EXHIBITS)


@pytest.mark.slow
def test_every_solution_is_done():
    """Each solution passes on the correct package and catches all its exhibits."""
    assert [g.title for g in grade(SOLUTIONS) if not g.done] == []


@pytest.mark.slow
def test_what_says_nothing_gets_no_points(tmp_path):
    """Neither `assert True` nor `assert False` is graded as done, nor is a law that misses an exhibit."""
    for name, law in LAWS.items():
        (tmp_path / f"test_{name}.py").write_text(HEAD + law)
    files = [tmp_path / f"test_{name}.py" for name in LAWS]
    grades = grade(files)
    assert [g.status for g in grades] == list(GRADES.values())
    assert report(grades).endswith("0 of 3 done")


@pytest.mark.slow
def test_the_grader_speaks_on_the_command_line():
    """`pytest tests/exercises --grade` prints a line for each exercise, and the total."""
    command = [sys.executable, "-m", "pytest", str(HERE), "--grade"]
    out = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parent.parent).stdout
    assert out.count("not attempted") == 12
    assert "0 of 12 done" in out
