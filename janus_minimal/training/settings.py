"""The settings of a run: written down when it begins, and the same whenever it goes on.

Half of a run with one seed followed by half with another is a run of neither, and nothing in its
result shows it. So what a run was begun with is stored, and anything else is refused by name.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from janus_minimal.errors import InputError
from janus_minimal.loading.atomic import atomic_write
from janus_minimal.loading.json_file import read_json

SETTINGS = "settings.json"


def check_same(place: Path, begun: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    """Raise InputError, which names the first setting that differs, unless all are the same."""
    for name in sorted(begun.keys() | asked.keys()):
        was, now = begun.get(name), asked.get(name)
        if was != now:
            raise InputError(
                f"{place} was begun with {name} {was!r}, not {now!r}: "
                "go on with that, or train in another directory"
            )


def check_known(directory: Path, parts: Sequence[str]) -> None:
    """Raise InputError if the directory holds parts of a run without the settings that made them.

    `parts` are patterns of the files that a run writes. Without settings.json, nobody knows how one
    was made: it may be part of a checkpoint that somebody wants to keep.
    """
    if not os.path.isdir(directory):  # unlike Path's, it takes a name that is too long for a file
        return
    found = (path for part in parts for path in directory.glob(part))
    strays = sorted(str(path.relative_to(directory)) for path in found)
    if strays and not (directory / SETTINGS).exists():
        raise InputError(
            f"{directory} holds {strays[0]} but no {SETTINGS}, so nobody knows how it was made: "
            "train in another directory"
        )


def begin_or_go_on(directory: Path, settings: Mapping[str, Any], parts: Sequence[str]) -> None:
    """Write the settings of a new run, or check that they are those of the run in the directory.

    Args:
        directory: the folder of the run.
        settings: names and values, as they are stored in settings.json.
        parts: patterns of the files that a run writes.

    Raises:
        InputError: if the run in the directory has other settings, or if they are lost.
    """
    check_known(directory, parts)
    path = directory / SETTINGS
    if path.exists():
        check_same(directory, read_json(path, wanted="the settings of a run"), settings)
        return
    with atomic_write(path) as unfinished:
        unfinished.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
