"""The command line in a process of its own, on this machine's CPU: to kill it, to interrupt it, or to run it twice.

A fresh Python imports torch, transformers and diffusers for seconds before a command begins. So most laws fork a
process from one that has imported them (tools.tour), and run the command there.
"""

import contextlib
import io
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from tools.tour import forkserver, in_fresh_processes

# accelerate calls several processes on one machine --multi_gpu. Without it, only one process starts if there is no GPU.
LAUNCH = ("-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1")
LAUNCH += ("--mixed_precision", "no", "--dynamo_backend", "no")

Done = subprocess.CompletedProcess[str]


class Launched:
    """A command that runs. `first` is called before it, in its process; `environment` is added to the variables."""

    def __init__(
        self, directory: Path, *words: str, first: Callable[[], object] | None = None, **environment: str
    ) -> None:
        self.words, self.folder = words, TemporaryDirectory()
        self.said = Path(self.folder.name)
        arguments = (self.said, directory, words, first, environment)
        self.process = forkserver().Process(target=_command, args=arguments)
        self.process.start()

    @property
    def runs(self) -> bool:
        """Whether it has not ended yet."""
        return self.process.is_alive()

    @property
    def stderr(self) -> str:
        """What it has said until now."""
        path = self.said / "stderr"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def send(self, number: signal.Signals) -> None:
        """Send a signal. A process that has ended gets none."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid or 0, number)

    def wait(self, seconds: float = 120) -> Done:
        """Wait until it ends. What it said is kept by the answer alone."""
        self.process.join(seconds)
        assert not self.runs, f"{self.words} still runs: {self.stderr[-300:]}"
        said = (self.said / "stdout").read_text(encoding="utf-8")
        done = subprocess.CompletedProcess(self.words, self.process.exitcode or 0, said, self.stderr)
        self.folder.cleanup()
        return done


def _command(
    said: Path, directory: Path, words: tuple[str, ...], first: Callable[[], object] | None, environment: dict[str, str]
) -> None:
    """Run a command in this process, which is a fork."""
    for stream, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(said / name, os.O_WRONLY | os.O_CREAT), stream)
    os.chdir(directory)
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background would ignore Ctrl-C
    sys.argv = ["janus-minimal", *words]
    if first:
        first()
    from janus_minimal.cli import main

    main()


def run(directory: Path, *words: str, first: Callable[[], object] | None = None) -> Done:
    """Run a command to its end."""
    return Launched(directory, *words, first=first).wait()


def twice(directory: Path, *words: str, first: Callable[[], object] | None = None) -> Done:
    """Run a command in two processes that share the work, with the variables that accelerate gives them."""
    port = free_port()
    words = (*words, "--device", "cpu")
    started = [Launched(directory, *words, first=first, **shared(rank, port)) for rank in ("0", "1")]
    one, two = (process.wait() for process in started)
    said = (one.stdout + two.stdout, one.stderr + two.stderr)
    return subprocess.CompletedProcess(words, one.returncode or two.returncode, *said)


def free_port() -> str:
    """Return a port that nobody listens to."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return str(server.getsockname()[1])


def shared(rank: str, port: str) -> dict[str, str]:
    """Return the variables that accelerate gives one of two processes."""
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return {"WORLD_SIZE": "2", "RANK": rank, "LOCAL_RANK": rank, **place}


def accelerated(script: Path, port: str) -> str:
    """Return what a script prints in the two processes that accelerate starts for it."""
    command = [sys.executable, *LAUNCH, "--main_process_port", port, str(script)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def printed(code: str) -> str:
    """Return what Python code prints in a process that has the libraries, but not yet the package."""
    (text,) = in_fresh_processes(_printed, [code])
    return str(text)


def _printed(code: str) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(code, {})
    return out.getvalue()
