"""Background against target: the scores against scikit-learn's, the network against planted codes."""

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from sepvae.errors import DataError
from sepvae.evaluation import classifiers
from sepvae.evaluation.classifiers import group_scores, mlp_probabilities
from sepvae.evaluation.scores import COLUMNS


@pytest.fixture
def codes():
    """Targets lie on a ring around the background: no linear probe can tell, a network can."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 400)
    angle = rng.uniform(0, 2 * np.pi, 400)
    ring = 3 * y[:, None] * np.c_[np.cos(angle), np.sin(angle)] + 0.3 * rng.normal(size=(400, 2))
    table = pd.DataFrame({"id": range(400), "group": np.arange(400) // 2, "y": y})
    table["split"] = np.repeat(["train", "validation", "test"], [260, 20, 120])
    noise = {f"salient{i}": rng.normal(size=400) for i in range(2, 6)}
    return table.assign(common0=y, salient0=ring[:, 0], salient1=ring[:, 1], **noise)


def truth(codes):
    return codes.loc[codes["split"] == "test", "y"].to_numpy()


@pytest.fixture
def probability(codes):
    rng = np.random.default_rng(1)
    return np.clip(0.4 * truth(codes) + rng.uniform(0, 0.8, 120), 0, 1).round(1)  # ties


@pytest.fixture
def small(codes):
    """Enough to see what a fit depends on, and quick."""
    return codes[codes.index % 4 == 0]


def test_the_network_finds_what_no_line_parts(codes):
    probability = mlp_probabilities(codes)
    assert metrics.accuracy_score(truth(codes), probability > 0.5) > 0.95


def test_the_network_learns_nothing_from_test_rows(small):
    is_test = small["split"] == "test"
    flipped = small.assign(y=small["y"].where(~is_test, 1 - small["y"]))
    np.testing.assert_array_equal(mlp_probabilities(small), mlp_probabilities(flipped))


def test_the_network_learns_nothing_from_validation_rows(small):
    held = small["split"] == "validation"
    flipped = small.assign(y=small["y"].where(~held, 1 - small["y"]))
    np.testing.assert_array_equal(mlp_probabilities(small), mlp_probabilities(flipped))


def test_the_network_sees_salient_codes_only(codes):
    rng = np.random.default_rng(2)
    blind = codes.assign(**{f"salient{i}": rng.normal(size=400) for i in range(6)})
    assert metrics.roc_auc_score(truth(codes), mlp_probabilities(blind)) == pytest.approx(0.5, abs=0.15)


def test_scaled_codes_and_shuffled_test_rows_change_nothing(small):
    expected = mlp_probabilities(small)
    scaled = small.assign(salient0=1000 * small["salient0"] + 5)
    np.testing.assert_allclose(mlp_probabilities(scaled), expected, atol=1e-6)
    backwards = pd.concat([small[small["split"] != "test"], small[small["split"] == "test"][::-1]])
    np.testing.assert_allclose(mlp_probabilities(backwards), expected[::-1], atol=1e-12)


def test_the_seed_settles_the_network_and_the_global_one_is_left_alone(small):
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first, again, other = (mlp_probabilities(small, random_state=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


def test_a_network_cut_short_does_not_warn(codes, monkeypatch):
    monkeypatch.setattr(classifiers, "MAX_ITER", 1)
    assert mlp_probabilities(codes).shape == (120,)


def test_scores_are_scikit_learns(codes, probability):
    scores = group_scores(codes, probability, "mlp", n_bootstraps=0).set_index("metric")["score"]
    predicted = probability > 0.5
    assert scores.to_dict() == pytest.approx(
        {
            "balanced_accuracy": metrics.balanced_accuracy_score(truth(codes), predicted),
            "accuracy": metrics.accuracy_score(truth(codes), predicted),
            "auc": metrics.roc_auc_score(truth(codes), probability),
        }
    )


def test_the_interval_draws_whole_test_groups(codes, probability):
    found = group_scores(codes, probability, "mlp", n_bootstraps=400).set_index("metric").loc["accuracy"]
    y, predicted = truth(codes), probability > 0.5
    rng, pairs = np.random.default_rng(3), np.arange(120).reshape(60, 2)
    drawn = [pairs[rng.integers(0, 60, 60)].ravel() for _ in range(400)]
    resampled = [metrics.accuracy_score(y[i], predicted[i]) for i in drawn]
    low, high = np.quantile(resampled, [0.025, 0.975])
    assert (found["low"], found["high"]) == pytest.approx((low, high), abs=0.02)


def test_rows_say_what_they_are(codes, probability):
    scores = group_scores(codes, probability, "own classifier", n_bootstraps=20)
    assert list(scores.columns) == [*COLUMNS, "probe"]
    said = scores[["space", "attribute", "population", "probe"]].drop_duplicates().to_numpy().tolist()
    assert said == [["salient", "label", "all", "own classifier"]]
    assert scores[["n_train", "n_test", "n_test_groups"]].iloc[0].tolist() == [260, 120, 60]
    assert scores["p_value"].isna().all()


def test_chance_is_the_label_that_most_others_have(codes, probability):
    more = codes[(codes["y"] == 1) | (codes["split"] == "test") | (codes.index < 150)]
    chance = group_scores(more, probability, "mlp").set_index("metric")["chance"]
    assert chance["accuracy"] == pytest.approx(truth(codes).mean())
    assert chance["balanced_accuracy"] == chance["auc"] == 0.5


def test_one_test_group_has_no_interval(codes, probability):
    alone = codes.assign(group=codes["group"].where(codes["split"] != "test", 999))
    assert group_scores(alone, probability, "mlp")[["low", "high"]].isna().all(axis=None)


def test_what_is_refused(codes, probability):
    with pytest.raises(DataError, match="one number for each of 120 test rows"):
        group_scores(codes, probability[1:], "mlp")
    with pytest.raises(DataError, match="not logits"):
        group_scores(codes, probability - np.nan, "mlp")
    with pytest.raises(DataError, match=r"in split 'test', got \[1\]"):
        mlp_probabilities(codes[(codes["split"] != "test") | (codes["y"] == 1)])
    with pytest.raises(DataError, match=r"in split .train., got \[\]"):
        mlp_probabilities(codes[codes["split"] == "test"])
    with pytest.raises(DataError, match="salient0"):
        mlp_probabilities(codes[["split", "y"]])
