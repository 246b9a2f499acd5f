from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.spatial import procrustes
from sklearn.cross_decomposition import CCA
from sklearn.metrics import adjusted_rand_score
from sklearn.neighbors import NearestNeighbors

from sepvae.evaluation.agreement import (
    Part,
    PeopleByFits,
    adjusted_rand,
    canonical_variates,
    compare_fits,
    congruence,
    correlations,
    mean_correlation,
    nearest,
    overlap,
    rotated,
)

RNG = np.random.default_rng(0)
FEW: Any = {"n_permutations": 3, "n_bootstraps": 2}


def about(n: int = 120) -> pd.DataFrame:
    names = [f"p{i}" for i in range(n)]
    return pd.DataFrame({"id": names, "split": ["train", "test"] * (n // 2), "group": names, "y": 1})


def fit(codes: Any, common: Any = None, people: pd.DataFrame | None = None) -> pd.DataFrame:
    people = about(len(codes)) if people is None else people
    of_common = pd.DataFrame(codes if common is None else common).add_prefix("common")
    return pd.concat([people, of_common, pd.DataFrame(codes).add_prefix("salient")], axis=1)


def turned(codes: Any, rng: Any) -> Any:
    q, _ = np.linalg.qr(rng.normal(size=(codes.shape[1],) * 2))
    return codes @ q


def mean_of(table: pd.DataFrame, measure: str, space: str = "salient") -> "pd.Series[Any]":
    means = table[(table["measure"] == measure) & (table["space"] == space)]
    return means[(means["first"] == "") & (means["second"] == "")].iloc[0]


def test_turned_and_shifted_codes_agree_fully_in_every_measure():
    rng = np.random.default_rng(0)
    blobs = rng.normal(size=(120, 3)) + 6 * rng.integers(2, size=(120, 1))
    table = compare_fits({"seed 0": fit(blobs), "seed 1": fit(turned(blobs, rng) + 5)})
    for measure in ("alignment", "canonical correlation", "neighbours", "subtypes, 2"):
        found = mean_of(table, measure)
        assert found["score"] == pytest.approx(1)
        assert found["chance"] < 0.25
        assert found["p_value"] == 0.01  # 1 of 99 + 1, never 0
    axes = table[table["measure"] == "axis"]
    assert len(axes) == 6
    assert axes["score"].to_numpy() == pytest.approx(1)


def test_independent_codes_agree_by_chance():
    rng = np.random.default_rng(1)
    scores = []
    for _ in range(2):
        fits = {f"seed {i}": fit(rng.normal(size=(400, 4))) for i in range(2)}
        table = compare_fits(fits, n_permutations=3, n_bootstraps=2)
        scores.append([mean_of(table, m)["score"] for m in ("alignment", "subtypes, 2", "neighbours")])
    alignment, rand, near = np.mean(scores, axis=0)
    assert abs(alignment) < 0.1
    assert abs(rand) < 0.05
    assert near == pytest.approx(10 / 199, abs=0.02)  # 10 of 199 others


@pytest.mark.slow
def test_intervals_hold_the_agreement_of_many_people():
    rng, inside = np.random.default_rng(2), 0
    for _ in range(20):
        codes = rng.normal(size=(120, 2))
        other = 0.8 * codes + 0.6 * rng.normal(size=(120, 2))  # a correlation of 0.8 with no rotation
        table = compare_fits({"a": fit(codes), "b": fit(other)}, n_permutations=1, n_bootstraps=100)
        found = mean_of(table, "alignment")
        inside += found["low"] <= 0.8 <= found["high"]
    assert inside >= 17


def test_salient_codes_are_compared_among_targets_and_common_ones_among_all():
    rng = np.random.default_rng(3)
    people = about(160).assign(y=np.arange(160) // 2 % 2)
    y = people["y"].to_numpy()[:, None]
    # Both fits tell the groups apart; within targets they have nothing in common.
    one, two = (fit(10 * y + rng.normal(size=(160, 1)), people=people) for _ in range(2))
    table = compare_fits({"a": one, "b": two}, **FEW)
    assert abs(mean_of(table, "alignment")["score"]) < 0.4
    assert mean_of(table, "alignment", "common")["score"] > 0.9


def test_the_most_central_fit_is_the_one_between_the_others():
    rng = np.random.default_rng(4)
    codes, noise = rng.normal(size=(120, 2)), rng.normal(size=(2, 120, 2))
    table = compare_fits(
        {"left": fit(codes + noise[0]), "mid": fit(codes), "right": fit(codes + noise[1])}, **FEW
    )
    central = table[table["measure"] == "central"]
    assert central["first"].iloc[0] == "mid"
    pairs = table.query("measure == 'alignment' and space == 'salient' and second != ''")
    of_mid = pairs.query("first == 'mid' or second == 'mid'")["score"].mean()
    assert central["score"].iloc[0] == pytest.approx(of_mid)


def test_an_empty_axis_or_space_agrees_with_nothing():
    rng = np.random.default_rng(5)
    codes = np.column_stack([rng.normal(size=120), np.zeros(120)])
    axes = compare_fits({"a": fit(codes), "b": fit(codes)}, **FEW).query("measure == 'axis'")
    assert axes["score"].tolist() == pytest.approx([1, 0, 1, 0])
    assert axes["axis"].tolist() == ["salient0", "salient1"] * 2
    nothing = compare_fits({"a": fit(np.zeros((120, 2))), "b": fit(np.zeros((120, 2)))}, **FEW)
    assert not nothing["measure"].str.startswith("subtypes").any()
    for measure in ("alignment", "canonical correlation"):
        assert mean_of(nothing, measure)["score"] == 0
        assert mean_of(nothing, measure)["p_value"] == 1


def test_alignment_is_that_of_procrustes():
    a, b = RNG.normal(size=(2, 50, 3))
    _, _, disparity = procrustes(a, b)
    # Read on the people it is learnt on, with both scaled to norm 1: 1 - trace ** 2.
    assert congruence(*rotated(Part(a, a), Part(b, b))) == pytest.approx(np.sqrt(1 - disparity))


def test_canonical_correlations_are_those_of_scikit_learn():
    a = RNG.normal(size=(200, 2))
    b = a @ RNG.normal(size=(2, 2)) + RNG.normal(size=(200, 2))
    x, y = CCA(2, max_iter=5000, tol=1e-10).fit_transform(a, b)
    expected = [np.corrcoef(x[:, i], y[:, i])[0, 1] for i in range(2)]
    found = canonical_variates(Part(a, a), Part(b, b))
    assert correlations(*found) == pytest.approx(expected, abs=1e-4)
    assert mean_correlation(*found) == pytest.approx(np.mean(expected), abs=1e-4)


def test_neighbours_are_those_of_scikit_learn_and_of_other_people():
    codes = RNG.normal(size=(40, 3))
    _, expected = NearestNeighbors(n_neighbors=6).fit(codes).kneighbors(codes)
    np.testing.assert_array_equal(nearest(codes, np.arange(40), 5), expected[:, 1:])
    twice = np.repeat(codes, 2, axis=0)
    found = nearest(twice, np.repeat(np.arange(40), 2), 4) // 2
    assert not (found == np.repeat(np.arange(40), 2)[:, None]).any()
    assert overlap(np.array([[0, 1], [2, 3]]), np.array([[1, 0], [3, 4]])) == 0.75


def test_the_adjusted_rand_index_is_that_of_scikit_learn():
    for n in (2, 3, 4):
        a = RNG.integers(n, size=60)
        b = np.where(RNG.random(60) < 0.5, a, RNG.integers(n, size=60))
        assert adjusted_rand(a, b) == pytest.approx(adjusted_rand_score(a, b))
    assert adjusted_rand(np.zeros(9, dtype=int), np.zeros(9, dtype=int)) == 0


def icc_by_hand(x: Any) -> float:
    """ICC(2,1) of people by fits from the sums of squares of Shrout and Fleiss, in loops."""
    n, k = x.shape
    mean = x.mean()
    between = k * sum((row.mean() - mean) ** 2 for row in x) / (n - 1)
    raters = n * sum((column.mean() - mean) ** 2 for column in x.T) / (k - 1)
    left = [x[i, j] - x[i].mean() - x[:, j].mean() + mean for i in range(n) for j in range(k)]
    error = sum(np.square(left)) / ((n - 1) * (k - 1))
    return float((between - error) / (between + (k - 1) * error + k * (raters - error) / n))


def test_the_intraclass_correlation_is_that_of_an_analysis_of_variance():
    # Table 2 of Shrout and Fleiss (1979): ICC(2,1) is .29.
    ratings = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]])
    people = PeopleByFits(4)
    people.add(ratings.T[:, :, None], np.ones(6, dtype=bool))
    assert people.icc()[0] == pytest.approx(0.29, abs=0.005)
    assert people.icc()[0] == pytest.approx(icc_by_hand(ratings))


def test_maps_in_chunks_are_those_at_once():
    values, target = RNG.normal(size=(3, 30, 2, 4)) + RNG.normal(size=(30, 2, 4)), np.arange(30) % 3 > 0
    values[:, :, 0, 0] = 0  # beyond a mask
    people = PeopleByFits(3)
    for chunk in (slice(0, 7), slice(7, 30)):
        people.add(values[:, chunk], target[chunk])
    expected = values[:, target].mean(axis=1) - values[:, ~target].mean(axis=1)
    np.testing.assert_allclose(people.group_maps(), expected)
    icc = people.icc()
    assert np.isnan(icc[0, 0])
    assert icc[1, 3] == pytest.approx(icc_by_hand(values[:, target, 1, 3].T))
    assert icc[1, 3] > 0.2


def test_what_cannot_be_compared_is_an_error():
    table = fit(RNG.normal(size=(120, 2)))
    for fits, message in (
        ({"a": table}, "wanted two or more to compare, got 1"),
        ({"a": table, "b": table[::-1]}, "b and a differ"),
        ({"a": table.assign(y=0), "b": table.assign(y=0)}, "held-out targets: wanted 10 or more"),
    ):
        with pytest.raises(ValueError, match=message):
            compare_fits(fits)
