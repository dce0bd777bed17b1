"""The table of the agreement with the official modules tells what is so."""

import json

from tools.parity import RECORD, measured, randomised


def test_the_recorded_differences_are_those_of_today():
    """The record has a row for each comparison, and today's differences, like the recorded ones, are rounding."""
    recorded, found = json.loads(RECORD.read_text(encoding="utf-8")), measured()
    assert list(recorded["modules"]) == list(found)
    assert all(row["relative"] < 2e-6 for row in [*recorded["modules"].values(), *found.values()])
    assert recorded["checkpoint"] == randomised()


def test_no_part_of_the_small_checkpoint_is_switched_off():
    """No tensor holds a single number: zeros in GRN or FiLM would hide what these layers do."""
    assert randomised()["constant tensors"] == 0
