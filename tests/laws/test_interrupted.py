"""Commands that are interrupted: they leave complete files or none, and say so in one line.

The laws about writing files are in test_atomic.py.
"""

import os
import resource
import signal
import subprocess
import sys
from functools import partial

GENERATE = [sys.executable, "-m", "janus_minimal", "generate", "a red circle", "--steps", "2"]


def test_a_full_disk_is_one_line(tmp_path):
    """generate on a full disk  =>  one line, status 2, no file.

    The user needs one clear message, and no incomplete file may remain. The test limits the size of files, which has
    the same effect as a full disk.
    """
    done = subprocess.run(
        [*GENERATE, "--latent", tmp_path / "latents.safetensors"],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000)),
    )
    assert done.returncode == 2
    assert "cannot be written" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_run_ends_in_one_line(tmp_path):
    """Ctrl-C in the middle of the loop  =>  one line, status 130, no file.

    The user stopped the command on purpose, so a traceback would not help.
    """
    command = [*GENERATE[:-1], "1000000", "--out", str(tmp_path / "picture.png")]
    # Tests that run in the background ignore Ctrl-C, and a child process inherits this. So it is switched back on.
    heed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen(command, stderr=subprocess.PIPE, preexec_fn=heed)
    said = b""
    while b"1/1000000" not in said:
        more = os.read(process.stderr.fileno(), 65536)
        assert more, said.decode()  # the command ended before its first step
        said += more
    process.send_signal(signal.SIGINT)
    said += process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert b"Traceback" not in said
    assert said.decode().splitlines()[-1].startswith("janus-minimal: interrupted")
    assert list(tmp_path.iterdir()) == []
