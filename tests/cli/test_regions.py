"""Tables of regions from the command line, with covariates that the model takes out."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from sepvae.cli.app import app
from sepvae.errors import DataError

HOW = ["--features", "lh_*", "--label", "dx", "--background", "hc", "--method", "ContrastivePCA"]
HOW += ["--attribute", "age:continuous", "--attribute", "ag", "--set", "residualise=age"]
HOW += ["--set", "common_dim=2", "--set", "salient_dim=1", "--permutations", "0"]


def invoke(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng, file = np.random.default_rng(0), tmp_path_factory.mktemp("regions") / "regions.csv"
    frame = pd.DataFrame(rng.normal(size=(60, 4)), columns=["lh_a", "lh_b", "lh_c", "rh_a"])
    frame["age"], frame["ag"], frame["dx"] = rng.uniform(20, 60, 60), ["x", "y"] * 30, ["hc", "mdd"] * 30
    frame.assign(participant_id=[f"p{i}" for i in range(60)]).to_csv(file, index=False)
    return file


@pytest.fixture(scope="module")
def run(table: Path) -> Path:
    invoke("fit", table, "--out", table.parent / "run", *HOW)
    return table.parent / "run"


def test_new_people_need_covariates_that_are_taken_out_and_nothing_else(
    run: Path, table: Path, tmp_path: Path
) -> None:
    new = pd.read_csv(table).drop(columns=["dx", "ag"])
    new.to_csv(tmp_path / "new.csv", index=False)
    invoke("encode", run, tmp_path / "new.csv", "--out", tmp_path / "codes.csv")
    codes, again = (pd.read_csv(file).set_index("id") for file in (run / "codes.csv", tmp_path / "codes.csv"))
    again = again.loc[codes.index]
    learnt_from = (codes["split"] == "train") & (codes["y"] == 0)  # these have leave-one-out residuals
    np.testing.assert_allclose(again["salient0"][~learnt_from], codes["salient0"][~learnt_from], atol=1e-6)
    assert (again["salient0"] != codes["salient0"])[learnt_from].all()
    invoke("maps", run, tmp_path / "new.csv", "--out", tmp_path / "maps")
    assert sorted(pd.read_csv(tmp_path / "maps" / "regions.csv")["feature"]) == ["lh_a", "lh_b", "lh_c"]


def test_labels_of_new_people_are_read_where_they_are(run: Path, table: Path, tmp_path: Path) -> None:
    assert "pictures: " in invoke("maps", run, table, "--out", tmp_path / "maps")
    assert pd.read_csv(tmp_path / "maps" / "regions.csv")["d"].notna().all()
    invoke("encode", run, table, "--out", tmp_path / "codes.csv")
    codes = pd.read_csv(tmp_path / "codes.csv").set_index("id")
    then = pd.read_csv(run / "codes.csv").set_index("id")
    pd.testing.assert_frame_equal(
        codes.loc[then.index, ["label", "y"]], then[["label", "y"]], check_dtype=False
    )


def test_without_such_a_covariate_they_are_refused(run: Path, table: Path, tmp_path: Path) -> None:
    pd.read_csv(table).drop(columns="age").to_csv(tmp_path / "new.csv", index=False)
    command = ["encode", str(run), str(tmp_path / "new.csv"), "--out", str(tmp_path / "codes.csv")]
    with pytest.raises(DataError, match="no column 'age'"):
        CliRunner().invoke(app, command, catch_exceptions=False)
