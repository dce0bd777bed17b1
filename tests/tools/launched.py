"""The command line, run as two processes on this machine's CPU."""

import subprocess
import sys
from pathlib import Path

# accelerate calls several processes on one machine --multi_gpu. Without it, only one process starts if there is no GPU.
LAUNCH = ("-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1")
PLAIN = ("--mixed_precision", "no", "--dynamo_backend", "no", "-m", "janus_minimal")


def on_two_processes(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `janus-minimal` with these arguments in two processes."""
    command = [sys.executable, *LAUNCH, *PLAIN, *arguments, "--device", "cpu"]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True)
