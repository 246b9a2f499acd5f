"""Tables of regions from the command line, with covariates that the model takes out."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sepvae.errors import DataError

from ..helpers import invoke, linear, outcome


def test_new_people_need_covariates_that_are_taken_out_and_nothing_else(
    regions_run: Path, regions: Path, tmp_path: Path
) -> None:
    new = pd.read_csv(regions).drop(columns=["dx", "ag"])
    new.to_csv(tmp_path / "new.csv", index=False)
    invoke("encode", regions_run, tmp_path / "new.csv", "--out", tmp_path / "codes.csv")
    codes, again = (
        pd.read_csv(file).set_index("id") for file in (regions_run / "codes.csv", tmp_path / "codes.csv")
    )
    again = again.loc[codes.index]
    learnt_from = (codes["split"] == "train") & (codes["y"] == 0)  # these have leave-one-out residuals
    np.testing.assert_allclose(again["salient0"][~learnt_from], codes["salient0"][~learnt_from], atol=1e-6)
    assert (again["salient0"] != codes["salient0"])[learnt_from].all()
    invoke("maps", regions_run, tmp_path / "new.csv", "--out", tmp_path / "maps")
    assert sorted(pd.read_csv(tmp_path / "maps" / "regions.csv")["feature"]) == ["lh_a", "lh_b", "lh_c"]


def test_labels_of_new_people_are_read_where_they_are(
    regions_run: Path, regions: Path, tmp_path: Path
) -> None:
    assert "pictures: " in invoke("maps", regions_run, regions, "--out", tmp_path / "maps")
    assert pd.read_csv(tmp_path / "maps" / "regions.csv")["d"].notna().all()
    invoke("encode", regions_run, regions, "--out", tmp_path / "codes.csv")
    codes = pd.read_csv(tmp_path / "codes.csv").set_index("id")
    then = pd.read_csv(regions_run / "codes.csv").set_index("id")
    pd.testing.assert_frame_equal(
        codes.loc[then.index, ["label", "y"]], then[["label", "y"]], check_dtype=False
    )


def test_without_such_a_covariate_they_are_refused(regions_run: Path, regions: Path, tmp_path: Path) -> None:
    pd.read_csv(regions).drop(columns="age").to_csv(tmp_path / "new.csv", index=False)
    with pytest.raises(DataError, match="no column 'age'"):
        invoke("encode", regions_run, tmp_path / "new.csv", "--out", tmp_path / "codes.csv")


@pytest.mark.parametrize(
    ("option", "of"), [(["--adjust-for", "age"], "--inference"), (["--jobs", "2"], "--null")]
)
def test_options_of_tests_alone_are_refused(option: list[str], of: str, tmp_path: Path) -> None:
    status, said = outcome("maps", tmp_path, tmp_path, "--out", tmp_path / "maps", *option)
    assert status != 0
    assert said == f"{option[0]} has no meaning without {of}; leave it out, or add {of}"


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_tables_of_freesurfer_from_fit_to_new_people_and_rerun(regions: Path, tmp_path: Path) -> None:
    whole, tables = pd.read_csv(regions), []
    for folder in ("study", "new"):
        (tmp_path / folder).mkdir()
        whole[["participant_id", "dx"]].to_csv(tmp_path / folder / "participants.tsv", sep="\t", index=False)
        for hemisphere in ("lh", "rh"):
            tables.append(tmp_path / folder / f"{hemisphere}.tsv")
            names = {"participant_id": f"{hemisphere}.aparc.area"}
            rows = whole.filter(regex=f"participant_id|^{hemisphere}_").rename(columns=names)
            rows.iloc[::-1].set_index(f"{hemisphere}.aparc.area").to_csv(tables[-1], sep="\t")
    named = ["--table", tables[0], "--table", tables[1]]
    people, run = tmp_path / "study" / "participants.tsv", tmp_path / "run"
    invoke("fit", people, "--out", run, *named, "--label", "dx", "--background", "hc", *linear())
    invoke("encode", run, tmp_path / "new" / "participants.tsv", "--out", tmp_path / "codes.csv")
    first, again = (pd.read_csv(file).set_index("id") for file in (run / "codes.csv", tmp_path / "codes.csv"))
    np.testing.assert_allclose(again.loc[first.index, "salient0"], first["salient0"], atol=1e-6)
    assert "differ" not in invoke("rerun", run, people, "--out", tmp_path / "again")
    tables[1].unlink()
    with pytest.raises(
        DataError, match=r"rh\.tsv: wanted a table to join, found nothing; name it by --table"
    ):
        invoke("rerun", run, people)
    elsewhere = ["--table", tables[2], "--table", tables[3]]
    invoke("encode", run, people, *elsewhere, "--out", tmp_path / "more.csv")
