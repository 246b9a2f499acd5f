import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sepvae.errors import DataError
from sepvae.evaluation.correlations import salient_correlations


@pytest.fixture
def table():
    """Axis 0 goes with age, axis 1 with the subtype of targets, axis 2 does not vary."""
    rng = np.random.default_rng(0)
    y = np.arange(120) % 2
    table = pd.DataFrame({"split": ["train"] * 40 + ["test"] * 80, "y": y, "label": np.where(y, "ill", "hc")})
    table["age"] = rng.normal(50, 9, 120)
    table["subtype"] = np.where(y, rng.choice(["a", "b", "c"], 120), None)
    table["common0"] = rng.normal(size=120)
    table["salient0"] = np.exp(table["age"] / 9) + rng.normal(size=120)
    table["salient1"] = table["subtype"].map({"a": 1.0, "b": 2.0, "c": 0.0}).fillna(0) + rng.normal(size=120)
    return table.assign(salient2=0.5)


def row(found, attribute, axis):
    return found[(found["attribute"] == attribute) & (found["axis"] == axis)].iloc[0]


def test_an_amount_gets_spearmans_rho_over_test_samples(table):
    found = row(salient_correlations(table), "age", "salient0")
    test = table[table["split"] == "test"]
    expected = stats.spearmanr(test["salient0"], test["age"])
    assert (found["measure"], found["population"], found["n"]) == ("spearman", "all", 80)
    np.testing.assert_allclose([found["value"], found["p_value"]], [expected.statistic, expected.pvalue])


def test_classes_get_the_correlation_ratio_and_the_f_test_among_those_who_have_them(table):
    found = row(salient_correlations(table), "subtype", "salient1")
    test = table[(table["split"] == "test") & (table["y"] == 1)]
    parts = [part["salient1"] for _, part in test.groupby("subtype")]
    dummies = pd.get_dummies(test["subtype"]).to_numpy(float)
    fitted = dummies @ np.linalg.lstsq(dummies, test["salient1"].to_numpy(), rcond=None)[0]
    expected = np.corrcoef(fitted, test["salient1"])[0, 1]  # eta is the correlation with the class means
    assert (found["measure"], found["population"], found["n"]) == ("eta", "target", 40)
    np.testing.assert_allclose([found["value"], found["p_value"]], [expected, stats.f_oneway(*parts).pvalue])


def test_p_values_are_adjusted_over_all_that_could_be_computed(table):
    found = salient_correlations(table)
    tested = found.dropna(subset=["p_value"])
    assert len(tested) == 6
    expected = stats.false_discovery_control(tested["p_value"])
    np.testing.assert_allclose(tested["p_adjusted"], expected)
    constant = found[found["axis"] == "salient2"]
    assert constant[["value", "p_value", "p_adjusted"]].isna().all(axis=None)


def test_the_label_comes_first_and_gaps_are_left_out(table):
    table.loc[table.index[-10:], "age"] = np.nan
    found = salient_correlations(table)
    assert found["attribute"].unique().tolist() == ["label", "age", "subtype"]
    assert row(found, "age", "salient0")["n"] == 70
    assert row(found, "label", "salient0")["n"] == 80


def test_classes_that_are_parted_without_spread_are_certain():
    table = pd.DataFrame({"split": "test", "y": [0, 0, 1, 1], "salient0": [0.0, 0.0, 1.0, 1.0]})
    found = salient_correlations(table).iloc[0]
    assert (found["value"], found["p_value"]) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="y"), "lacks"),
        (lambda t: t[["split", "y"]], "salient0"),
        (lambda t: t.assign(split="train"), "test"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused(table, change, message):
    with pytest.raises(DataError, match=message):
        salient_correlations(change(table))
