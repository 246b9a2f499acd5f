"""`sepvae subtypes` and the sheet of `sepvae encode`, from a table to files and page."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ..helpers import invoke, linear, outcome, without_figures

N = 160


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six measures; two kinds of patients lose different ones. `subtype` is the truth, as an attribute."""
    rng, file = np.random.default_rng(0), tmp_path_factory.mktemp("subtypes") / "cohort.csv"
    ill, kind = np.arange(N) % 2, np.arange(N) // 2 % 2
    measures = rng.normal(size=(N, 6))
    measures[:, 0] -= 8 * ill * kind
    measures[:, 1] -= 8 * ill * (1 - kind)
    frame = pd.DataFrame(measures, columns=list("abcdef")).assign(dx=np.where(ill, "mdd", "hc"))
    frame["subtype"] = np.where(ill, np.where(kind, "A", "B"), None)
    frame["age"] = rng.uniform(20, 60, N)
    frame.assign(participant_id=[f"p{i}" for i in range(N)]).to_csv(file, index=False)
    return file


@pytest.fixture(scope="module")
def run(cohort: Path) -> Path:
    """A linear run of that table with two subtypes."""
    out = cohort.parent / "run"
    columns = ["--features", "[a-f]", "--label", "dx", "--background", "hc", "--test-size", "0.4"]
    attributes = ["--attribute", "subtype", "--attribute", "age:continuous"]
    with without_figures():
        invoke("fit", cohort, "--out", out, *columns, *attributes, *linear(salient_dim=2))
    return out


@pytest.mark.slow
def test_planted_subtypes_are_found_and_confirmed_on_held_out_patients(run: Path, cohort: Path) -> None:
    said = " ".join(invoke("subtypes", run, cohort).split())
    assert "2 subtypes: a gap parts the codes (p = 0.005)" in said
    assert "held-out patients: clusters differ in subtype (of 2 attributes" in said
    assert "raw measures: " in said
    people = pd.read_csv(run / "subtypes.csv").merge(
        pd.read_csv(cohort), left_on="id", right_on="participant_id"
    )
    assert len(people) == N // 2
    assert people.groupby("subtype_x")["subtype_y"].nunique().tolist() == [1, 1]
    assert people["prototype"].sum() == 2
    assert people["probability"].min() > 0.5
    features = pd.read_csv(run / "subtypes-features.csv").set_index("feature")
    assert sorted(features.abs().idxmax()) == ["a", "b"]
    profile = pd.read_csv(run / "subtypes-profile.csv")
    assert set(profile["clusters"]) == {"salient", "raw"}
    page = (run / "report.html").read_text("utf-8")
    assert "Profile of each subtype, among held-out patients" in page
    assert people.loc[people["prototype"], "id"].iloc[0] in page
    invoke("report", run, "--no-images", "--out", run / "shared.html")
    shared = (run / "shared.html").read_text("utf-8")
    assert not [name for name in people["id"] if f">{name}<" in shared]
    assert "This is no diagnosis." in shared


def test_controls_set_beside_each_other_have_no_subtypes(run: Path, tmp_path: Path) -> None:
    codes = pd.read_csv(run / "codes.csv")
    rng = np.random.default_rng(0)
    codes[["salient0", "salient1"]] = rng.normal(size=(N, 2))
    other = tmp_path / "run"
    other.mkdir()
    (other / "recipe.yaml").write_bytes((run / "recipe.yaml").read_bytes())
    codes.to_csv(other / "codes.csv", index=False)
    said = invoke("subtypes", other, "--out", tmp_path / "found")
    assert 0 < said.find("no subtypes: ") < said.find("drawing: ")  # figures may take long
    people = pd.read_csv(tmp_path / "found" / "subtypes.csv")
    assert set(people["subtype"]) == {1}
    assert not (other / "subtypes.csv").exists()


def test_too_few_patients_give_one_line(regions_run: Path) -> None:
    status, said = outcome("subtypes", regions_run)
    assert status != 0
    assert "wanted salient codes of 30 training patients or more that vary, got 24" in said


@pytest.mark.slow
def test_a_fit_of_seeds_has_their_spread_on_the_sheet(cohort: Path, tmp_path: Path) -> None:
    columns = ["--features", "[a-f]", "--label", "dx", "--background", "hc", "--test-size", "0.4"]
    with without_figures():
        said = invoke(
            "fit", cohort, "--out", tmp_path / "run", *columns, *linear(salient_dim=2), "--seeds", "2"
        )
    people = pd.read_csv(tmp_path / "run" / "people.csv")
    low, high, sd = (people[f"salient_centile_seeds_{name}"] for name in ("low", "high", "sd"))
    np.testing.assert_allclose(sd, (high - low) / np.sqrt(2))
    central = people["salient_centile"]
    assert ((low - 1e-6 <= central) & (central <= high + 1e-6)).all()  # the run is one of the seeds
    assert "over seeds" in (tmp_path / "run" / "report.html").read_text("utf-8")
    consensus = pd.read_csv(tmp_path / "run-seeds" / "stability-seeds-consensus.csv")
    assert len(consensus) == N // 2
    assert "consensus subtypes: fits agree by" in (tmp_path / "run" / "report.html").read_text("utf-8"), said
    said = invoke("encode", tmp_path / "run", cohort, "--out", tmp_path / "codes.csv")
    assert "over seeds it has a standard deviation of" in said
    codes = pd.read_csv(tmp_path / "codes.csv").set_index("id").loc[people["id"], people.columns[1:]]
    pd.testing.assert_frame_equal(codes, people.set_index("id"))
    (tmp_path / "run-seeds").rename(tmp_path / "moved")
    said = invoke("encode", tmp_path / "run", cohort, "--out", tmp_path / "less.csv")
    assert "note: no spread over seeds: " in said
    assert not [name for name in pd.read_csv(tmp_path / "less.csv") if "seeds" in name]


def test_encode_writes_a_sheet_of_each_person(run: Path, cohort: Path, tmp_path: Path) -> None:
    said = invoke("encode", run, cohort, "--out", tmp_path / "codes.csv")
    assert "among 32 held-out controls" in said
    assert "This is no diagnosis." in said
    codes = pd.read_csv(tmp_path / "codes.csv")
    patients = codes[(codes["label"] == "mdd") & (codes["split"] == "test")]
    assert patients["salient_centile"].min() > 95
    assert (codes["salient_centile_low"] <= codes["salient_centile"]).all()
    assert (codes["salient_centile"] <= codes["salient_centile_high"]).all()
    assert codes["age"].notna().all()
    assert patients["nearest_patients"].str.split("; ").map(len).eq(3).all()
    of_run = pd.read_csv(run / "people.csv").set_index("id")
    again = codes.set_index("id").loc[of_run.index, of_run.columns]
    pd.testing.assert_frame_equal(again, of_run)
