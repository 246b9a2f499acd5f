"""Copies of the scans of a person are no evidence: intervals and p-values stay as wide and as large."""

import numpy as np
import pandas as pd
import pytest

from sepvae.evaluation import salient_correlations, score_codes, score_probe
from sepvae.evaluation.agreement import compare_fits
from sepvae.evaluation.conditional import conditional_scores
from sepvae.evaluation.differences import paired_bootstrap
from sepvae.evaluation.information import Evidence
from sepvae.evaluation.probes import probe_questions
from sepvae.evaluation.subtype_profiles import profile

COPIES = 4  # an interval over scans would be half as wide
HOW = {"n_permutations": 99, "n_bootstraps": 200}


@pytest.fixture(scope="module")
def once():
    """120 people, a sample each: age and site have little to do with the codes."""
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"id": range(120), "group": [f"p{i}" for i in range(120)]})
    table["split"], table["y"] = np.repeat(["train", "test"], 60), np.arange(120) % 2
    table["label"], table["site"] = np.where(table["y"], "ill", "hc"), rng.choice(["a", "b"], 120)
    codes = rng.normal(size=(120, 4)) + 0.4 * table[["y"]].to_numpy()
    table["age"] = 50 + 9 * rng.normal(size=120) + 2 * codes[:, 0]
    names = ["common0", "common1", "salient0", "salient1"]
    return table.join(pd.DataFrame(codes, columns=names))


@pytest.fixture(scope="module")
def often(once):
    copies = pd.concat([once] * COPIES, ignore_index=True)
    return copies.assign(id=range(len(copies)))


def errors(table):
    about = table.loc[table["split"] == "test", ["id"]]
    error = 1 + table.loc[about.index, "salient0"].abs()
    return about.assign(full=error, common_only=1.2 * error, of_mean=2 * error + table["salient1"].abs())


def widths(found, keys):
    """Widths of intervals by what was asked, and p-values."""
    rows = found.fillna({"attribute": "-"}).set_index(keys)
    return (rows["high"] - rows["low"])[rows["high"] > rows["low"]], rows["p_value"]


def test_scores_have_intervals_over_people(once, often):
    keys, how = ["space", "attribute", "population", "metric"], {"n_permutations": 0, "n_bootstraps": 200}
    found = [score_codes(table, reconstruction_error=errors(table), **how) for table in (once, often)]
    (a, _), (b, _) = (widths(table, keys) for table in found)
    assert len(a) > 30
    assert (b / a).min() > 0.75


def test_p_values_of_probes_are_over_people(once, often, monkeypatch):
    # What is asked given covariates takes seconds; its null is that of `Evidence`, below.
    monkeypatch.setattr("sepvae.evaluation.conditional.covariates", lambda *_: iter(()))
    how = {"n_permutations": 99, "n_bootstraps": 200}
    p, of_background = [], []
    for table in (once, often):
        question = next(
            q for q in probe_questions(table, None) if (q.attribute, q.population) == ("site", "all")
        )
        found = score_probe(*question.samples("common"), "categorical", **how)
        p.append(found["p_value"])
        of_background.append(widths(conditional_scores(table, **how), ["attribute", "metric"]))
    assert (p[0] > 0.2).all()
    np.testing.assert_allclose(p[0], p[1], atol=0.1)
    (a, p_once), (b, p_often) = of_background
    assert (b / a).min() > 0.75
    np.testing.assert_allclose(p_once, p_often, atol=0.15)


def test_information_is_over_people():
    ratio, groups = np.random.default_rng(0).normal(size=(30, 30)), np.arange(30)
    once = Evidence(ratio, np.arange(30)).score(groups, **HOW)
    copies = np.tile(np.arange(30), COPIES)
    often = Evidence(ratio[copies], copies).score(copies, **HOW)
    np.testing.assert_allclose(often, once)


def test_correlations_are_of_people(once, often):
    a, b = (salient_correlations(table) for table in (once, often))
    pd.testing.assert_frame_equal(a, b)


def test_comparisons_of_fits_are_over_people(once, often):
    other = [
        table.assign(salient0=table["salient1"], salient1=-table["salient0"] + table["common0"])
        for table in (once, often)
    ]
    found = [
        compare_fits({"a": a, "b": b}, n_permutations=1, n_bootstraps=100)
        for a, b in zip((once, often), other, strict=True)
    ]
    means = [table[(table["first"] == "") & (table["measure"] == "canonical correlation")] for table in found]
    widths = [(rows["high"] - rows["low"]).to_numpy() for rows in means]
    assert (widths[1] / widths[0] > 0.75).all()
    pairs = [
        paired_bootstrap(a, b, "age", "all", "salient", "r2")
        for a, b in zip((once, often), other, strict=True)
    ]
    assert (pairs[1].high - pairs[1].low) / (pairs[0].high - pairs[0].low) > 0.75


def test_profiles_of_subtypes_are_of_people(once, often):
    found = []
    for table in (once, often):
        patients = table[table["y"] == 1].reset_index(drop=True)
        subtype = 1 + (patients["salient0"] > 0.4).astype(int)
        found.append(profile(patients, subtype)["p_value"])
    pd.testing.assert_series_equal(*found)
