"""Two evaluations of the same captions, compared picture by picture.

Two scores are easily told apart by chance alone. But two evaluations with one seed draw the same
captions from the same noises, and most pictures are right in both or wrong in both. Those say nothing
about which one is better. What is left are two counts: the pictures that only A draws rightly, and
those that only B does. If A and B were equally good, each of these would fall to either side like a
coin. The sign test says how often coins are at least as uneven.

A test that finds nothing does not show that A and B are equal. So the comparison also says how large
a loss it can exclude.
"""

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from scipy.stats import binomtest

from janus_minimal.errors import InputError
from janus_minimal.shapes.report import CONFIDENCE, Answers, Evaluation


@dataclass(frozen=True)
class Counts:
    """How many captions both evaluations draw rightly, only A, only B, or neither."""

    both: int
    only_a: int
    only_b: int
    neither: int

    @property
    def captions(self) -> int:
        """The number of captions, each with two pictures."""
        return self.both + self.only_a + self.only_b + self.neither

    @property
    def difference(self) -> float:
        """B's score minus A's."""
        return (self.only_b - self.only_a) / self.captions

    @property
    def p_value(self) -> float:
        """The exact sign test: how often chance alone is at least as uneven, from either side.

        Without any caption that the two answer differently there is nothing to toss for: 1.

        >>> round(Counts(both=60, only_a=2, only_b=6, neither=2).p_value, 2)
        0.29
        """
        unequal = self.only_a + self.only_b
        return float(binomtest(self.only_a, unequal).pvalue) if unequal else 1.0

    @property
    def most_lost(self) -> float:
        """At most this share of captions is lost from A to B, with 95 % confidence."""
        return upper_bound(self.only_a, self.captions)

    @property
    def most_won(self) -> float:
        """At most this share of captions is won from A to B, with 95 % confidence."""
        return upper_bound(self.only_b, self.captions)


@dataclass(frozen=True)
class Comparison:
    """The counts of each category, and what was compared."""

    a: Evaluation
    b: Evaluation
    categories: dict[str, Counts]

    @property
    def overall(self) -> Counts:
        """The counts of all categories together."""
        columns = zip(
            *(asdict(counts).values() for counts in self.categories.values()), strict=True
        )
        return Counts(*map(sum, columns))

    def to_table(self) -> str:
        """Return the counts as a Markdown table, and what they mean in three lines."""
        width = max(len("**overall**"), *map(len, self.categories))
        lines = [
            f"| {'category':<{width}} |  both | only A | only B | neither |",
            f"| {'-' * width} | ----: | -----: | -----: | ------: |",
            *(
                f"| {name:<{width}} | {p.both:5} | {p.only_a:6} | {p.only_b:6} | {p.neither:7} |"
                for name, p in {**self.categories, "**overall**": self.overall}.items()
            ),
        ]
        return "\n".join([*self._titles(), "", *lines, "", *self._meaning()])

    def _titles(self) -> list[str]:
        return [
            f"{name}: score {one.overall:.3f}, {one.title}, model {one.model}"
            for name, one in (("A", self.a), ("B", self.b))
        ]

    def _meaning(self) -> list[str]:
        found = self.overall
        return [
            f"B - A = {found.difference:+.3f}, sign test p = {found.p_value:.2g}",
            _bounded("loses", found.only_a, found.captions, found.most_lost),
            _bounded("wins", found.only_b, found.captions, found.most_won),
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as it is written to JSON."""
        found = self.overall
        names = ("difference", "p_value", "most_lost", "most_won")
        return {
            "a": _settings(self.a),
            "b": _settings(self.b),
            "overall": asdict(found) | {name: getattr(found, name) for name in names},
            "categories": {name: asdict(counts) for name, counts in self.categories.items()},
        }


def compare(a: Evaluation, b: Evaluation) -> Comparison:
    """Compare two evaluations picture by picture. Steps, weight and model may differ.

    Raises InputError unless both have the same seed and captions, and the same scorer, for which the
    package's version stands.
    """
    for name in ("version", "seed"):
        _same(f"the {name}", getattr(a, name), getattr(b, name))
    _same("the categories", list(a.categories), list(b.categories))
    for name, part in a.categories.items():
        other = b.categories[name]
        _same(f"the number of captions of {name}", len(part.asked), len(other.asked))
        if part.asked != other.asked:
            raise InputError(f"A and B were asked other captions of {name}: expected the same")
    counts = {name: counts_of(part, b.categories[name]) for name, part in a.categories.items()}
    return Comparison(a, b, counts)


def counts_of(a: Answers, b: Answers) -> Counts:
    """Count the four cases of a category."""
    found = Counter(zip(a.right, b.right, strict=True))
    cases = ((True, True), (True, False), (False, True), (False, False))
    return Counts(*(found[case] for case in cases))


def upper_bound(seen: int, captions: int) -> float:
    """Return the largest share that does not contradict `seen` cases, with 95 % confidence.

    It is the share p with which so few cases, or fewer, are seen in one of twenty samples (Clopper
    and Pearson's exact bound). For no case at all (1 - p)^n = 0.05.

    >>> round(upper_bound(0, 56), 3), round(1 - 0.05 ** (1 / 56), 3)
    (0.052, 0.052)
    """
    return float(binomtest(seen, captions, alternative="less").proportion_ci(CONFIDENCE).high)


def _settings(one: Evaluation) -> dict[str, Any]:
    names = ("overall", "interval", "seed", "steps", "cfg_weight", "model", "version")
    return {name: getattr(one, name) for name in names}


def _bounded(does: str, seen: int, captions: int, most: float) -> str:
    return f"B {does} {seen} of {captions} captions, with 95 % confidence at most {most:.3f} of all"


def _same(name: str, a: object, b: object) -> None:
    if a != b:
        raise InputError(f"{name} is {a!r} in A and {b!r} in B: expected the same in both")
