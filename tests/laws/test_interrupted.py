"""Commands that are interrupted: they leave complete files or none, and say so in one line.

The laws about writing files are in test_atomic.py.
"""

import resource
import signal
import time
from functools import partial

from tools.launched import Launched, run

GENERATE = ("generate", "a red circle", "--steps", "2")


def test_a_full_disk_is_one_line(tmp_path):
    """generate on a full disk  =>  one line, status 2, no file.

    The user needs one clear message, and no incomplete file may remain. The test limits the size of files, which has
    the same effect as a full disk.
    """
    limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (5000, 5000))
    done = run(tmp_path, *GENERATE, "--latent", "latents.safetensors", first=limit)
    assert done.returncode == 2
    assert "cannot be written" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_run_ends_in_one_line(tmp_path):
    """Ctrl-C in the middle of the loop  =>  one line, status 130, no file.

    The user stopped the command on purpose, so a traceback would not help.
    """
    command = Launched(tmp_path, *GENERATE[:-1], "1000000", "--out", "picture.png")
    while "1/1000000" not in command.stderr:
        assert command.runs, command.stderr  # the command ended before its first step
        time.sleep(0.05)
    command.send(signal.SIGINT)
    done = command.wait()
    assert done.returncode == 130
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("janus-minimal: interrupted")
    assert list(tmp_path.iterdir()) == []
