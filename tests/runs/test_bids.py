"""Runs as BIDS derivatives: tables of people and visits, data dictionaries, and maps by name."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sepvae.errors import DataError, RunFolderError
from sepvae.run_folder import RunFolder
from sepvae.runs.bids import export_bids

from ..helpers import invoke


def make_run(path: Path, ids: list[str], groups: list[str]) -> Path:
    """A run folder with codes and a recipe, and maps of volumes of its last sample."""
    n = len(ids)
    codes = pd.DataFrame({"id": ids, "group": groups, "label": np.where(np.arange(n) % 2, "hc", "sz")})
    codes = codes.assign(
        split="train", y=np.arange(n) % 2, age=50.5 + np.arange(n), common0=0.25, salient0=1.5
    )
    codes["label"] = codes.groupby("group")["label"].transform("first")
    folder, maps = RunFolder(path), path / "maps"
    maps.mkdir(parents=True)
    keywords = {"background": "hc", "common_dim": 1, "salient_dim": 1}
    about = {"format": 1, "method": "SepVAE", "keywords": keywords, "attributes": {"age": "continuous"}}
    folder.recipe.write(about | {"data": {"name": "people.tsv"}})
    folder.codes.write(codes)
    for name in ("sub-x_desc-salient_map", "desc-salient_stat-d_map"):
        (maps / f"{name}.nii.gz").write_bytes(b"a map")
    about_map = {
        "id": ids[-1:],
        "label": ["hc"],
        "file": "sub-x_desc-salient_map.nii.gz",
        "mean_absolute": 0.1,
    }
    folder.maps.samples.write(pd.DataFrame(about_map))
    return path


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)


def test_one_scan_a_person_has_codes_in_participants(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", ["sub-a", "b_2", "c"], ["sub-a", "b_2", "c"])
    out = export_bids(run, tmp_path / "out", space="MNI152NLin2009cAsym")
    people = read(out / "participants.tsv")
    assert people["participant_id"].tolist() == ["sub-a", "sub-b2", "sub-c"]
    assert people[["label", "age", "common0", "salient0"]].iloc[1].tolist() == ["hc", "51.5", "0.25", "1.5"]
    words = json.loads((out / "participants.json").read_text())
    assert set(words) == set(people.columns)
    assert words["salient0"]["Description"] == "Posterior mean of dimension 0 of the salient code, SepVAE"
    assert json.loads((out / "dataset_description.json").read_text())["DatasetType"] == "derivative"


def test_maps_have_names_of_bids_and_groups_are_apart(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", ["sub-a", "sub-b"], ["sub-a", "sub-b"])
    said = invoke("export", run, "--out", tmp_path / "out", "--space", "MNI")
    assert said == f"BIDS derivative: {tmp_path / 'out'}\n"
    stem = tmp_path / "out" / "sub-b" / "anat" / "sub-b_space-MNI_desc-salient_statmap"
    assert stem.with_suffix(".nii.gz").read_bytes() == b"a map"
    assert json.loads(stem.with_suffix(".json").read_text())["SpatialReference"] == "MNI"
    assert [file.name for file in (tmp_path / "out" / "group").iterdir()] == [
        "desc-salient_stat-d_map.nii.gz"
    ]


def test_visits_have_codes_in_sessions_and_what_is_fixed_in_participants(tmp_path: Path) -> None:
    ids = ["sub-a_ses-1_space-MNI", "sub-a_ses-2_space-MNI", "sub-b_ses-1_space-MNI"]
    out = export_bids(make_run(tmp_path / "run", ids, ["sub-a", "sub-a", "sub-b"]), tmp_path / "out")
    people, sessions = read(out / "participants.tsv"), read(out / "sub-a" / "sub-a_sessions.tsv")
    assert people["participant_id"].tolist() == ["sub-a", "sub-b"]
    assert "label" in people
    assert "age" not in people
    assert sessions["session_id"].tolist() == ["ses-1", "ses-2"]
    assert sessions["age"].tolist() == ["50.5", "51.5"]
    name = "sub-b_ses-1_space-MNI_desc-salient_statmap.nii.gz"
    assert (out / "sub-b" / "ses-1" / "anat" / name).is_file()


def test_scans_that_nothing_tells_apart_and_folders_that_exist_are_refused(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", ["scan1", "scan2"], ["sub-a", "sub-a"])
    with pytest.raises(DataError, match="scan2: another scan of sub-a has the same session; wanted one"):
        export_bids(run, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(RunFolderError, match="wanted a new folder, but it exists"):
        export_bids(run, tmp_path)


def test_people_whose_labels_would_be_the_same_are_numbered(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", ["a-1", "a1"], ["a-1", "a1"])
    people = read(export_bids(run, tmp_path / "out") / "participants.tsv")
    assert people[["participant_id", "id"]].to_numpy().tolist() == [["sub-1", "a-1"], ["sub-2", "a1"]]
