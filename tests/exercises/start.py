"""The placeholder in an exercise that nobody has worked on yet."""

from typing import NoReturn

import pytest


def not_attempted() -> NoReturn:
    """Skip the test: it does not fail, and it earns no points."""
    pytest.skip("not attempted")
