"""A simulated cohort: what is written is what was drawn, and the truth is true."""

import gzip

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from sepvae.data import simulated
from sepvae.data.simulated import simulate_vbm_cohort, true_map
from sepvae.errors import DataError

SMALL = {"n_subjects": 30, "side": 24}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return simulate_vbm_cohort(tmp_path_factory.mktemp("made") / "cohort", **SMALL).parent


@pytest.fixture(scope="module")
def people(cohort):
    return pd.read_csv(cohort / "participants.tsv", sep="\t")


@pytest.fixture(scope="module")
def images(cohort, people):
    return read_images(cohort, people)


@pytest.fixture(scope="module")
def mask(cohort):
    return read(cohort / "truth" / "brain_mask.nii.gz") == 1


def read(file):
    return nib.load(file).get_fdata()


def read_images(cohort, people):
    return np.stack([read(cohort / f"{i}/anat/{i}_GM.nii.gz") for i in people["participant_id"]])


def contents(folder):
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def test_files_are_named_as_said(cohort, people):
    names = [f"{i}/anat/{i}_GM.nii.gz" for i in people["participant_id"]]
    truth = ["subtype-A_map.nii.gz", "subtype-B_map.nii.gz", "brain_mask.nii.gz", "README"]
    assert set(contents(cohort)) == {"participants.tsv", *names, *(f"truth/{name}" for name in truth)}
    assert [file.name for file in cohort.parent.iterdir()] == ["cohort"]
    assert people["participant_id"].tolist() == [f"sub-{i:03d}" for i in range(1, 31)]


def test_images_are_brains_in_mm(cohort, images, mask):
    image = nib.load(cohort / "sub-001/anat/sub-001_GM.nii.gz")
    assert nib.aff2axcodes(image.affine) == ("R", "A", "S")
    assert (image.shape, image.get_data_dtype()) == ((24, 24, 24), np.float32)
    assert (image.header["sform_code"], image.header.get_xyzt_units()[0]) == (4, "mm")
    assert not images[:, ~mask].any()
    assert images.min() == 0
    assert 0.3 < images[:, mask].mean() < 0.8


def test_the_cube_holds_the_brain(cohort, mask):
    affine = nib.load(cohort / "truth" / "brain_mask.nii.gz").affine
    low, high = (nib.affines.apply_affine(affine, end(np.argwhere(mask), axis=0)) for end in (np.min, np.max))
    assert np.abs([low, high] - np.array([[-73, -107, -72], [72, 74, 83]])).max() < affine[0, 0]
    assert not any(mask.take(end, axis).any() for end in (0, -1) for axis in range(3))


def test_people_are_spread_alike(people):
    parts = people.groupby(people["subtype"].fillna("none"))
    assert parts.size().to_dict() == {"A": 8, "B": 7, "none": 15}
    np.testing.assert_allclose(parts["age"].mean(), 50, atol=0.1)
    for name in ("sex", "site"):
        counts = pd.crosstab(people["subtype"].fillna("none"), people[name])
        assert (counts.max(axis=1) - counts.min(axis=1)).max() <= 1
    ill = people["group"] == "patient"
    assert people.loc[ill, "severity"].between(0.2, 1, inclusive="right").all()
    assert people.loc[~ill, ["severity", "subtype"]].isna().all(axis=None)
    assert people["group"].ne(people["group"].shift()).sum() > 5  # mixed


def test_controls_have_na_in_the_file(cohort):
    lines = (cohort / "participants.tsv").read_text().splitlines()
    assert lines[0].split("\t")[-2:] == ["severity", "subtype"]
    assert {line.endswith("\tn/a\tn/a") for line in lines if "control" in line} == {True}


def test_the_truth_is_what_the_disease_added(cohort, people, images, tmp_path, monkeypatch):
    monkeypatch.setattr(simulated, "LOSS", 0.0)
    well = read_images(simulate_vbm_cohort(tmp_path / "well", **SMALL).parent, people)
    truth = np.stack([true_map(cohort, i) for i in people["participant_id"]])
    np.testing.assert_allclose(images, np.maximum(well + truth, 0), atol=1e-6)
    assert ((truth < -0.02).any(axis=(1, 2, 3)) == (people["group"] == "patient")).all()


