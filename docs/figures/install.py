"""What an installation takes: python docs/figures/install.py (a minute)

Writes data/install.json: megabytes on disk, and the processor time of the first command of the README. Processor time
is the sum over all threads, so it hardly depends on what else the machine does.
"""

import json
import resource
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import torch
from canvas import DATA

ROOT = Path(__file__).parent.parent.parent
CAPTION = "a red circle left of a blue square"


def megabytes(*paths: Path) -> int:
    """Return the size of these files, and of all files in these folders."""
    files = [file for path in paths for file in (path.rglob("*") if path.is_dir() else [path])]
    return round(sum(file.stat().st_size for file in files if file.is_file() and not file.is_symlink()) / 1e6)


def tracked() -> list[Path]:
    """Return the files that a clone has."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [ROOT / name for name in listed.splitlines() if (ROOT / name).exists()]


def processor_seconds(*arguments: str) -> float:
    """Run the command line once, and return the seconds that all its threads computed together."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "janus_minimal", *arguments]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    installed = Path(sysconfig.get_paths()["purelib"])
    found = {
        "python": sys.version.split()[0],
        "torch": torch.__version__,
        "megabytes": {
            "clone, without its history": megabytes(*tracked()),
            "bundled model": megabytes(ROOT / "janus_minimal" / "checkpoints" / "shapes"),
            "environment with all extras": megabytes(Path(sys.prefix)),
            "of which torch": megabytes(installed / "torch"),
        },
        "processor seconds": {
            "four pictures": processor_seconds("generate", CAPTION, "--strip", "--device", "cpu"),
            "the help text": processor_seconds("--help"),
        },
    }
    (DATA / "install.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
