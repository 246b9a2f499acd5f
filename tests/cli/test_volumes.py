"""Volumes from the command line: checked, packed, fitted, encoded and mapped; bad input is one line."""

import gzip
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from sepvae.data import simulate_vbm_cohort
from sepvae.errors import SepVAEError

from ..helpers import invoke, sets, without_figures

pytestmark = pytest.mark.usefixtures("undrawn")
IMAGES = "{participant_id}/anat/{participant_id}_GM.nii.gz"
QUICK = [*sets(max_epochs=1, batch_size=8, progress_bar="false"), "--permutations", "0"]
HOW = ["--label", "group", "--attribute", "age:continuous", "--attribute", "severity:continuous"]
SMALL = ["--image-size", "32", *QUICK]  # pads 24 voxels a side to what the network takes at least
RECIPE = f"""
title: Brains, in files or packed
reader: volumes
data: {{images: "{IMAGES}", label: group}}
protocol:
  test_size: 0.25
  contenders: [ContrastivePCA]
  columns: [{{title: d, attribute: label, population: all, space: salient, metric: auc, better: high}}]
methods:
  ContrastivePCA: {{default: {{common_dim: 2, salient_dim: 2}}}}
"""


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulate_vbm_cohort(tmp_path_factory.mktemp("c") / "cohort", n_subjects=24, side=24).parent


@pytest.fixture(scope="module")
def run(cohort: Path) -> Path:
    mask = cohort / "truth" / "brain_mask.nii.gz"
    out = cohort.parent / "run"
    how = [*HOW, "--mask", mask, *SMALL]
    with without_figures():
        invoke("fit", cohort / "participants.tsv", "--images", IMAGES, *how, "--out", out)
    return out


def test_people_are_named_as_in_the_table(run: Path) -> None:
    assert pd.read_csv(run / "codes.csv")["id"].str.fullmatch(r"sub-\d{3}").all()
    assert "mask: brain_mask.nii.gz\n" in (run / "recipe.yaml").read_text()


def test_maps_of_held_out_people_lie_where_their_volumes_lie(run: Path, cohort: Path) -> None:
    table = pd.read_csv(run / "maps" / "maps.csv")
    held_out = pd.read_csv(run / "split.csv").query("split == 'test'")
    assert set(table["id"]) == set(held_out["id"])
    one = nib.load(run / "maps" / table["file"].iloc[0])
    original = nib.load(cohort / IMAGES.format(participant_id=table["id"].iloc[0]))
    assert np.allclose(one.affine, original.affine)
    mask = nib.load(cohort / "truth" / "brain_mask.nii.gz").get_fdata() > 0
    assert one.shape == original.shape
    assert one.get_fdata()[mask].any()
    assert not one.get_fdata()[~mask].any()


def test_a_recipe_of_volumes_takes_a_store_as_well(cohort: Path, tmp_path: Path) -> None:
    store, recipe, out = tmp_path / "cohort.zarr", tmp_path / "mine.yaml", tmp_path / "run"
    invoke("pack", cohort / "participants.tsv", store, "--images", IMAGES)
    recipe.write_text(RECIPE)
    invoke("fit", store, "--recipe", recipe, "--method", "ContrastivePCA", "--out", out, "--permutations", 0)
    assert pd.read_csv(out / "codes.csv")["id"].str.fullmatch(r"sub-\d{3}").all()


def test_new_people_are_read_as_those_that_were_fitted_on(run: Path, cohort: Path, tmp_path: Path) -> None:
    invoke("encode", run, cohort / "participants.tsv", "--out", tmp_path / "codes.csv")
    again = pd.read_csv(tmp_path / "codes.csv").set_index("id")
    codes = pd.read_csv(run / "codes.csv").set_index("id")
    columns = codes.filter(regex=r"^(common|salient)\d").columns
    assert np.allclose(again.loc[codes.index, columns], codes[columns], atol=1e-4)
    assert "maps:" in invoke("maps", run, cohort / "participants.tsv", "--out", tmp_path / "maps")
    assert len(pd.read_csv(tmp_path / "maps" / "maps.csv")) == len(codes)


def test_a_packed_store_gives_the_same_codes(run: Path, cohort: Path, tmp_path: Path) -> None:
    store, out = tmp_path / "cohort.zarr", tmp_path / "run"
    assert "24 volumes" in invoke("pack", cohort / "participants.tsv", store, "--images", IMAGES)
    mask = cohort / "truth" / "brain_mask.nii.gz"
    invoke("fit", store, *HOW, "--mask", mask, "--out", out, *SMALL)
    assert (out / "codes.csv").read_bytes() == (run / "codes.csv").read_bytes()
    invoke("encode", run, store, "--out", tmp_path / "codes.csv")


