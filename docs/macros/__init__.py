"""The macros of the pages, for mkdocs-macros: excerpts.py says what each gives."""

import re
from collections.abc import Callable
from functools import wraps
from typing import Any

from macros import excerpts
from macros.accelerator import measured_there
from macros.budgets import lab_budgets
from macros.built import bibtex, built_from, what_to_cite
from macros.colours import shifted_colours
from macros.core import core_files, dependencies
from macros.estimates import bytes_a_step, estimated_seconds, estimated_step, estimates
from macros.evaluations import excluded, paired_range, pairs, scores
from macros.exercises import exercise, exercise_table, exercises
from macros.lab import lab
from macros.means import of_seeds, resampled, resampled_less
from macros.parity import parity
from macros.reading import minutes, minutes_of_parts, reading
from macros.shape_map import shape_map, size
from macros.tuning import save_peak, tuned_ways, tuning_times, what_to_have

NAMES = (
    *("code", "stage", "snippet", "law", "exhibit", "term", "figure", "number", "gigabytes", "value"),
    *("speeds", "spared", "throughput"),
)
OTHERS = (
    *(measured_there, parity, exercise, exercise_table, exercises, lab, lab_budgets, shape_map, size),
    *(minutes, minutes_of_parts, reading, save_peak, tuned_ways, tuning_times, what_to_have, shifted_colours),
    *(bibtex, what_to_cite, core_files, dependencies),
    *(scores, pairs, excluded, paired_range),
    *(resampled, resampled_less, of_seeds),
    *(estimates, estimated_seconds, estimated_step, bytes_a_step),
)


def define_env(env: Any) -> None:
    """Tell mkdocs-macros what a page may ask for, and the footer where the pages come from."""
    env.conf["copyright"] = f"janus_minimal, {told}" if (told := built_from()) else None
    for function in (*(getattr(excerpts, name) for name in NAMES), *OTHERS):
        env.macro(_from_any_folder(function, env), function.__name__)


def _from_any_folder(function: Callable[..., str], env: Any) -> Callable[..., str]:
    """Links in what a macro gives start at the root of the docs: make them fit a page in a folder."""

    @wraps(function)
    def run(*arguments: Any, **options: Any) -> str:
        up = "../" * env.page.file.src_uri.count("/")
        return re.sub(r"(?<=\]\()(?=[\w-]+\.md)", up, function(*arguments, **options))

    return run
