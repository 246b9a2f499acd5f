"""`sepvae visits` on regions of a simulated cohort whose patients get worse."""

import pandas as pd
import pytest

from sepvae.data import simulate_vbm_cohort

from ..helpers import invoke, linear, outcome, without_figures

COLUMNS = ["--label", "group", "--background", "control", "--subject", "participant_id", "--id", "scan_id"]
PEOPLE = {"n_subjects": 100, "side": 16, "regions": 15, "noise": 0}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """100 people with a scan, a rescan and two visits, as regions."""
    folder = tmp_path_factory.mktemp("cohort") / "cohort"
    return simulate_vbm_cohort(folder, visits=(0, 0, 1, 2), **PEOPLE).parent / "regions.tsv"


@pytest.fixture(scope="module")
def run(cohort, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "run"
    attributes = ["--attribute", "years", "--attribute", "site", "--attribute", "age:continuous"]
    regions = ["--features", "region*", "--test-size", "0.5", "--quick"]
    with without_figures():
        invoke("fit", cohort, "--out", out, *COLUMNS, *attributes, *regions, *linear(salient_dim=2))
    return out


def test_the_course_of_the_disease_is_found(run):
    output = invoke("visits", run, "--time", "years")
    scores = pd.read_csv(run / "visits.csv")
    load = scores[(scores["measure"] == "salient_load") & (scores["quantity"] == "change_per_year")]
    load = load.set_index("group")
    assert load.loc["patient - control", "low"] > 0
    assert load.loc["patient - control", "p_value"] < 0.05
    assert load["n_people"].to_dict() == {"control": 25, "patient": 25, "patient - control": 50}
    assert set(scores["measure"]) == {"salient_load", "salient0", "salient1", "common0", "common1"}
    assert (scores.loc[scores["quantity"] == "icc", "score"] <= 1).all()
    assert f"change of the salient load per year, patient: {load.loc['patient', 'score']:+.2f} [" in output
    assert "ICC(2,1) of scan and rescan, patient: salient load" in output
    page = (run / "report.html").read_text()
    assert 'id="visits"' in page
    assert "Salient load of each held-out person" in page
    assert (run / "figures" / "visits.svg").is_file()


def test_new_people_have_visits_too(run, tmp_path):
    new = simulate_vbm_cohort(tmp_path / "new", visits=(0, 1), random_state=1, **PEOPLE | {"n_subjects": 40})
    table = pd.read_csv(new.parent / "regions.tsv", sep="\t")
    names = ["participant_id", "scan_id"]
    table[names] = "new-" + table[names]
    table.to_csv(tmp_path / "new.csv", index=False)
    assert "nothing is written" in invoke("visits", run, tmp_path / "new.csv", "--time", "age")
    invoke("visits", run, tmp_path / "new.csv", "--time", "age", "--out", tmp_path / "found.csv")
    found = pd.read_csv(tmp_path / "found.csv")
    assert found["n_people"].max() == 40
    assert "icc" not in set(found["quantity"])
    assert (tmp_path / "found.png").is_file()


def test_an_age_in_whole_years_may_hide_visits(run, cohort, tmp_path):
    table = pd.read_csv(cohort, sep="\t")
    table["age"] = table["age"].astype(int)
    table.to_csv(tmp_path / "whole.csv", index=False)
    output = invoke("visits", run, tmp_path / "whole.csv", "--time", "age", "--out", tmp_path / "found.csv")
    assert "note: age has whole numbers alone, and " in output
    assert "if visits apart share a number, name a finer time" in output


def test_people_that_were_fitted_on_are_left_out(run, cohort, tmp_path):
    output = invoke("visits", run, cohort, "--time", "years", "--out", tmp_path / "found.csv")
    assert "note: 50 people that were fitted on are left out" in output
    assert pd.read_csv(tmp_path / "found.csv")["n_people"].max() == 50


@pytest.mark.parametrize(
    ("time", "message"),
    [
        (
            "wave",
            "wanted an attribute of {run} (years, site, age), got 'wave'; fit with --attribute 'wave'",
        ),
        ("site", "--time: wanted site in years, got 'site"),
    ],
)
def test_a_time_that_is_none_is_refused(run, time, message):
    status, output = outcome("visits", run, "--time", time)
    assert (status, message.format(run=run) in output) == (1, True), output
