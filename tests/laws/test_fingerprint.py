"""The fingerprint of a model: equal for the same numbers, and different for any other."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tools.drawn import SEEDS, normal

from janus_minimal.loading.fingerprint import fingerprint

LAST = torch.tensor([2**20 - 1])
DTYPES = [torch.float32, torch.bfloat16, torch.float16, torch.int64, torch.bool]


@given(seed=SEEDS, dtype=st.sampled_from(DTYPES), shape=st.sampled_from([(), (0,), (3,), (2, 3)]))
def test_the_same_numbers_have_the_same_fingerprint(seed, dtype, shape):
    """fingerprint(copy in another memory layout and order) = fingerprint(original).

    What counts is what is stored, not where.
    """
    a, b = normal(seed, *shape).to(dtype), normal(seed + 1, 4, 4).to(dtype)
    copied = {"b": b.T.contiguous().T, "a": a.clone()}
    assert fingerprint({"a": a, "b": b}, "x") == fingerprint(copied, "x")


@pytest.mark.parametrize(
    "other",
    [
        {"a": torch.tensor([0.0, 1.0])},
        {"b": torch.zeros(2)},
        {"a": torch.zeros(1, 2)},
        {"a": torch.zeros(2, dtype=torch.int32)},
        {"a": torch.zeros(2, dtype=torch.bfloat16)},
        {"a": torch.zeros(2), "b": torch.zeros(0)},
        {"a": torch.tensor([0.0, -0.0])},
        {},
    ],
)
def test_anything_else_has_another_fingerprint(other):
    """name, shape, dtype, or one number differs  =>  another fingerprint.

    Pictures of two models must not be taken for pictures of one.
    """
    zeros = {"a": torch.zeros(2)}
    assert fingerprint(other) != fingerprint(zeros)
    assert fingerprint({"a": torch.zeros(2**20)}) != fingerprint({"a": torch.zeros(2**20).index_fill(0, LAST, 1.0)})
    assert fingerprint(zeros, "ab", "c") != fingerprint(zeros, "a", "bc")
    assert len({fingerprint({}, *words) for words in (["a\nb"], ["a", "b"], ["a\n", "b"], ["a", "\nb"], ["a b"])}) == 5
    assert fingerprint(zeros, "theta 10000") != fingerprint(zeros, "theta 500000") != fingerprint(zeros)


def test_a_fingerprint_is_the_same_in_every_version():
    """fingerprint({"a": [0, 1]}, "theta", "10000") = ef48ccd1e6af2216, for ever.

    Albums, reports and runs hold fingerprints. Another way to compute them would refuse all that was begun before.
    """
    assert fingerprint({"a": torch.tensor([0.0, 1.0])}, "theta", "10000") == "ef48ccd1e6af2216"


@pytest.mark.parametrize(("a", "b"), [("圖", "書"), ("über", "uber"), ("Rose", "rose"), ("a b", "a  b"), ("a", "a ")])
def test_words_differ_in_every_character(a, b):
    """fingerprint(words) differs for any other character: another script, an accent, a capital, a space.

    Captions are such words. A run that goes on with other captions learns from both.
    """
    assert fingerprint({}, a) != fingerprint({}, b)
    assert fingerprint({}, "first", a) != fingerprint({}, "first", b)


def test_a_fingerprint_is_long_enough_to_be_the_only_one():
    """16 hexadecimal digits, 64 bits: two of a million models are equal with a chance below one in ten million.

    With 16 bits, one pair in 65,536 would be taken for the same model. A parameter has the fingerprint of its numbers.
    """
    found = fingerprint({"a": torch.zeros(2)})
    assert len(found) == 16
    assert set(found) <= set("0123456789abcdef")
    assert fingerprint({"a": torch.nn.Parameter(torch.zeros(2))}) == found
