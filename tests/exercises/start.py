"""Where an exercise stands before anybody has tried it."""

from typing import NoReturn

import pytest


def not_attempted() -> NoReturn:
    """No failure, and no points."""
    pytest.skip("not attempted")
