"""Change per year and reliability, against closed forms, scipy and published numbers."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sepvae.errors import DataError
from sepvae.evaluation import visit_scores, yearly_slopes
from sepvae.evaluation.metrics import intraclass_correlation

FEW = {"n_permutations": 19, "n_bootstraps": 50}


@pytest.fixture
def scans():
    """40 people, half of them ill, with a scan, a rescan and two visits, in random order."""
    rng = np.random.default_rng(0)
    person = np.arange(160) // 4
    table = pd.DataFrame({"group": [f"p{i:02d}" for i in person], "y": person % 2})
    table["label"] = np.where(table["y"], "ill", "hc")
    table["age"] = 50 + person + np.tile([0, 0, 1.1, 1.9], 40)
    rate = 0.2 + 0.5 * table["y"] + 0.3 * rng.normal(size=40)[person]
    own = 2 * rng.normal(size=40)[person]
    table["load"] = own + rate * (table["age"] - 50 - person) + 0.5 * rng.normal(size=160)
    return table.assign(salient0=1.0).sample(frac=1, random_state=0)


def row(found, quantity, group):
    return found[(found["quantity"] == quantity) & (found["group"] == group)].iloc[0]


def slopes_of(scans, label):
    rows = scans[scans["label"] == label].groupby("group")
    return np.array([np.polyfit(one["age"], one["load"], 1)[0] for _, one in rows])


def test_slopes_are_those_of_lines(scans):
    found = yearly_slopes(scans[["load"]].to_numpy(), scans["age"], scans["group"])
    expected = np.concatenate([slopes_of(scans, "hc"), slopes_of(scans, "ill")])
    assert found.index.tolist() == sorted(scans["group"].unique())
    np.testing.assert_allclose(np.sort(found[0]), np.sort(expected), atol=1e-9)


def test_change_has_mean_and_interval_of_slopes_of_people(scans):
    found = row(visit_scores(scans, "age", ["load"], n_permutations=0), "change_per_year", "ill")
    expected = stats.ttest_1samp(slopes_of(scans, "ill"), 0)
    assert found["score"] == pytest.approx(slopes_of(scans, "ill").mean())
    assert [found["n_people"], found["n_scans"]] == [20, 80]
    low, high = expected.confidence_interval()
    np.testing.assert_allclose([found["low"], found["high"]], [low, high], atol=0.1 * (high - low))
    assert np.isnan(found["p_value"])


def test_p_values_are_those_of_permutations_of_people(scans):
    scans["load"] -= scans["y"] * 0.35 * (scans["age"] % 1)  # weaker, so that p are not the least ones
    slopes = [slopes_of(scans, "ill"), slopes_of(scans, "hc")]
    found = visit_scores(scans, "age", ["load"], n_permutations=1999, n_bootstraps=9)
    flipped = stats.permutation_test(slopes[1:], np.mean, permutation_type="samples", n_resamples=1999, rng=0)
    mixed = stats.permutation_test(slopes, lambda a, b: a.mean() - b.mean(), n_resamples=1999, rng=0)
    groups = [("hc", flipped.pvalue), ("ill - hc", mixed.pvalue)]
    for group, expected in groups:
        assert row(found, "change_per_year", group)["p_value"] == pytest.approx(expected, abs=0.02)
    assert row(found, "change_per_year", "ill - hc")["score"] == pytest.approx(
        np.subtract(*map(np.mean, slopes))
    )


def test_published_example_of_agreement():
    # Shrout and Fleiss (1979), tables 2 and 4: four judges of six targets, ICC(2,1) = .29.
    x = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]])
    people, judges = (x.shape[1 - a] * ((x.mean(axis=1 - a) - x.mean()) ** 2).sum() for a in (0, 1))
    found = intraclass_correlation(people, judges, ((x - x.mean()) ** 2).sum(), 6, 4)
    assert found == pytest.approx(0.29, abs=0.005)


def test_reliability_is_that_of_scan_and_rescan(scans):
    found = visit_scores(scans, "age", ["load", "salient0"], **FEW)
    of_load = row(found, "icc", "hc")
    first = (
        scans[(scans["label"] == "hc")].sort_values(["group", "age"], kind="stable").groupby("group").head(2)
    )
    x = first["load"].to_numpy().reshape(-1, 2)
    # Its variances by the analysis of variance of two scans: t of their difference, and their sum.
    within, mean = x.var(axis=1, ddof=1), x.mean(axis=1)
    shift = 2 * (x.mean(axis=0) - x.mean()) @ (x.mean(axis=0) - x.mean()) * len(x) / 2
    error = (within.sum() - shift) / (len(x) - 1)
    people = 2 * mean.var(ddof=1)
    expected = (people - error) / (people + error + 2 * (shift - error) / len(x))
    assert of_load["score"] == pytest.approx(expected)
    assert of_load["low"] < expected < of_load["high"] < 1
    constant = found[(found["measure"] == "salient0") & (found["quantity"] == "icc")]
    assert constant[["score", "low", "high"]].isna().all(axis=None)


def test_more_scans_of_the_same_people_are_no_more_people(scans):
    often = pd.concat([scans] * 3)
    found = [
        visit_scores(table, "age", ["load"], **FEW).query("quantity != 'icc'") for table in (scans, often)
    ]
    pd.testing.assert_frame_equal(*(table.drop(columns="n_scans") for table in found))
    assert found[1]["n_scans"].tolist() == [240, 240, 480]


def test_rescans_alone_have_no_change(scans):
    first = scans[scans["age"] % 1 == 0]
    found = visit_scores(first, "age", ["load"], **FEW)
    assert found["group"].tolist() == ["all", "hc", "ill"]
    assert set(found["quantity"]) == {"icc"}


def test_people_count_by_the_label_of_their_first_scan_and_unknown_ones_together(scans):
    scans.loc[scans["age"] % 1 > 0, "label"] = "other"
    assert visit_scores(scans, "age", ["load"], **FEW)["group"].tolist()[:3] == ["hc", "ill", "ill - hc"]
    unknown = visit_scores(scans.assign(y=np.nan), "age", ["load"], **FEW)
    assert unknown["group"].tolist() == ["all", "all"]


def test_text_is_read_as_numbers_and_gaps_are_left_out(scans):
    text = scans.assign(age=scans["age"].astype(str)).astype({"age": object})
    text.loc[text["group"] == "p00", "age"] = None
    found = row(visit_scores(text, "age", ["load"], **FEW), "change_per_year", "hc")
    assert found["n_people"] == 19
    assert found["score"] == pytest.approx(slopes_of(scans[scans["group"] != "p00"], "hc").mean())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"years": 0}, "time: wanted a column of the scans, got 'wave'; fit with attribute='wave'"),
        ({"wave": "second"}, "time: wanted wave in years, got 'second'; give numbers, such as age"),
        ({"wave": [0, 730] * 80}, "time: wanted wave in years, got 730 between scans of one person"),
        ({"wave": 1, "group": range(160)}, "wanted 3 people of a label or more with several .* 0 of 160"),
    ],
)
def test_visits_that_cannot_be_scored_are_refused(scans, change, message):
    with pytest.raises(DataError, match=message):
        visit_scores(scans.assign(**change), "wave", ["load"])
