"""Profiles of subtypes: means and shares, p-values over people, and prediction strength."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sepvae.evaluation.clusters import Clusters
from sepvae.evaluation.subtype_profiles import difference_p, prediction_strength, profile


def patients(n: int = 80) -> pd.DataFrame:
    """Patients of two subtypes who differ in `score`, not in `age`; half are held out."""
    rng = np.random.default_rng(0)
    subtype = 1 + np.arange(n) % 2
    table = pd.DataFrame({"id": [f"s{i}" for i in range(n)], "group": [f"p{i}" for i in range(n)]})
    table = table.assign(label="ill", y=1, split=np.where(np.arange(n) < n // 2, "train", "test"))
    table = table.assign(score=rng.normal(2.0 * subtype), age=rng.normal(40, 5, n))
    return table.assign(sex=rng.choice(["F", "M"], n), salient0=0.0)


def subtypes(table: pd.DataFrame) -> "pd.Series[int]":
    return pd.Series(1 + np.arange(len(table)) % 2)


def test_each_subtype_is_described_in_both_parts() -> None:
    table = patients()
    found = profile(table, subtypes(table), n_permutations=199)
    assert found.groupby("part")["attribute"].unique().map(list).to_dict() == {
        "train": ["score", "age", "sex"],
        "test": ["score", "age", "sex"],
    }
    row = found.query("part == 'test' and attribute == 'score' and subtype == 2").iloc[0]
    own = table.loc[(table["split"] == "test") & (subtypes(table) == 2), "score"]
    assert (row["share_or_mean"], row["sd"], row["n"]) == pytest.approx((own.mean(), own.std(), len(own)))
    shares = found.query("part == 'train' and attribute == 'sex'").groupby("subtype")["share_or_mean"].sum()
    assert shares.tolist() == [1.0, 1.0]
    p = found.query("part == 'test'").drop_duplicates("attribute").set_index("attribute")
    np.testing.assert_allclose(p["p_adjusted"], stats.false_discovery_control(p["p_value"]))
    assert p["p_adjusted"]["score"] <= 0.02
    assert p["p_adjusted"][["age", "sex"]].min() > 0.05
    assert found["p_value"].min() >= 1 / 200


def test_one_subtype_has_a_profile_without_p_values() -> None:
    found = profile(patients(), subtypes(patients()) * 0 + 1)
    assert found["p_value"].isna().all()
    assert len(found)


@pytest.mark.parametrize("kind", ["continuous", "categorical"])
def test_p_values_are_those_of_kruskal_and_of_chi_squared(kind: str) -> None:
    rng, table = np.random.default_rng(1), patients(200)
    subtype = subtypes(table)
    if kind == "continuous":
        known = table.assign(value=rng.normal(0.3 * subtype))
        expected = stats.kruskal(*(part["value"] for _, part in known.groupby(subtype))).pvalue
    else:
        known = table.assign(value=np.where(rng.random(200) < 0.4 + 0.1 * subtype, "a", "b"))
        counts = pd.crosstab(subtype, known["value"])
        expected = stats.chi2_contingency(counts, correction=False).pvalue
    assert difference_p(known, subtype, kind, 1999, rng) == pytest.approx(expected, abs=0.03)  # type: ignore[arg-type]


def test_people_are_permuted_not_samples() -> None:
    table = patients(12)
    known = table.assign(value=table["age"])
    repeated = pd.concat([known] * 30, ignore_index=True)
    alone, many = (
        difference_p(part, subtypes(part), "continuous", 499, np.random.default_rng(0))
        for part in (known, repeated)
    )
    assert many == alone


def test_clusters_of_held_out_people_are_predicted_where_they_lie_apart() -> None:
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(120, 2))
    apart = codes + 8 * (np.arange(120) % 2)[:, None]
    assert prediction_strength(Clusters(apart[:60], 2), apart[60:]) == 1.0
    assert prediction_strength(Clusters(codes[:60], 4), codes[60:]) < 0.8
    assert np.isnan(prediction_strength(Clusters(apart[:60], 2), apart[:29]))