def test_check_lists_the_grid(cohort: Path) -> None:
    said = invoke("check", cohort / "participants.tsv", "--images", IMAGES, *HOW)
    assert "24 x 24 x 24" in said
    assert "RAS" in said


def _truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:2000])


def _rewrite(file: Path, voxels: np.ndarray | None = None, affine: np.ndarray | None = None) -> None:
    image = nib.load(file)
    data = image.get_fdata(dtype=np.float32) if voxels is None else voxels
    nib.Nifti1Image(data, image.affine if affine is None else affine).to_filename(file)


def _no_voxel_size(file: Path) -> None:
    content = bytearray(gzip.decompress(file.read_bytes()))
    content[80:84] = np.float32(0).tobytes()  # pixdim[1]
    file.write_bytes(gzip.compress(bytes(content)))


BAD_VOLUMES = {
    "truncated": (_truncate, "GM.nii.gz: cannot be read as a volume"),
    "all NaN": (
        lambda file: _rewrite(file, np.full((24, 24, 24), np.nan, dtype=np.float32)),
        "of 13824 voxels are no finite numbers (NaN or infinite)",
    ),
    "mixed grids": (lambda file: _rewrite(file, affine=np.diag([3.0, 3, 3, 1])), "or allow --resample"),
    "no voxel size": (_no_voxel_size, "wanted voxels with three edges above 0 mm"),
}


@pytest.mark.parametrize(("spoil", "message"), BAD_VOLUMES.values(), ids=BAD_VOLUMES)
def test_a_bad_volume_is_one_line(spoil, message: str, cohort: Path, tmp_path: Path) -> None:
    shutil.copytree(cohort, tmp_path / "cohort")
    spoil(tmp_path / "cohort" / "sub-007" / "anat" / "sub-007_GM.nii.gz")
    _refused(tmp_path / "cohort" / "participants.tsv", tmp_path, message, "sub-007_GM.nii.gz")


BAD_ROWS = {
    "no label": ("group", None, "1 of 24 rows have no 'group' for label, the first in line 4"),
    "text in a score": ("severity", "mild", "line 4: wanted a number as 'severity', got 'mild'"),
    "someone twice": ("participant_id", "sub-001", "'sub-001' stands in lines 2 and 4"),
}


@pytest.mark.parametrize(("column", "cell", "message"), BAD_ROWS.values(), ids=BAD_ROWS)
def test_a_bad_row_is_one_line(
    column: str, cell: str | None, message: str, cohort: Path, tmp_path: Path
) -> None:
    table = pd.read_csv(cohort / "participants.tsv", sep="\t", dtype=str, keep_default_na=False)
    table.loc[2, column] = cell or "n/a"
    file = tmp_path / "participants.tsv"
    table.to_csv(file, sep="\t", index=False)
    _refused(file, tmp_path, message, "participants.tsv", "--root", cohort)


def test_grids_may_differ_where_that_is_allowed(cohort: Path, tmp_path: Path) -> None:
    shutil.copytree(cohort, tmp_path / "cohort")
    file = tmp_path / "cohort" / "sub-007" / "anat" / "sub-007_GM.nii.gz"
    image = nib.load(file)
    nib.Nifti1Image(image.get_fdata()[2:], image.affine @ _moved(2)).to_filename(file)
    table = tmp_path / "cohort" / "participants.tsv"
    invoke("fit", table, "--images", IMAGES, *HOW, "--out", tmp_path / "run", "--resample", *SMALL)
    assert (tmp_path / "run" / "report.html").is_file()


def _moved(voxels: int) -> np.ndarray:
    move = np.eye(4)
    move[0, 3] = voxels
    return move


def _refused(table: Path, folder: Path, message: str, named: str, *more: object) -> None:
    arguments = ["fit", table, "--images", IMAGES, *HOW, "--out", folder / "run", *more, *SMALL]
    with pytest.raises(SepVAEError) as error:
        invoke(*arguments)
    assert message in str(error.value)
    assert named in str(error.value)
    assert "\n" not in str(error.value)
    assert not (folder / "run").exists()


def test_check_takes_the_mask_and_refuses_what_a_fit_would_refuse(cohort: Path) -> None:
    arguments = ["check", cohort / "participants.tsv", "--images", IMAGES, *HOW, "--mask"]
    mask = cohort / "truth" / "brain_mask.nii.gz"
    assert "24 x 24 x 24" in invoke(*arguments, mask)
    with pytest.raises(SepVAEError, match="wanted a mask, found nothing"):
        invoke(*arguments, mask.with_name("no.nii.gz"))
