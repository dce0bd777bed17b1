"""pytest's options for students: `--exhibit NAME` plants a bug, `--grade` grades the exercises."""

import subprocess
import sys
from pathlib import Path

import pytest
from museum.plant import changes_of, plant

TESTS = Path(__file__).parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the two options."""
    group = parser.getgroup("janus_minimal")
    group.addoption("--exhibit", metavar="NAME", help="plant this bug of the museum: some law should catch it")
    group.addoption("--grade", action="store_true", help="grade the exercises instead of running the tests")


def pytest_configure(config: pytest.Config) -> None:
    """Plant the bug before any test runs."""
    if name := config.getoption("--exhibit"):
        try:
            plant(changes_of(name))
        except ModuleNotFoundError:
            raise pytest.UsageError(f"no exhibit {name}: tests/museum/exhibits/ holds one file for each") from None


def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """Grade the exercises instead of running the tests."""
    if not config.getoption("--grade"):
        return None
    if config.getoption("keyword"):
        raise pytest.UsageError("--grade does not take -k: name the exercises' files")
    files = [str(Path(argument).absolute()) for argument in config.args]
    command = [sys.executable, "-m", "tools.grade", *files]  # apart from what pytest has changed in this process
    answer = subprocess.run(command, cwd=TESTS, capture_output=True, text=True)
    if not answer.stdout:
        raise pytest.UsageError(answer.stderr.strip())
    print(answer.stdout, end="")
    return answer.returncode