@pytest.mark.parametrize(
    ("subtype", "inside", "outside"),
    [
        ("A", [(-26, -16, -20), (26, -16, -20)], (38, 14, 0)),
        ("B", [(-38, 14, 0), (0, 44, 16)], (26, -20, -20)),
    ],
)
def test_a_subtype_loses_grey_matter_where_it_should(cohort, subtype, inside, outside):
    image = nib.load(cohort / "truth" / f"subtype-{subtype}_map.nii.gz")
    loss, to_voxel = image.get_fdata(), np.linalg.inv(image.affine)
    at = [tuple(np.rint(nib.affines.apply_affine(to_voxel, p)).astype(int)) for p in [*inside, outside]]
    assert min(loss[i] for i in at[:-1]) > 0.1
    assert loss[at[-1]] < 0.05
    assert 0.2 < loss.max() <= 0.4


def test_age_sex_and_site_show_in_everybody(people, images, mask):
    brain = images[:, mask].mean(axis=1)
    columns = [
        people["age"] - 50,
        people["sex"] == "male",
        people["site"] == "site2",
        people["site"] == "site3",
    ]
    design = np.column_stack([np.ones(30), *columns]).astype(float)
    age, sex, *sites = np.linalg.lstsq(design, brain, rcond=None)[0][1:]
    assert age * 30 < -0.02
    assert sex > 0
    assert 0 < sites[0] < sites[1]


def test_noise_is_as_told(tmp_path, images, mask):
    quiet = simulate_vbm_cohort(tmp_path / "quiet", **SMALL, noise=0).parent
    added = images[0][mask] - read(quiet / "sub-001/anat/sub-001_GM.nii.gz")[mask]
    assert added.std() == pytest.approx(0.02, rel=0.05)


def test_seeds_decide_every_byte(tmp_path, cohort):
    again, other = (
        simulate_vbm_cohort(tmp_path / str(seed), **SMALL, random_state=seed).parent for seed in (0, 1)
    )
    assert contents(again) == contents(cohort)
    assert contents(other)["participants.tsv"] != contents(cohort)["participants.tsv"]
    image = "sub-001/anat/sub-001_GM.nii.gz"
    assert gzip.decompress(contents(other)[image]) != gzip.decompress(contents(cohort)[image])


@pytest.mark.parametrize(("share", "n_patients"), [(0.01, 2), (0.3, 3), (0.99, 8)])
def test_either_group_has_someone(tmp_path, share, n_patients):
    table = simulate_vbm_cohort(tmp_path / "new" / "cohort", n_subjects=10, side=16, share_of_targets=share)
    people = pd.read_csv(table, sep="\t")
    assert (people["group"] == "patient").sum() == n_patients
    assert set(people["subtype"].dropna()) == {"A", "B"}


def test_progress_is_told_and_nothing_is_left_of_what_was_stopped(tmp_path):
    told = []

    def stop(done, total):
        told.append((done, total))
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate_vbm_cohort(tmp_path / "cohort", n_subjects=4, side=16, progress=stop)
    assert told == [(1, 4), (2, 4)]
    assert not list(tmp_path.iterdir())


def test_a_folder_that_exists_is_refused(cohort):
    with pytest.raises(DataError, match=r"cohort: wanted a new folder for the cohort, but it exists; choose"):
        simulate_vbm_cohort(cohort)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_subjects", 3),
        ("side", 8),
        ("share_of_targets", 1),
        ("share_of_targets", 0),
        ("noise", -1),
        ("random_state", -1),
    ],
)
def test_keywords_refused(tmp_path, name, value):
    with pytest.raises(DataError, match=f"{name}: wanted a"):
        simulate_vbm_cohort(tmp_path / "cohort", **{name: value})


def test_no_truth_is_known_of_strangers(cohort, tmp_path):
    with pytest.raises(DataError, match="wanted a participant_id of this table, got 'sub-31'"):
        true_map(cohort, "sub-31")
    with pytest.raises(DataError, match=r"wanted a cohort that .* found no .*participants\.tsv"):
        true_map(tmp_path, "sub-001")
