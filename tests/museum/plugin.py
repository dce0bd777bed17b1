"""pytest's options for students: `--exhibit NAME` plants a bug, `--grade` grades the exercises."""

from pathlib import Path

import pytest
from museum.plant import changes_of, plant


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
    from tools.grade import chosen, grade, report  # imported here, because few runs need it

    try:
        print(report(grade(chosen(Path(argument) for argument in config.args))))
    except FileNotFoundError as error:
        raise pytest.UsageError(str(error)) from None
    return 0
