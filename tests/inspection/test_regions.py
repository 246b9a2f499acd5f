"""Findings on tables of features: each where it belongs, and none where nothing is wrong."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import median_abs_deviation

from sepvae.data import ArraySource
from sepvae.data.quality_metrics import measure_source
from sepvae.errors import DataError
from sepvae.inspection import inspect


@pytest.fixture
def features() -> pd.DataFrame:
    """480 rows of four regions."""
    values = np.random.default_rng(2).normal(2500, 200, size=(480, 4))
    return pd.DataFrame(values, columns=["lh_a", "lh_b", "rh_a", "rh_b"])


def looked_at(about, features):
    quality_metrics = measure_source(ArraySource(features.to_numpy(), np.zeros(len(features))))
    return inspect(about, quality_metrics, features=features)


def the(inspection, code):
    (finding,) = (finding for finding in inspection.findings if finding.code == code)
    return finding


def test_nothing_is_found_where_nothing_is_wrong(about, features):
    inspection = looked_at(about, features)
    assert inspection.findings == ()
    assert inspection.tables["features"]["feature"].tolist() == list(features)


def test_columns_that_say_nothing(about, features):
    features["lh_b"], features["rh_a"] = 0.1, np.nan
    finding = the(looked_at(about, features), "constant-features")
    assert (finding.level, finding.examples) == ("warning", ("lh_b", "rh_a"))
    assert finding.message.startswith("2 of 4 features are constant or all missing: a fit drops them")


@pytest.mark.parametrize(("n", "level"), [(10, "note"), (96, "note"), (97, "warning")])
def test_gaps_of_a_column(about, features, n, level):
    features.loc[: n - 1, "rh_b"] = np.nan
    features.loc[0, "lh_a"] = np.nan
    finding = the(looked_at(about, features), "features-with-gaps")
    assert (finding.level, finding.examples) == (level, ("rh_b", "lh_a"))
    assert finding.numbers["share"] == n / 480


def test_gaps_of_a_person(about, features):
    features["all_missing"] = np.nan  # says nothing of anyone
    features.loc[[7, 9], "lh_a"] = np.nan  # a quarter
    features.loc[9, "lh_b"] = np.nan
    finding = the(looked_at(about, features), "samples-with-gaps")
    assert (finding.level, finding.examples) == ("warning", ("s7", "s9"))
    assert finding.numbers["share"] == 0.5


def test_values_far_from_all_others(about, features):
    sd = median_abs_deviation(features["rh_a"], scale="normal")
    features.loc[5, "rh_a"] = features["rh_a"].median() + 10.5 * sd
    features.loc[6, "rh_a"] = features["rh_a"].median() - 9.5 * sd
    features.loc[8, "lh_b"] = -999
    inspection = looked_at(about, features)
    finding = the(inspection, "far-out")
    assert (finding.level, finding.examples) == ("warning", ("s5", "s8"))
    assert "2 values of 2 features" in finding.message
    assert "(lh_b of s8: -999, rh_a of s5: " in finding.message
    assert inspection.tables["features"]["far_out"].tolist() == [0, 1, 1, 0]


def test_a_column_of_zeros_has_no_spread_to_compare_with(about, features):
    features["lesions"] = np.where(np.arange(480) % 3, 0, 50.0)
    assert looked_at(about, features).findings == ()


def test_rows_that_stand_twice(about, features):
    features.loc[3] = features.loc[0]
    finding = the(looked_at(about, features), "duplicates-across-labels")
    assert (finding.level, finding.examples) == ("error", ("s0", "s3"))


def test_samples_without_a_label_are_left_out(about, features):
    about.loc[0, "label"] = None
    features.loc[0, "lh_a"] = 1e9
    assert "far-out" not in {finding.code for finding in looked_at(about, features).findings}


def test_features_of_other_samples_are_refused(about, features):
    with pytest.raises(DataError, match="features: wanted a row for each of 480 samples, got 479"):
        inspect(about, features=features[1:])


def test_features_that_tell_the_label_alone(about, features):
    target = (about["label"] != sorted(about["label"])[0]).to_numpy()
    features["score"] = np.where(target, features["lh_a"], np.nan)  # of patients only
    features["diagnosis"] = target + 0.1 * np.random.default_rng(0).normal(size=480)
    features.loc[:9, "diagnosis"] = np.nan
    finding = the(looked_at(about, features), "telling-features")
    assert (finding.level, finding.examples) == ("warning", ("score", "diagnosis"))
    assert finding.message.startswith("2 features tell the label almost alone, or by having a value")
