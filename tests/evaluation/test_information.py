"""Information in nats: against closed forms, and silent where there is none."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import log_loss

from sepvae.evaluation.information import (
    Evidence,
    Pair,
    label_information,
    shared_information,
)
from sepvae.evaluation.information_scores import information_scores
from sepvae.evaluation.scores import score_codes

HOW = {"n_permutations": 39, "n_bootstraps": 100}


def pairs(n: int, dims: int, nats: float, seed: int = 0) -> tuple[Pair, Pair]:
    """Training and test pairs of rotated Gaussian codes, of which one dimension shares so many nats."""
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(2, n, dims))
    correlation = np.sqrt(1 - np.exp(-2 * nats))
    b[:, 0] = correlation * a[:, 0] + np.sqrt(1 - correlation**2) * b[:, 0]
    a, b = (code @ stats.ortho_group.rvs(dims, random_state=seed) for code in (a, b))
    return Pair(a[::2], b[::2]), Pair(a[1::2], b[1::2])


def names(pair: Pair) -> np.ndarray:
    return np.arange(len(pair.a)).astype(str)


@pytest.mark.parametrize(("nats", "tolerance"), [(0.0, 0.02), (0.5, 0.12), (1.5, 0.25)])
def test_gaussian_codes_share_what_they_should(nats: float, tolerance: float) -> None:
    train, test = pairs(1200, 4, nats)
    found, low, high, p = shared_information(train, names(train), test).score(names(test), **HOW)
    assert found == pytest.approx(nats, abs=tolerance)
    assert low <= found <= high
    assert (p <= 0.05) == (nats > 0)


def test_what_no_line_shows_is_found_by_kernels() -> None:
    rng = np.random.default_rng(0)
    a, noise = rng.normal(size=(2, 1000, 1))
    b = (a**2 - 1) / np.sqrt(2) + 0.5 * noise
    train, test = Pair(a[::2], b[::2]), Pair(a[1::2], b[1::2])
    assert abs(np.corrcoef(a[:, 0], b[:, 0])[0, 1]) < 0.1
    assert shared_information(train, names(train), test).score(names(test), **HOW)[0] > 0.3


def test_the_scale_of_a_dimension_and_outliers_do_not_matter() -> None:
    train, test = pairs(600, 2, 0.5)
    plain = shared_information(train, names(train), test).score(names(test), **HOW)
    stretched = [Pair(np.sinh(3 * part.a), 1e4 * part.b) for part in (train, test)]
    found = shared_information(stretched[0], names(train), stretched[1]).score(names(test), **HOW)
    assert found[0] == pytest.approx(plain[0], abs=0.01)


def test_false_alarms_are_no_more_often_than_the_level() -> None:
    p_values = []
    for seed in range(40):
        train, test = pairs(120, 3, 0.0, seed)
        evidence = shared_information(train, names(train), test)
        p_values.append(evidence.score(names(test), **HOW)[3])
    assert np.mean(np.array(p_values) <= 0.05) <= stats.binom.ppf(0.999, 40, 0.05) / 40


def test_evidence_is_that_of_a_gaussian_critic() -> None:
    """With the true critic the InfoNCE bound is the mean log-ratio, less the mean log of its sums."""
    log_ratio = np.array([[1.0, -1.0], [0.5, 0.2]])
    evidence = Evidence(log_ratio, np.array([0, 1]))
    assert evidence.of(np.array([0, 1])).tolist() == [1.0, 0.2]
    assert evidence.score(np.array(["a", "b"]), **HOW)[0] == pytest.approx(0.6)


def test_information_of_the_label_is_entropy_less_cross_entropy() -> None:
    rng = np.random.default_rng(0)
    y = np.arange(2000) % 2
    x = rng.normal(size=(2000, 1)) + 2 * y[:, None]
    evidence = label_information(x[:1000], y[:1000], np.arange(1000), x[1000:], y[1000:])
    true = stats.norm.pdf(x[1000:, 0], 2) / (stats.norm.pdf(x[1000:, 0]) + stats.norm.pdf(x[1000:, 0], 2))
    best = np.log(2) - log_loss(y[1000:], true)
    assert evidence.score(np.arange(1000), **HOW)[0] == pytest.approx(best, abs=0.03)


def test_a_code_that_knows_nothing_of_the_label_has_no_information() -> None:
    x, y = np.random.default_rng(0).normal(size=(400, 3)), np.arange(400) % 2
    evidence = label_information(x[:200], y[:200], np.arange(200), x[200:], y[200:])
    assert evidence.score(np.arange(200), **HOW)[0] == pytest.approx(0, abs=0.05)


@pytest.fixture
def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    n = 240
    y = np.arange(n) // 2 % 2
    about = {"id": np.arange(n).astype(str), "split": ["train", "test"] * (n // 2), "y": y}
    salient = y * rng.normal(size=n) * 3
    codes = {"common0": rng.normal(size=n), "common1": salient + rng.normal(size=n), "salient0": salient}
    return pd.DataFrame(about | {"group": about["id"], **codes})


def test_scores_name_what_is_shared_and_what_is_known_of_the_label(table: pd.DataFrame) -> None:
    scores = information_scores(table, **HOW).set_index(["metric", "space", "population"])["score"]
    assert scores["shared_information", "both", "target"] > 0.3
    of_label = scores["information", "salient", "all"]
    assert scores["information_share", "salient", "all"] == pytest.approx(of_label / np.log(2))
    assert of_label > scores["information", "common", "all"]


def test_few_subjects_have_no_information_scores(table: pd.DataFrame) -> None:
    few = table.assign(group=(np.arange(len(table)) % 8).astype(str))
    assert information_scores(few, **HOW).empty


def test_scores_of_a_table_have_rows_of_information(table: pd.DataFrame) -> None:
    scores = score_codes(table, n_permutations=19, n_bootstraps=10)
    found = scores[scores["metric"] == "shared_information"]
    assert found["population"].tolist() == ["target", "all"]
    assert found["p_value"].tolist() == [0.05, 0.05]
    assert scores.loc[scores["metric"] == "information", "attribute"].tolist() == ["label", "label"]
    without = score_codes(table, n_permutations=18, n_bootstraps=10)
    assert not without["metric"].str.contains("information").any()


def test_labels_of_few_subjects_have_no_information(table: pd.DataFrame) -> None:
    few = table[(table["y"] == 1) | (table["split"] == "test") | (table.index < 16)]
    scores = information_scores(few, **HOW)
    assert "shared_information" in scores["metric"].tolist()
    assert "information" not in scores["metric"].tolist()


def test_a_test_part_of_other_frequencies_is_scored_by_its_own() -> None:
    """Targets are half of the training part, and a tenth of the test part."""
    rng = np.random.default_rng(0)
    y, test_y = np.arange(2000) % 2, (np.arange(4000) % 10 == 0).astype(int)
    x, test_x = (rng.normal(size=(len(of), 1)) + of[:, None] for of in (y, test_y))
    found = label_information(x, y, np.arange(2000), test_x, test_y).score(np.arange(4000), **HOW)[0]
    density = np.stack([stats.norm.pdf(test_x[:, 0], shift) for shift in (0, 1)]) * [[0.9], [0.1]]
    true = np.log(density / density.sum(axis=0))[test_y, np.arange(4000)] - np.log([0.9, 0.1])[test_y]
    assert found == pytest.approx(true.mean(), abs=0.01)
