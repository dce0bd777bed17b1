"""The package under the shape checks of the tests, imported once before the forks of a tour.

A bug is planted by giving a function new code, so the package need not be imported anew for each exhibit.
"""

import gc
from importlib import import_module

from jaxtyping import install_import_hook

NAMES = ("pipeline", "editing", "solvers", "training.flow", "training.reflow", "shapes.run", "shapes.evaluate")
CHECKS = "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"  # as in pyproject.toml

with install_import_hook("janus_minimal", CHECKS):
    for name in (*(f"janus_minimal.{name}" for name in NAMES), "hypothesis", "museum.plugin"):
        import_module(name)
gc.freeze()  # what is there before a fork need not be looked at again
