"""Two evaluations, compared picture by picture: the counts, the sign test, and what they can exclude."""

from dataclasses import replace
from importlib.metadata import version
from math import comb

import pytest
from scipy.stats import binom

from janus_minimal.errors import InputError
from janus_minimal.shapes.compare import Counts, compare, upper_bound
from janus_minimal.shapes.report import Answers, Evaluation

CAPTIONS = ["a star", "two stars", "a red star", "a cross", "two crosses"]
A = Evaluation(
    {
        "counting": Answers(CAPTIONS, [True, True, True, False, False]),
        "colours": Answers(CAPTIONS, [True, True, False, True, True]),
    },
    seed=3,
    steps=30,
    cfg_weight=2.0,
    model="one",
)
B = replace(
    A,
    categories={
        "counting": Answers(CAPTIONS, [True, False, False, True, False]),
        "colours": Answers(CAPTIONS, [False, True, False, True, True]),
    },
    steps=8,
    cfg_weight=1.0,
    model="other",
)


def test_each_caption_is_counted_once_by_who_shows_it():
    """both, only A, only B, neither: of caption i the two answers, by category, and their sums.

    Steps, weight and model may differ: they are what is compared.
    """
    found = compare(A, B)
    assert found.categories == {"counting": Counts(1, 2, 1, 1), "colours": Counts(3, 1, 0, 1)}
    assert found.overall == Counts(4, 3, 1, 2)
    assert found.overall.captions == 10
    assert found.overall.difference == pytest.approx(B.overall - A.overall)


def test_exchanging_a_and_b_exchanges_only_their_columns():
    """compare(B, A): only A and only B exchanged, difference negated, the same p.

    The sign test looks from both sides.
    """
    there, back = compare(A, B).overall, compare(B, A).overall
    assert back == Counts(there.both, there.only_b, there.only_a, there.neither)
    assert (back.difference, back.p_value) == (-there.difference, there.p_value)
    assert (back.most_lost, back.most_won) == (there.most_won, there.most_lost)


@pytest.mark.parametrize(("a", "b"), [(6, 2), (0, 5), (3, 3), (0, 1), (14, 1)])
def test_the_sign_test_counts_the_tosses_that_are_as_uneven(a, b):
    """p = 2 sum_{k >= max(a, b)} C(a + b, k) / 2^(a + b), at most 1; pictures that both answer alike do not count.

    By hand for 6 and 2: 2 (28 + 8 + 1) / 256 = 0.29.
    """
    tosses = a + b
    uneven = 2 * sum(comb(tosses, k) for k in range(max(a, b), tosses + 1)) / 2**tosses
    for alike in (0, 50):
        assert Counts(alike, a, b, alike).p_value == pytest.approx(min(1.0, uneven))


def test_without_any_difference_there_is_nothing_to_toss_for():
    """only A = only B = 0  =>  p = 1, and a loss is still possible.

    Equal answers for 56 captions do not exclude a loss of 5 %.
    """
    same = Counts(50, 0, 0, 6)
    assert (same.p_value, same.difference) == (1.0, 0.0)
    assert same.most_lost == same.most_won == pytest.approx(1 - 0.05 ** (1 / 56))


@pytest.mark.parametrize(("seen", "captions"), [(0, 56), (3, 140), (12, 700), (139, 140)])
def test_at_the_bound_so_few_losses_are_rare(seen, captions):
    """P(at most `seen` of n cases | share = upper_bound(seen, n)) = 0.05; of n cases the bound is 1.

    A larger share would make what was seen rarer still, so it is excluded with 95 % confidence.
    """
    assert binom.cdf(seen, captions, upper_bound(seen, captions)) == pytest.approx(0.05)
    assert upper_bound(captions, captions) == 1.0


def test_the_bounds_are_of_all_captions():
    """most_lost = upper_bound(only A, n), most_won = upper_bound(only B, n), n = all captions.

    A loss is a difference of scores, and scores are shares of all captions.
    """
    pairs = Counts(60, 3, 1, 6)
    assert (pairs.most_lost, pairs.most_won) == (upper_bound(3, 70), upper_bound(1, 70))


def test_the_comparison_says_what_was_compared_and_what_it_means():
    """table: A, B, a line for each category and for all, difference, p, bounds; JSON: the same numbers.

    Two files may have names that say nothing.
    """
    found = compare(A, B)
    text = found.to_table()
    lines = [line for line in text.splitlines() if line.startswith("|")]
    rows = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines[2:]]
    assert rows == [
        ("counting", "1", "2", "1", "1"),
        ("colours", "3", "1", "0", "1"),
        ("**overall**", "4", "3", "1", "2"),
    ]
    assert len({len(line) for line in lines}) == 1
    for said in (
        "A: score 0.700, 5 captions each, 30 steps, guidance 2, seed 3, model one",
        "B: score 0.500, 5 captions each, 8 steps, guidance 1, seed 3, model other",
        "B - A = -0.200, sign test p = 0.62",
        f"B loses 3 of 10 captions, with 95 % confidence at most {upper_bound(3, 10):.3f} of all",
        f"B wins 1 of 10 captions, with 95 % confidence at most {upper_bound(1, 10):.3f} of all",
    ):
        assert said in text
    kept = found.to_dict()
    about = {"seed": 3, "version": version("janus-minimal")}
    how = {"steps": 30, "cfg_weight": 2.0, "model": "one"}, {"steps": 8, "cfg_weight": 1.0, "model": "other"}
    for name, one, score, settings in (("a", A, 0.7, how[0]), ("b", B, 0.5, how[1])):
        assert kept[name] == about | settings | {"overall": pytest.approx(score), "interval": one.interval}
    assert kept["categories"]["colours"] == {"both": 3, "only_a": 1, "only_b": 0, "neither": 1}
    overall = found.overall
    assert kept["overall"]["only_a"] == 3
    assert (kept["overall"]["difference"], kept["overall"]["p_value"]) == (overall.difference, overall.p_value)
    assert (kept["overall"]["most_lost"], kept["overall"]["most_won"]) == (overall.most_lost, overall.most_won)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (replace(B, seed=4), "the seed is 3 in A and 4 in B"),
        (replace(B, version="0"), "the version is"),
        (replace(B, categories={"counting": B.categories["counting"]}), "the categories"),
        (
            replace(B, categories=B.categories | {"colours": Answers(CAPTIONS[:4], [True] * 4)}),
            "the number of captions of colours is 5 in A and 4 in B",
        ),
        (
            replace(B, categories=B.categories | {"colours": Answers([*CAPTIONS[:3], *CAPTIONS[:2:-1]], [True] * 5)}),
            "other captions of colours",
        ),
    ],
)
def test_reports_that_do_not_share_captions_and_scorer_are_refused(other, said):
    """another seed, version, category, number or text of captions  =>  InputError, for A with B and B with A.

    Only the same captions, from the same noises, judged by the same scorer, can be paired.
    """
    with pytest.raises(InputError, match=said):
        compare(A, other)
    with pytest.raises(InputError, match="expected the same"):
        compare(other, A)
