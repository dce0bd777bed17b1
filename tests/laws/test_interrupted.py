"""Work that is cut short leaves whole files, or none."""

import os
import resource
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from janus_minimal.errors import InputError
from janus_minimal.loading.atomic import UNFINISHED, atomic_write, atomic_directory

GENERATE = [sys.executable, "-m", "janus_minimal", "generate", "a red circle", "--steps", "2"]


def test_a_file_is_whole_or_absent(tmp_path):
    """Whoever stops half way leaves the old file, and nothing else."""
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError), atomic_write(path) as unfinished:
        unfinished.write_text("half of the new \udc00", encoding="utf-8")
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_what_a_killed_process_left_goes_with_the_next_one(tmp_path):
    """Its hidden directory, and no one else's."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    dead, alive = (tmp_path / f"{UNFINISHED}{pid}-x" for pid in (process.pid, os.getppid()))
    dead.mkdir()
    alive.mkdir()
    with atomic_directory(tmp_path) as unfinished:
        (unfinished / "file").touch()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([alive.name, "file"])


def test_a_full_disk_is_one_line(tmp_path):
    """The limit on a file's size stands for a disk with no more room."""
    done = subprocess.run(
        [*GENERATE, "--latent", tmp_path / "latents.safetensors"],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)),
    )
    assert done.returncode == 2
    assert "cannot be written" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_takes_no_files_is_one_line():
    """As /proc, in which even root may not write."""
    with pytest.raises(InputError, match=r"^/proc cannot be written: [^\n]+$"), atomic_write(Path("/proc/file")):
        pass


def test_an_interrupted_run_ends_in_one_line(tmp_path):
    """Ctrl-C in the middle of the loop: no traceback, no file."""
    command = [*GENERATE[:-1], "1000000", "--out", str(tmp_path / "picture.png")]
    # Whoever runs the tests in the background ignores Ctrl-C, and a child would inherit that.
    heed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen(command, stderr=subprocess.PIPE, preexec_fn=heed)
    said = b""
    while b"1/1000000" not in said:
        more = os.read(process.stderr.fileno(), 65536)
        assert more, said.decode()  # it ended before its first step
        said += more
    process.send_signal(signal.SIGINT)
    said += process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert b"Traceback" not in said
    assert said.decode().splitlines()[-1].startswith("janus-minimal: interrupted")
    assert list(tmp_path.iterdir()) == []
