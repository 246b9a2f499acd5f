"""From every kind of data to a run folder: ids, groups and attributes arrive; other data are read alike."""

import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from sepvae import SepVAE
from sepvae.data import frame_source, read_image_folder
from sepvae.errors import DataError, SepVAEError
from sepvae.runs import fit_run

from ..helpers import invoke, quick, quick_sets, short_judges, without_figures

pytestmark = pytest.mark.usefixtures("undrawn")
QUICK = ["--image-size", "16", "--permutations", "0", *quick_sets(batch_size=8)]
TABLE = ["--images", "slices/{participant_id}.png", "--label", "dx", "--background", "hc"]
TABLE += ["--subject", "family", "--id", "participant_id"]
TABLE += ["--attribute", "age:continuous", "--attribute", "site:categorical"]


@pytest.fixture(scope="module")
def study(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A participants.tsv in the manner of BIDS, with three diagnoses."""
    root = tmp_path_factory.mktemp("study")
    (root / "slices").mkdir()
    rng, rows = np.random.default_rng(0), []
    for i, file in enumerate(sorted(folder.rglob("*.png"))):
        shutil.copy(file, root / "slices" / f"sub-{i:02d}.png")
        dx = "hc" if file.parent.name == "control" else ["bd", "scz"][i % 2]
        age = "n/a" if i == 3 else f"{rng.normal(40, 9):.1f}"
        rows.append((f"sub-{i:02d}", f"fam-{i // 2:02d}", dx, age, str(1 + i % 3)))
    frame = pd.DataFrame(rows, columns=["participant_id", "family", "dx", "age", "site"])
    frame.to_csv(root / "participants.tsv", sep="\t", index=False)
    return root / "participants.tsv"


@pytest.fixture(scope="module")
def run(study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    with without_figures():
        invoke("fit", study, *TABLE, "--target", "bd", "--target", "scz", "--out", out, *QUICK)
    return out


def test_a_table_leaves_its_ids_groups_and_attributes(run: Path, study: Path) -> None:
    codes, rows = pd.read_csv(run / "codes.csv").set_index("id"), pd.read_csv(study, sep="\t")
    rows = rows.set_index("participant_id").loc[codes.index]
    assert (codes["group"] == rows["family"]).all()
    pd.testing.assert_series_equal(codes["age"], rows["age"], check_names=False)
    assert set(codes["label"]) == {"hc", "bd + scz"}
    assert codes.loc[codes["y"] == 1, "dx"].tolist() == rows.loc[rows["dx"] != "hc", "dx"].tolist()
    assert codes.loc[codes["y"] == 0, "dx"].isna().all()


def test_kinds_that_were_named_are_kept(run: Path) -> None:
    attributes = yaml.safe_load((run / "recipe.yaml").read_text())["attributes"]
    assert attributes == {"age": "continuous", "site": "categorical", "dx": "categorical"}


def test_other_tables_are_read_as_the_recipe_says(run: Path, study: Path, tmp_path: Path) -> None:
    new = pd.read_csv(study, sep="\t", dtype=str).assign(
        family=lambda rows: "new-" + rows["family"],
        participant_id=lambda rows: "new-" + rows["participant_id"],
    )
    (tmp_path / "slices").mkdir()
    for file in (study.parent / "slices").iterdir():
        shutil.copy(file, tmp_path / "slices" / f"new-{file.name}")
    new.to_csv(tmp_path / "new.tsv", sep="\t", index=False)
    invoke("evaluate", run, tmp_path / "new.tsv", "--out", tmp_path / "scores.csv", "--permutations", 0)
    scores = pd.read_csv(tmp_path / "scores.csv")
    assert scores.query("attribute == 'site' and population == 'all'")["n_test"].tolist() == [80] * 6
    new[["participant_id"]].to_csv(tmp_path / "unlabelled.tsv", sep="\t", index=False)
    invoke("encode", run, tmp_path / "unlabelled.tsv", "--out", tmp_path / "codes.csv")
    codes = pd.read_csv(tmp_path / "codes.csv")
    assert codes["id"].tolist() == new["participant_id"].tolist()


@pytest.mark.slow
def test_a_split_is_repeated_from_its_file(run: Path, study: Path, tmp_path: Path) -> None:
    options = ["--target", "bd", "--target", "scz", "--split", run / "split.csv", "--out", tmp_path / "again"]
    assert "split as split.csv says" in invoke("fit", study, *TABLE, *options, *QUICK)
    for name in ("split.csv", "codes.csv"):
        first, second = (
            pd.read_csv(path / name).sort_values("id", ignore_index=True)
            for path in (run, tmp_path / "again")
        )
        pd.testing.assert_frame_equal(first, second)


@pytest.mark.slow
def test_without_memory_the_result_is_the_same(run: Path, study: Path, tmp_path: Path) -> None:
    options = ["--target", "bd", "--target", "scz", "--memory", "0", "--out", tmp_path / "streamed"]
    invoke("fit", study, *TABLE, *options, *QUICK)
    assert (tmp_path / "streamed" / "codes.csv").read_text() == (run / "codes.csv").read_text()


def test_an_array_with_a_table_beside_it(tmp_path: Path) -> None:
    x = np.random.default_rng(0).random(size=(60, 16, 16), dtype=np.float32)
    np.save(tmp_path / "slices.npy", x)
    table = pd.DataFrame({"who": [f"p{i}" for i in range(60)], "dx": ["hc", "scz"] * 30})
    table.to_csv(tmp_path / "slices.csv", index=False)
    data = [tmp_path / "slices.npy", "--label", "dx", "--id", "who"]
    invoke("fit", *data, "--out", tmp_path / "run", *QUICK)
    assert set(pd.read_csv(tmp_path / "run" / "codes.csv")["id"]) == set(table["who"])
    invoke("encode", tmp_path / "run", tmp_path / "slices.npy", "--out", tmp_path / "codes.csv")
    codes = pd.read_csv(tmp_path / "codes.csv").set_index("id")["split"]
    assert codes.index.tolist() == table["who"].tolist()
    assert codes.to_dict() == pd.read_csv(tmp_path / "run" / "codes.csv").set_index("id")["split"].to_dict()


def test_more_than_two_labels_want_a_background(study: Path, tmp_path: Path) -> None:
    coded = study.with_name("coded.tsv")
    pd.read_csv(study, sep="\t").replace({"hc": "x"}).to_csv(coded, sep="\t", index=False)
    with pytest.raises(
        SepVAEError, match=r"3 labels, bd \(20\), scz \(20\), x \(40\); name --background, and"
    ):
        invoke("fit", coded, *TABLE[:4], "--out", tmp_path / "run", *QUICK)


@pytest.mark.slow
def test_labels_without_a_named_target_are_targets_of_their_own(study: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    with short_judges():
        said = invoke("fit", study, *TABLE, "--out", out, *QUICK)
    assert "background hc, targets bd and scz" in " ".join(said.split())
    codes = pd.read_csv(out / "codes.csv")
    assert codes.groupby("label")["y"].unique().map(list).to_dict() == {"bd": [1], "hc": [0], "scz": [1]}
    assert codes["target"].fillna("hc").tolist() == codes["label"].tolist()
    asked = pd.read_csv(out / "scores.csv")[["attribute", "population"]].dropna()
    assert ("target", "target") in set(asked.itertuples(index=False, name=None))
    removal = out / "removal.csv"
    assert not removal.exists() or set(pd.read_csv(removal)["attribute"]) <= {"label", "site"}
    assert {"label-bd_desc-salient_stat-d_map.png", "label-scz_desc-salient_stat-mean_map.png"} <= {
        file.name for file in (out / "maps").iterdir()
    }
    invoke("encode", out, study, "--out", tmp_path / "new.csv")
    assert set(pd.read_csv(tmp_path / "new.csv")["target"].dropna()) == {"bd", "scz"}
    invoke("report", out)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--label", "dx"],
            "name the column of image files or volumes (--images path), or the columns of features",
        ),
        (["--images", "file"], "name the column of labels, such as --label diagnosis"),
        (
            ["--images", "{participant}.png", "--label", "dx"],
            "no column 'participant' for images; did you mean",
        ),
        ([*TABLE[:4], "--background", "HC"], "background: wanted one of bd, hc, scz, got 'HC'"),
        ([*TABLE[:4], "--target", "md"], "target: wanted one of bd, hc, scz, got 'md'"),
        ([*TABLE, "--attribute", "sex"], "no column 'sex' for an attribute"),
        ([*TABLE, "--attribute", "age:number"], "wanted one of continuous, categorical, got 'number'"),
        ([*TABLE, "--id", "family"], "'fam-00' stands in lines 2 and 3"),
    ],
)
def test_mistakes_about_a_table_are_one_line(
    study: Path, tmp_path: Path, options: list[str], message: str
) -> None:
    with pytest.raises(SepVAEError) as error:
        invoke("fit", study, *options, "--out", tmp_path / "run", *QUICK)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_rows_of_another_array_are_new_ones(tmp_path: Path) -> None:
    for seed, name in enumerate(("old", "new")):
        x = np.random.default_rng(seed).integers(0, 255, size=(60, 16, 16)).astype(np.uint8)
        np.save(tmp_path / f"{name}.npy", x)
        pd.DataFrame({"dx": ["hc", "scz"] * 30}).to_csv(tmp_path / f"{name}.csv", index=False)
    invoke("fit", tmp_path / "old.npy", "--label", "dx", "--out", tmp_path / "run", *QUICK)
    invoke(
        "evaluate", tmp_path / "run", tmp_path / "new.npy", "--out", tmp_path / "s.csv", "--permutations", 0
    )
    scores = pd.read_csv(tmp_path / "s.csv")
    assert scores.query("attribute == 'label' and metric == 'auc'")["n_test"].tolist() == [60, 60, 60]
    invoke("encode", tmp_path / "run", tmp_path / "old.npy", "--out", tmp_path / "c.csv")
    assert set(pd.read_csv(tmp_path / "c.csv")["split"]) == {"unknown"}  # numbers of rows name nobody


@pytest.mark.slow
def test_a_run_that_does_not_say_how_data_were_read_takes_data_of_its_shape(
    folder: Path, study: Path, tmp_path: Path
) -> None:
    images, run = read_image_folder(folder, image_size=20), tmp_path / "run"
    how = {"n_permutations": 0, "say": lambda _: None}
    parts = (images.select(np.arange(i, len(images), 3)) for i in (0, 1))
    fit_run(SepVAE(**quick()), *parts, run, about_data={}, **how)
    invoke("encode", run, folder, "--out", tmp_path / "codes.csv")
    found = pd.read_csv(tmp_path / "codes.csv").set_index("id")
    fitted = pd.read_csv(run / "codes.csv").query("split == 'test'").set_index("id")
    found = found.loc[fitted.index]
    space = found.filter(regex=r"^(common|salient)\d+").columns
    np.testing.assert_allclose(found[space], fitted[space], rtol=1e-4, atol=1e-5)
    with pytest.raises(DataError, match="no column of images in"):
        invoke("encode", run, study, "--out", tmp_path / "more.csv")


def test_a_run_of_measures_finds_its_columns_by_name(folder: Path, tmp_path: Path) -> None:
    rows = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 3)), columns=["a", "b", "c"])
    rows = rows.assign(id=[f"p{i}" for i in range(60)], dx=["hc", "scz"] * 30)
    table, run = tmp_path / "rows.csv", tmp_path / "run"
    rows[["a", "id", "b", "c"]].to_csv(table, index=False)
    train, test = (
        frame_source(part, label="dx", id="id", features=["a", "b", "c"]) for part in (rows[:40], rows[40:])
    )
    fit_run(SepVAE(**quick()), train, test, run, about_data={}, n_permutations=0, say=lambda _: None)
    invoke("encode", run, table, "--out", tmp_path / "codes.csv")
    found, fitted = (
        pd.read_csv(tmp_path / "codes.csv"),
        pd.read_csv(run / "codes.csv").query("split == 'test'"),
    )
    np.testing.assert_allclose(found["common0"][40:], fitted["common0"], rtol=1e-4, atol=1e-5)
    with pytest.raises(DataError, match="gives no samples of shape 3"):
        invoke("encode", run, folder, "--out", tmp_path / "more.csv")
    with pytest.raises(DataError, match="no column of labels"):
        invoke("evaluate", run, table)


@pytest.mark.parametrize("suffix", ["png", "nii.gz"])
def test_files_that_are_not_there_are_told_by_one_whole_path(suffix: str, tmp_path: Path) -> None:
    table = tmp_path / "rows.csv"
    rows = pd.DataFrame({"path": [f"sub/{i}.{suffix}" for i in range(30)], "dx": ["hc", "scz"] * 15})
    rows.assign(participant_id=range(30)).to_csv(table, index=False)
    tried = tmp_path / "sub" / f"0.{suffix}"
    columns = ["--images", "path", "--label", "dx"]
    with pytest.raises(DataError, match=f"looked for {re.escape(str(tried))}$"):
        invoke("fit", table, *columns, "--out", tmp_path / "run")
    assert f"looked for {tried}" in invoke("check", table, *columns, "--json", status=None)
