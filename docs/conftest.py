"""The site, built once as it is published, for all that look at it."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the built site; strict, so a broken reference has already failed here."""
    folder = tmp_path_factory.mktemp("site")
    subprocess.run([sys.executable, "docs/prepare.py"], cwd=ROOT, check=True)
    subprocess.run([sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", folder], cwd=ROOT, check=True)
    return folder
