"""Scores of the small world, with what chance does to them.

{{ scores("evaluation.json") }}                        the categories of an evaluation, with 95 % intervals
{{ pairs("figures/data/compare/steps-30-8.json") }}    what `janus-minimal compare` counted
{{ excluded(0, 56) }}                                  the loss that 0 lost captions of 56 do not exclude
{{ paired_range("figures/data/compare/steps-30-8.json") }}    the 95 % interval of B - A, in percentage points
"""

from scipy.stats import binomtest

from janus_minimal.shapes.compare import upper_bound
from macros.excerpts import read

CASES = ("both", "only_a", "only_b", "neither")


def scores(file: str) -> str:
    """The score of each category and the overall one, with their intervals."""
    report = read(file)
    parts = {**report["categories"], "**overall**": report | {"score": report["overall"]}}
    rows = [f"| {name} | {part['score']:.3f} | {_range(part['interval'])} |" for name, part in parts.items()]
    return "\n".join(["| category | score | 95 % interval |", "| --- | ---: | ---: |", *rows])


def pairs(file: str) -> str:
    """The counts of a comparison by category, and below them what they mean."""
    found = read(file)
    parts = {**found["categories"], "**overall**": found["overall"]}
    rows = [f"| {name} | {' | '.join(str(part[case]) for case in CASES)} |" for name, part in parts.items()]
    head = ["| category | both | only A | only B | neither |", "| --- |" + " ---: |" * 4]
    overall = found["overall"]
    said = f"B − A = {overall['difference']:+.3f}, sign test p = {overall['p_value']:.2g}. "
    bounds = (("loses", "only_a", "most_lost"), ("wins", "only_b", "most_won"))
    said += "; ".join(
        f"B {does} {overall[case]} of {sum(overall[each] for each in CASES)} captions, "
        f"with 95 % confidence at most {overall[most]:.3f} of all"
        for does, case, most in bounds
    )
    return "\n".join([*head, *rows, "", f"{said}."])


def excluded(lost: int, captions: int) -> str:
    """The largest share of captions that may be lost although only so many were."""
    return f"{100 * upper_bound(lost, captions):.1f} %"


def paired_range(file: str) -> str:
    """The exact 95 % interval of the difference, given how many captions the two answer differently."""
    overall = read(file)["overall"]
    differ = overall["only_a"] + overall["only_b"]
    shares = binomtest(overall["only_b"], differ).proportion_ci(0.95)
    captions = sum(overall[case] for case in CASES)
    points = [100 * differ * (2 * share - 1) / captions for share in (shares.low, shares.high)]
    return "{:+.2f} to {:+.2f}".format(*points)


def _range(interval: list[float]) -> str:
    return "{:.3f} to {:.3f}".format(*interval)
