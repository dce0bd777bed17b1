"""A small selection of the hostile files that `python tests/tools/fuzz.py` makes."""

import sys
from pathlib import Path

from tools.launched import run


def test_hostile_files_end_in_one_line():
    """Each case ends in a result or in one line, without hanging, using 500 MB or writing a file."""
    done = run(Path(__file__).parent, first=forty_cases)
    assert done.stdout.splitlines()[-1].startswith("40 cases of seed 0: 0 ended otherwise"), done.stdout
    assert done.returncode == 0


def forty_cases() -> None:
    """Run the program in this process, which is a fork and has the libraries."""
    import typer
    from tools import fuzz

    sys.argv = ["fuzz.py", "--cases", "40"]
    typer.run(fuzz.main)
