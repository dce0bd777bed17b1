"""How far chance may move a mean, in 95 of 100 samples: scorer.md explains both ways.

{{ resampled("figures/data/solver-shift-1.json", "Euler", "8", "each") }}    by the bootstrap, of many values
{{ resampled_less("figures/data/solver-shift-1.json midpoint 16", "figures/data/solver-shift-1.json Euler 16") }}
                                                           the same, of the differences caption by caption
{{ of_seeds("alignment.json", "aligned", "without", "loss") }}               by Student's t, of a run for each seed
"""

from collections.abc import Sequence

import numpy as np
from scipy import stats

from macros.excerpts import read

RESAMPLES = 10_000


def resampled(file: str, *keys: str, digits: int = 2) -> str:
    """The interval of the mean of the values that stand under these keys."""
    return _range(bootstrap(read(file, *keys)), digits=digits)


def resampled_less(first: str, second: str) -> str:
    """The interval of the mean difference, first less second, of two lists "each" of the same captions.

    A list is named by its file and the keys that lead to it. In a key, _ stands for a space.
    """
    each, other = (read(*(key.replace("_", " ") for key in name.split()), "each") for name in (first, second))
    return _range(bootstrap(np.subtract(each, other)), "+")


def of_seeds(file: str, kind: str, other: str, key: str) -> str:
    """The interval of the mean difference of two kinds of runs, one of each from every seed."""
    pairs = zip(read(file, "runs", kind), read(file, "runs", other), strict=True)
    return _range(student([a[key] - b[key] for a, b in pairs]), "+")


def bootstrap(values: Sequence[float] | np.ndarray) -> np.ndarray:
    """The middle 95 % of the means of samples that are drawn from the values with replacement."""
    found = stats.bootstrap((np.asarray(values),), np.mean, n_resamples=RESAMPLES, method="percentile", rng=0)
    return np.array(found.confidence_interval)


def student(values: Sequence[float] | np.ndarray) -> np.ndarray:
    """The mean, less and plus as many standard errors as so few normal values need."""
    return np.array(stats.ttest_1samp(values, 0).confidence_interval())


def _range(interval: np.ndarray, sign: str = "", digits: int = 2) -> str:
    return " to ".join(f"{end:{sign}#.{digits}g}" for end in interval)
