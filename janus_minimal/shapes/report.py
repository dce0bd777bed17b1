"""The report of an evaluation: the answer for each picture, and how it was measured.

A score alone says too little. It is a share of a few hundred pictures, so chance moves it: the table
gives an interval beside it. And two scores can only be subtracted. If the report keeps the answer for
each picture, two reports of the same captions can be compared picture by picture (`shapes.compare`),
which shows smaller differences.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from scipy.stats import binomtest

from janus_minimal.errors import InputError, one_line, quoted
from janus_minimal.loading.json_file import read_json

CONFIDENCE = 0.95
WANTED = "a file that `janus-minimal evaluate --json` wrote"

Interval = tuple[float, float]


@dataclass(frozen=True)
class Answers:
    """The captions of one category, and of each whether its picture shows what it says."""

    asked: list[str]
    right: list[bool]

    @property
    def share(self) -> float:
        """The share of pictures of which the caption is true, in 0..1."""
        return sum(self.right) / len(self.right)

    @property
    def interval(self) -> Interval:
        """The 95 % interval of the score."""
        return wilson(self.right)

    def to_dict(self) -> dict[str, Any]:
        """Return the category as it is written to JSON."""
        head = {"score": self.share, "captions": len(self.asked), "interval": self.interval}
        return head | asdict(self)


@dataclass(frozen=True)
class Evaluation:
    """The answers by category, and how they were measured.

    `steps` is the number of Euler steps. `model` is the fingerprint of all that decides a picture:
    the weights of model and VAE, config, scaling factor and tokenizer. `version` is the package's. It
    also stands for the scorer and for the random numbers that captions and noises are drawn from.
    """

    categories: dict[str, Answers]
    seed: int
    steps: int
    cfg_weight: float
    model: str
    version: str = field(default_factory=lambda: version("janus-minimal"))

    @property
    def overall(self) -> float:
        """The mean of the categories' scores."""
        return sum(part.share for part in self.categories.values()) / len(self.categories)

    @property
    def interval(self) -> Interval:
        """The 95 % interval of the overall score, which here is the share of all pictures.

        It is a little too wide: it treats the captions as one random sample, though the number of
        each category is fixed.
        """
        return wilson([right for part in self.categories.values() for right in part.right])

    @property
    def title(self) -> str:
        """What was measured: "100 captions each, 30 steps, guidance 2, seed 0"."""
        most = max(len(part.asked) for part in self.categories.values())
        how = f"{self.steps} steps, guidance {self.cfg_weight:g}, seed {self.seed}"
        return f"{most} captions each, {how}"

    def to_table(self) -> str:
        """Return the report as a Markdown table."""
        width = max(len(self.title), *map(len, self.categories))
        parts = [(name, part.share, part.interval) for name, part in self.categories.items()]
        lines = [
            f"| {self.title:<{width}} | score | 95 % interval  |",
            f"| {'-' * width} | ----: | -------------: |",
            *(
                f"| {name:<{width}} | {score:.3f} | {low:.3f} to {high:.3f} |"
                for name, score, (low, high) in [
                    *parts,
                    ("**overall**", self.overall, self.interval),
                ]
            ),
        ]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as it is written to JSON."""
        parts = {name: part.to_dict() for name, part in self.categories.items()}
        head = {"overall": self.overall, "interval": self.interval}
        return head | asdict(self) | {"categories": parts}


def wilson(right: Sequence[bool]) -> Interval:
    """Return Wilson's 95 % interval of a share: all true shares that the answers do not contradict.

    Score plus and minus two standard errors would be wrong near 1, where scores lie: 100 right of 100
    have the standard error 0, and would seem certain.

    >>> [round(end, 3) for end in wilson([True] * 100)]
    [0.963, 1.0]
    """
    found = binomtest(sum(right), len(right)).proportion_ci(CONFIDENCE, method="wilson")
    return float(found.low), float(found.high)


def read_evaluation(path: Path) -> Evaluation:
    """Return the report that `janus-minimal evaluate --json` wrote. Raises InputError.

    Scores, intervals and counts follow from the answers. Where the file says something else, lacks a
    setting or has one more, somebody has changed it, and no part of it can be trusted.
    """
    raw = read_json(path, wanted=WANTED)
    try:
        found = TypeAdapter(Evaluation).validate_python(raw)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise InputError(_no_answers(path, f"{place}: {first['msg'].lower()}")) from None
    parts = found.categories.values()
    if not parts or not all(0 < len(part.asked) == len(part.right) for part in parts):
        raise InputError(_no_answers(path, "not one answer for each caption"))
    said, known = rounded(raw), rounded(found.to_dict())
    if wrong := sorted(key for key in said | known if said.get(key) != known.get(key)):
        raise InputError(_no_answers(path, f"{wrong[0]} is not what evaluate writes beside them"))
    for name in (found.model, found.version, *found.categories):
        if name != one_line(name):  # they are printed
            raise InputError(_no_answers(path, f"the name {quoted(name)} is no plain line"))
    return found


def rounded(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a report says in JSON, but for last digits, in which versions of SciPy may differ.

    NaN and infinity are no settings of ours, so each of them equals nothing.
    """
    written: dict[str, Any] = json.loads(
        json.dumps(report),
        parse_float=lambda digits: round(float(digits), 9),
        parse_constant=lambda name: object(),
    )
    return written


def _no_answers(path: Path, reason: str) -> str:
    return f"{path} holds no answers: {quoted(reason)}; expected {WANTED}"
