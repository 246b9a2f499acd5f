"""Numbers that stand for a missing value are found; legal numbers are left in peace."""

import numpy as np
import pytest

from sepvae.data.missing_codes import find_class_codes, find_codes

RNG = np.random.default_rng(0)
CHILDREN = RNG.uniform(8, 30, 160)
OLD = RNG.normal(75, 9, 300).round()


@pytest.mark.parametrize(
    ("added", "found"),
    [
        ([-9999, -9999], {"-9999": 2}),
        ([-9999.0], {"-9999": 1}),
        ([-999] * 3, {"-999": 3}),
        ([-9, -9], {"-9": 2}),
        ([-4, -4], {"-4": 2}),
        ([77, 77], {"77": 2}),
        ([777, 888, 999], {"777": 1, "888": 1, "999": 1}),
        ([-9999, -8888, 999], {"-9999": 1, "-8888": 1, "999": 1}),
        ([-12345, -12345], {"-12345": 2}),
        ([1e9], {"1000000000": 1}),
        ([-9999] * 300, {"-9999": 300}),  # more often than all values
    ],
    ids=str,
)
def test_codes_are_found_and_sure(added, found):
    codes = find_codes([*CHILDREN, *added, None])
    assert {code.word: code.count for code in codes} == found
    assert all(code.sure for code in codes)
    assert codes[0].low >= 8
    assert codes[0].high <= 30


@pytest.mark.parametrize("added", [-9, -4, 77])
def test_one_that_could_be_a_slip_is_not_sure(added):
    assert [code.sure for code in find_codes([*CHILDREN, added])] == [False]


@pytest.mark.parametrize(
    "values",
    [
        CHILDREN,
        [*CHILDREN, 0, 31, 40],
        [*OLD, 77, 88, 99, 99],  # real ages
        [*RNG.normal(1000, 200, 300).round(), 999, 999, 777, 888],  # real volumes
        RNG.normal(0, 3, 500).round(),  # -9 and 99 would be within
        np.exp(RNG.normal(0, 2, 300)),  # a long tail
        np.r_[np.zeros(200), np.exp(RNG.normal(0, 1, 100))],  # mostly nothing
        np.exp(RNG.normal(0, 1, 300)).clip(0, 5),  # a ceiling
        RNG.poisson(0.1, 200),
        [0] * 95 + [1] * 5,
        [*RNG.uniform(-15, 30, 100).round(), -9, -9, -8],
        [1.0] * 50,
        [],
        [None, np.nan],
    ],
    ids=range(14),
)
def test_legal_values_are_no_codes(values):
    assert find_codes(values) == []


@pytest.mark.parametrize(
    ("classes", "found"),
    [
        (["F", "M", "-9", "-9"], ["-9"]),
        ([1, 2, 1, 2, -9999], ["-9999"]),
        (["1", "2", "999.0"], ["999"]),
        ([1, 2, 99], ["99"]),
        ([1, 2, 3, 20, 99], []),  # numbers of sites
        (["A", "B"], []),
        ([-1, 1], []),
        ([], []),
    ],
)
def test_codes_among_classes(classes, found):
    assert [code.word for code in find_class_codes(classes)] == found
