"""Rank correlations against scipy and closed forms, and what is pooled of folds."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sepvae.errors import DataError
from sepvae.evaluation.correlations import (
    clinical_associations,
    clinical_scores,
    partial_spearman,
    probe_predictions,
)
from sepvae.evaluation.probes import make_probe


@pytest.fixture
def amounts():
    """Four columns that go together; the third has ties."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(60, 4)) + rng.normal(size=(60, 1))
    values[:, 2] = values[:, 2].round()
    return values


def recursive(ranks, i, j, others):
    """Partial correlation by the formula that takes out one variable after another."""
    if not others:
        return np.corrcoef(ranks[:, i], ranks[:, j])[0, 1]
    *rest, last = others
    ij, il, jl = (recursive(ranks, a, b, rest) for a, b in ((i, j), (i, last), (j, last)))
    return (ij - il * jl) / np.sqrt((1 - il**2) * (1 - jl**2))


def test_without_covariates_it_is_scipys(amounts):
    expected = stats.spearmanr(amounts[:, 0], amounts[:, 2])
    assert partial_spearman(amounts[:, 0], amounts[:, 2]) == pytest.approx(tuple(expected))


@pytest.mark.parametrize("k", [1, 2])
def test_with_covariates_it_is_the_recursive_formula(amounts, k):
    rho, p = partial_spearman(amounts[:, 0], amounts[:, 1], pd.DataFrame(amounts[:, 2 : 2 + k]))
    expected = recursive(stats.rankdata(amounts, axis=0), 0, 1, [2, 3][:k])
    t = abs(expected) * np.sqrt((60 - 2 - k) / (1 - expected**2))
    assert (rho, p) == pytest.approx((expected, 2 * stats.t.sf(t, 60 - 2 - k)))


def test_a_class_is_its_indicator_and_a_column_told_twice_costs_no_freedom(amounts):
    x, y, sex = amounts[:, 0], amounts[:, 1], amounts[:, 2] > 0
    found = partial_spearman(x, y, pd.DataFrame({"sex": np.where(sex, "F", "M")}))
    assert found == pytest.approx(partial_spearman(x, y, pd.DataFrame({"sex": sex.astype(float)})))
    assert found == pytest.approx(partial_spearman(x, y, pd.DataFrame({"a": sex, "b": ~sex, "c": "one"})))


def test_three_sites_are_means_taken_out_of_the_ranks(amounts):
    site = np.arange(60) % 3
    rho, p = partial_spearman(amounts[:, 0], amounts[:, 1], pd.DataFrame({"site": site.astype(str)}))
    ranks = pd.DataFrame(stats.rankdata(amounts[:, :2], axis=0))
    left = ranks - ranks.groupby(site).transform("mean")
    expected = np.corrcoef(left.T)[0, 1]
    assert rho == pytest.approx(expected)
    assert p == pytest.approx(2 * stats.t.sf(abs(expected) * np.sqrt(56 / (1 - expected**2)), 56))


def test_what_has_no_answer():
    line = np.arange(5.0)
    assert partial_spearman(line, line) == pytest.approx((1, 0))
    assert np.isnan(partial_spearman(line, np.ones(5))).all()
    assert np.isnan(partial_spearman(line, line[::-1], pd.DataFrame({"age": line}))).all()
    assert np.isnan(partial_spearman(line[:2], line[:2])).all()
    assert np.isnan(partial_spearman(line[:3], np.array([1.0, 3, 2]), pd.DataFrame({"a": list("xyy")}))).all()


@pytest.fixture
def codes():
    """Sixty people, each second a patient with a score that the salient code knows."""
    rng = np.random.default_rng(0)
    y = np.arange(60) % 2
    table = pd.DataFrame(
        {"id": [f"s{i}" for i in range(60)], "split": ["train"] * 40 + ["test"] * 20, "y": y}
    )
    table["group"], table["age"] = table["id"], rng.normal(50, 10, 60)
    table["common0"], table["salient0"] = table["age"] + rng.normal(size=60), rng.normal(size=60)
    table["ados"] = np.where(y == 1, 10 + 3 * table["salient0"] + rng.normal(size=60), np.nan)
    table["sex"], table["module"] = rng.choice(["F", "M"], 60), np.where(y == 1, "two", None)
    return table


def test_clinical_scores_are_amounts_of_targets_alone(codes):
    assert clinical_scores(codes) == ["ados"]
    assert clinical_scores(codes, {"ados": "categorical"}) == []
    assert clinical_scores(codes.assign(ados=np.nan)) == []


def test_predictions_are_those_of_the_ridge_probe_of_targets(codes):
    found = probe_predictions(codes)
    assert found.groupby(["attribute", "space"]).size().to_dict() == {
        (attribute, space): 10 for attribute in ("ados", "age") for space in ("common", "salient")
    }
    ill = codes[codes["y"] == 1]
    train, test = ill[ill["split"] == "train"], ill[ill["split"] == "test"]
    probe = make_probe("continuous").fit(train[["salient0"]].to_numpy(), train["ados"].to_numpy())
    of_ados = found.query("attribute == 'ados' and space == 'salient'")
    np.testing.assert_allclose(of_ados["predicted"], probe.predict(test[["salient0"]].to_numpy()))
    assert of_ados[["id", "truth"]].to_numpy().tolist() == test[["id", "ados"]].to_numpy().tolist()


def test_one_test_patient_is_predicted_and_too_few_training_patients_are_not(codes):
    codes.loc[(codes["split"] == "test") & (codes["id"] != "s59"), "ados"] = np.nan
    assert probe_predictions(codes).query("attribute == 'ados'")["id"].tolist() == ["s59", "s59"]
    codes.loc[codes.index < 30, "ados"] = np.nan
    assert set(probe_predictions(codes)["attribute"]) == {"age"}


