"""People and scans of a simulated cohort: case mix, ages and visits are those asked for."""

import numpy as np
import pandas as pd
import pytest

from sepvae.data.simulated_people import PER_YEAR, draw_people, draw_scans


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_each_site_has_its_share_of_patients(rng):
    people = draw_people(300, (0.2, 0.5, 0.8, 0.5), 0, rng)
    table = pd.crosstab(people["site"], people["group"])
    assert table.sum().to_dict() == {"control": 150, "patient": 150}
    np.testing.assert_allclose(table["patient"], [15, 37.5, 60, 37.5], atol=1)
    np.testing.assert_allclose(table["control"], [60, 37.5, 15, 37.5], atol=1)
    assert people.groupby("subtype")["site"].nunique().tolist() == [4, 4]


def test_patients_are_older_by_the_gap(rng):
    for gap in (15, -15):
        ages = draw_people(200, 0.5, gap, rng).groupby("group")["age"]
        assert ages.mean()["patient"] - ages.mean()["control"] == pytest.approx(gap, abs=0.1)
        assert (ages.min().min(), ages.max().max()) == pytest.approx((20, 80), abs=1)


def test_scans_follow_the_visits(rng):
    people, scans = draw_scans(draw_people(50, 0.5, 0, rng), (0, 0, 1, 3), rng)
    years = scans["years"].to_numpy().reshape(50, 4)
    assert not years[:, :2].any()
    assert ((years[:, 2:] >= [0.85, 2.55]) & (years[:, 2:] <= [1.15, 3.45])).all()
    assert scans["scan_id"].iloc[5] == f"{people['participant_id'].iloc[1]}_ses-2"
    ages = scans["age"] - people["age"].to_numpy().repeat(4)
    np.testing.assert_allclose(ages, scans["years"], atol=0.006)


def test_severity_of_patients_grows_by_their_rate(rng):
    people, scans = draw_scans(draw_people(50, 0.5, 0, rng), (0, 1, 2), rng)
    rate, grown = people.set_index("participant_id")["severity_per_year"], scans.set_index("participant_id")
    first = people.set_index("participant_id")["severity"].reindex(grown.index)
    expected = first + rate.reindex(grown.index) * grown["years"]
    np.testing.assert_allclose(grown["severity"], expected, atol=1e-4)
    assert rate.dropna().between(*PER_YEAR).all()
    assert (rate.isna() == (people.set_index("participant_id")["group"] == "control")).all()


def test_one_visit_changes_nothing(rng):
    people = draw_people(10, 0.5, 0, rng)
    assert all(table is people for table in draw_scans(people, (0,), rng))
