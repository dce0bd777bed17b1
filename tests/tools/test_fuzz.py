"""A small selection of the hostile files that `python tests/tools/fuzz.py` makes."""

import subprocess
import sys
from pathlib import Path


def test_hostile_files_end_in_one_line():
    """Each case ends in a result or in one line, without hanging, using 500 MB or writing a file."""
    command = [sys.executable, "fuzz.py", "--cases", "60"]
    done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1].startswith("60 cases of seed 0: 0 ended otherwise"), done.stdout
    assert done.returncode == 0