@pytest.fixture
def predictions(codes):
    """Two contenders, two seeds; ados predicted well by one and not by the other."""
    rng, ill = np.random.default_rng(1), codes[codes["y"] == 1]
    parts = [
        pd.DataFrame(
            {"id": ill["id"], "truth": ill["ados"], "predicted": good * ill["ados"] + rng.normal(size=30)}
        ).assign(contender=name, seed=seed, attribute="ados", space="salient")
        for name, good in (("A", 1), ("B", 0))
        for seed in (0, 1)
    ]
    return pd.concat(parts, ignore_index=True).sample(frac=1, random_state=0)


def test_a_row_is_scipys_and_p_values_are_adjusted_over_the_table(codes, predictions):
    found = clinical_associations(predictions, codes, scores=["ados"])
    assert len(found) == 4
    row = found.query("contender == 'B' and seed == 1").iloc[0]
    rows = predictions.query("contender == 'B' and seed == 1")
    assert (row["spearman"], row["p"]) == pytest.approx(
        tuple(stats.spearmanr(rows["truth"], rows["predicted"], alternative="greater"))
    )
    order = np.sort(found["p"])
    adjusted = [min(order[j] * 4 / (j + 1) for j in range(i, 4)) for i in range(4)]
    np.testing.assert_allclose(np.sort(found["p_adjusted"]), adjusted)
    assert found[["partial", "p_partial", "p_partial_adjusted", "n_partial"]].isna().all(axis=None)


def test_covariates_go_by_id_and_gaps_leave_the_partial_one_alone(codes, predictions):
    codes.loc[codes["id"].isin(["s1", "s3"]), "age"] = np.nan
    codes.loc[codes["id"] == "s5", "age"] = np.inf
    shuffled = codes.sample(frac=1, random_state=2)
    found = clinical_associations(predictions, shuffled, scores=["ados"], adjust_for=["age", "sex"])
    row = found.query("contender == 'A' and seed == 0").iloc[0]
    rows = predictions.query("contender == 'A' and seed == 0").merge(codes[["id", "age", "sex"]], on="id")
    rows = rows[np.isfinite(rows["age"])]
    assert (row["n"], row["n_partial"]) == (30, 27)
    expected = partial_spearman(
        rows["predicted"].to_numpy(), rows["truth"].to_numpy(), rows[["age", "sex"]], alternative="greater"
    )
    assert (row["partial"], row["p_partial"]) == pytest.approx(expected)


def test_numbers_that_are_classes_are_told_so(codes, predictions):
    codes["site"] = np.arange(60) // 2 % 3
    named = codes.assign(site=codes["site"].map({0: "x", 1: "a", 2: "k"}))
    kinds = {"site": "categorical"}
    of_numbers, of_names, as_amount = (
        clinical_associations(predictions, table, scores=["ados"], adjust_for=["site"], kinds=known)[
            "partial"
        ]
        for table, known in ((codes, kinds), (named, kinds), (codes, None))
    )
    np.testing.assert_allclose(of_numbers, of_names)
    assert abs(of_numbers - as_amount).max() > 1e-3


def test_refused(codes, predictions):
    with pytest.raises(DataError, match="adjust_for: there is no attribute 'icv'"):
        clinical_associations(predictions, codes, scores=["ados"], adjust_for=["icv"])
    one = codes.assign(group=codes["group"].where(~codes["id"].isin(["s1", "s3"]), "one"))
    with pytest.raises(DataError, match="predictions: 'one' was predicted twice"):
        clinical_associations(predictions, one, scores=["ados"])


def test_no_predictions_are_a_table_without_rows(codes, predictions):
    found = clinical_associations(predictions, codes, scores=["height"])
    assert found.empty
    assert {"p_adjusted", "p_partial_adjusted"} <= set(found.columns)


def test_predictions_that_know_nothing_are_no_associations():
    # A prediction is the mean of its training part and noise: two-sided p would reject 0.2 to 0.5 of them.
    rng, parts = np.random.default_rng(0), []
    fold = np.arange(100) % 5
    for seed in range(400):
        truth = rng.normal(size=100)
        means = np.array([truth[fold != k].mean() for k in range(5)])
        parts.append(
            pd.DataFrame({"id": range(100), "truth": truth, "predicted": means[fold]}).assign(seed=seed)
        )
    predictions = pd.concat(parts, ignore_index=True).assign(contender="A", attribute="ados", space="salient")
    predictions["predicted"] += 0.03 * rng.normal(size=len(predictions))
    people = pd.DataFrame({"id": range(100), "group": range(100)})
    found = clinical_associations(predictions, people, scores=["ados"])
    two_sided = 2 * np.minimum(found["p"], 1 - found["p"])
    assert (two_sided < 0.05).mean() > 0.15
    assert (found["p"] < 0.05).mean() < 0.05
    assert (found["p_adjusted"] < 0.05).sum() == 0


def test_a_negative_row_does_not_loosen_the_correction_of_a_positive_one(codes, predictions):
    positive = predictions.query("contender == 'B' and seed == 0")
    negative = positive.assign(contender="C", predicted=-positive["truth"])
    alone, beside = (
        clinical_associations(rows, codes, scores=["ados"]).set_index("contender").loc["B", "p_adjusted"]
        for rows in (positive, pd.concat([positive, negative]))
    )
    assert beside == pytest.approx(min(1, 2 * alone))
