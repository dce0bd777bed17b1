"""The command line on two processes of this machine's CPU."""

import subprocess
import sys
from pathlib import Path

# --multi_gpu is accelerate's word for several processes on a machine: without it, it starts one where no GPU is.
LAUNCH = ("-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1")
PLAIN = ("--mixed_precision", "no", "--dynamo_backend", "no", "-m", "janus_minimal")


def on_two_processes(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `janus-minimal` with these arguments there."""
    command = [sys.executable, *LAUNCH, *PLAIN, *arguments, "--device", "cpu"]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True)
