"""Maps by region: means as nilearn has them, groups of people, and what is left out, from maps on disk."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from nilearn.maskers import NiftiLabelsMasker

from sepvae.data import ArraySource, simulate_vbm_cohort, true_map
from sepvae.data.nifti import write_volume
from sepvae.errors import DataError
from sepvae.grid import Grid
from sepvae.interpretation import region_effects
from sepvae.interpretation.map_folder import write_maps
from sepvae.methods import ContrastivePCA
from sepvae.run_folder import IMAGE, MapFolder

N, SHAPE = 12, (8, 9, 10)
GRID = Grid(SHAPE, np.diag([2.0, 2.0, 2.0, 1.0]))
FEW = {"n_permutations": 99}


def make_maps(folder: Path, values: np.ndarray, labels: list[str], **more: object) -> Path:
    """Write maps (n, x, y, z) as `write_maps` does, of voxels that are 1 in the mean image but for a face."""
    maps, image = MapFolder(folder), np.ones(values.shape[1:])
    image[0] = 0
    folder.mkdir()
    files = [f"sub-{i:02d}_desc-salient_map.nii.gz" for i in range(len(values))]
    for file, value in zip(files, values, strict=True):
        write_volume(folder / file, value, GRID)
    write_volume(maps.volume(IMAGE), image, GRID)
    table = pd.DataFrame({"id": [f"p{i}" for i in range(len(values))], "label": labels, "file": files})
    table["group"] = table["id"]
    table["y"] = table["label"].map({"hc": 0, "sz": 1, "bd": 1})
    maps.samples.write(table.assign(**more))
    return folder


def values_of(labels: list[str]) -> np.ndarray:
    """Noise; those of sz lose 1 where x is 4 or more."""
    values = np.random.default_rng(0).normal(0, 0.5, size=(len(labels), *SHAPE))
    values[np.array(labels) == "sz", 4:] -= 1
    return values


def numbers() -> np.ndarray:
    """Four slabs of two voxels; the first is half outside of the maps. Number 9 is all outside."""
    slabs = np.repeat([5, 7, 11, 13], 2)[:, None, None] * np.ones(SHAPE, dtype=np.int16)
    slabs[0, :3] = 9
    return slabs.astype(np.int16)


@pytest.fixture
def atlas(tmp_path: Path) -> Path:
    nib.save(nib.Nifti1Image(numbers(), GRID.affine), tmp_path / "atlas.nii.gz")
    return tmp_path / "atlas.nii.gz"


LABELS = ["hc", "sz"] * (N // 2)


def test_means_are_those_of_nilearn(tmp_path: Path, atlas: Path) -> None:
    folder = make_maps(tmp_path / "maps", values_of(LABELS), LABELS)
    found = region_effects(folder, atlas, **FEW)
    inside = np.ones(SHAPE, dtype=np.uint8)
    inside[0] = 0
    masker = NiftiLabelsMasker(atlas, mask_img=nib.Nifti1Image(inside, GRID.affine), standardize=None)
    means = found.people.set_index(["id", "index"])["mean"]
    for i in range(N):
        with pytest.warns(UserWarning, match="labels were removed: .9"):
            by_nilearn = masker.fit_transform(folder / f"sub-{i:02d}_desc-salient_map.nii.gz").ravel()
        np.testing.assert_allclose(means[f"p{i}"], by_nilearn, rtol=1e-4, atol=1e-6)


def test_groups_are_compared_and_regions_outside_are_left_out(tmp_path: Path, atlas: Path) -> None:
    folder = make_maps(tmp_path / "maps", values_of(LABELS), LABELS)
    found = region_effects(folder, atlas, n_permutations=999)
    assert found.people.columns.tolist() == ["id", "label", "index", "region", "mean"]
    assert len(found.people) == 4 * N
    assert (found.record["regions"], found.record["regions_in_atlas"]) == (4, 5)
    assert found.record["people"] == {"hc": 6, "sz": 6}
    targets = found.groups.query("label == 'sz'").set_index("index")
    assert targets["region"].tolist() == ["5", "7", "11", "13"]
    assert targets["voxels"].tolist() == [90, 180, 180, 180]
    assert targets["share"].tolist() == pytest.approx([90 / 150, 1, 1, 1])
    means = found.people.groupby(["label", "index"])["mean"].mean()
    np.testing.assert_allclose(targets["difference"], means["sz"] - means["hc"])
    assert (targets["p_difference"] <= 0.05).tolist() == [False, False, True, True]
    controls = found.groups.query("label == 'hc'")
    assert controls["d"].isna().all()
    np.testing.assert_allclose(controls["mean"], means["hc"])
    assert np.unique(found.placed).tolist() == [0, 5, 7, 11, 13]
    assert not found.placed[0].any()


def test_scans_of_one_person_are_averaged_and_those_that_were_fitted_on_are_left_out(
    tmp_path: Path, atlas: Path
) -> None:
    values = values_of(LABELS)
    split = ["train", "validation", *["test"] * (N - 2)]
    who = [f"p{i // 4}-{i % 2}" for i in range(N)]
    folder = make_maps(tmp_path / "maps", values, LABELS, group=who, split=split)
    found = region_effects(folder, atlas, **FEW)
    assert found.record["people"] == {"hc": 3, "sz": 3}
    assert found.record["fitted_on"] == 2
    assert found.people["id"].nunique() == N
    mean = found.people.query("index == 11").set_index("id")["mean"]
    wanted = np.mean([mean["p2"], mean[["p4", "p6"]].mean(), mean[["p8", "p10"]].mean()])
    assert found.groups.query("index == 11 and label == 'hc'")["mean"].item() == pytest.approx(wanted)
    mixed = make_maps(tmp_path / "mixed", values, LABELS, group="one")
    with pytest.raises(DataError, match="samples of 'one' are in both"):
        region_effects(mixed, atlas)


def test_several_targets_have_rows_each_and_together(tmp_path: Path, atlas: Path) -> None:
    labels = ["hc", "sz", "bd"] * 4
    folder = make_maps(tmp_path / "maps", values_of(labels), labels)
    groups = region_effects(folder, atlas, **FEW).groups
    assert groups["label"].unique().tolist() == ["hc", "sz and bd", "sz", "bd"]
    d = groups.set_index(["label", "index"])["d"]
    assert d["sz", 11] < d["sz and bd", 11] < d["bd", 11]


def test_people_without_a_group_have_means_only(tmp_path: Path, atlas: Path) -> None:
    folder = make_maps(tmp_path / "maps", values_of(LABELS), ["unknown"] * N)
    found = region_effects(folder, atlas, **FEW)
    assert found.groups.empty
    assert found.people["mean"].notna().all()
    alone = make_maps(tmp_path / "patients", values_of(LABELS), ["sz"] * N)
    groups = region_effects(alone, atlas, **FEW).groups
    assert groups["n"].tolist() == [N] * 4
    assert groups["d"].isna().all()


def test_names_are_taken_and_those_that_lack_are_counted(tmp_path: Path, atlas: Path) -> None:
    folder, names = make_maps(tmp_path / "maps", values_of(LABELS), LABELS), tmp_path / "names.csv"
    names.write_text("index,name\n5,insula\n7,cuneus\n13,<b>\n99,other\n")
    found = region_effects(folder, atlas, names, **FEW)
    assert found.groups["region"].tolist()[:4] == ["insula", "cuneus", "11", "<b>"]
    assert (found.record["names"], found.record["unnamed"]) == (4, [11])
    names.write_text("index,name\n1,insula\n2,cuneus\n")
    with pytest.raises(DataError, match="got none; names are of 1, 2, regions are 5, 7, 11 and 1 more"):
        region_effects(folder, atlas, names)


def test_small_regions_are_said(tmp_path: Path) -> None:
    few = numbers()
    few[4:, :, :] = 0
    few[5, 5, :8] = 6
    nib.save(nib.Nifti1Image(few, GRID.affine), tmp_path / "few.nii")
    folder = make_maps(tmp_path / "maps", values_of(LABELS), LABELS)
    assert region_effects(folder, tmp_path / "few.nii", **FEW).record["few_voxels"] == ["6 (8)"]


def test_what_does_not_fit_is_refused_in_one_line(tmp_path: Path, atlas: Path) -> None:
    folder = make_maps(tmp_path / "maps", values_of(LABELS), LABELS)
    far = GRID.affine.copy()
    far[:3, 3] = 500
    nib.save(nib.Nifti1Image(numbers(), far), tmp_path / "far.nii.gz")
    with pytest.raises(DataError, match=r"far.nii.gz: wanted an atlas in the space of the maps.*8 x 9 x 10"):
        region_effects(folder, tmp_path / "far.nii.gz")
    write_volume(folder / "sub-03_desc-salient_map.nii.gz", np.zeros(SHAPE), Grid(SHAPE, far))
    with pytest.raises(DataError, match=r"sub-03.*wanted the grid of the other maps"):
        region_effects(folder, atlas)
    (folder / "sub-00_desc-salient_map.nii.gz").unlink()
    with pytest.raises(DataError, match=r"sub-00.*cannot be read"):
        region_effects(folder, atlas)
    with pytest.raises(DataError, match="nowhere: wanted maps of volumes"):
        region_effects(tmp_path / "nowhere", atlas)


def test_maps_of_a_model_say_the_group_of_each_sample(tmp_path: Path, atlas: Path) -> None:
    x = np.random.default_rng(0).normal(size=(N, 1, *SHAPE)).astype(np.float32)
    native = pd.DataFrame({"mean": np.ones(N), "sd": np.ones(N), "axes": ["LPS"] * N})
    source = ArraySource(x, LABELS, groups=np.repeat(np.arange(N // 2), 2), grid=GRID, native=native)
    model = ContrastivePCA(2, 2, background="hc").fit(source)
    source = ArraySource(x, LABELS, groups=np.arange(N) // 4 * 2 + np.arange(N) % 2, grid=GRID, native=native)
    found = region_effects(write_maps(model, source, tmp_path / "maps"), atlas, **FEW)
    assert found.record["people"] == {"hc": 3, "sz": 3}
    tables = ArraySource(x.reshape(N, -1)[:, :5], LABELS)
    write_maps(ContrastivePCA(2, 2, background="hc").fit(tables), tables, tmp_path / "table")
    with pytest.raises(DataError, match=r"found none; regions.csv there has features, which need no atlas"):
        region_effects(tmp_path / "table", atlas)


@pytest.mark.slow
def test_the_regions_of_the_simulated_loss_come_first(tmp_path: Path) -> None:
    """True maps of a cohort and noise; regions are where each subtype loses most, and slabs of the rest."""
    cohort = simulate_vbm_cohort(tmp_path / "cohort", n_subjects=24, side=16).parent
    people = pd.read_csv(cohort / "participants.tsv", sep="\t")
    truth = cohort / "truth"
    loss = {s: nib.load(truth / f"subtype-{s}_map.nii.gz") for s in "AB"}
    affine, brain = loss["A"].affine, nib.load(truth / "brain_mask.nii.gz").get_fdata() > 0
    regions = np.broadcast_to(10 + np.arange(16) // 4, brain.shape).astype(np.int16).copy()
    for number, of in enumerate(loss.values(), start=1):
        regions[of.get_fdata() > of.get_fdata().max() / 3] = number
    nib.save(nib.Nifti1Image(regions, affine), tmp_path / "atlas.nii.gz")
    (tmp_path / "names.tsv").write_text("index\tname\n1\tmedial temporal\n2\tinsula\n")
    folder, rng = MapFolder(tmp_path / "maps"), np.random.default_rng(0)
    folder.path.mkdir()
    grid = Grid(brain.shape, affine)
    for name in people["participant_id"]:
        added = (true_map(cohort, name) + rng.normal(0, 0.01, brain.shape)) * brain
        write_volume(folder.volume(name), added, grid)
    write_volume(folder.volume(IMAGE), brain, grid)
    table = people.rename(columns={"participant_id": "id", "group": "label"})[["id", "label"]]
    table["group"], table["file"] = table["id"], table["id"] + ".nii.gz"
    folder.samples.write(table.assign(y=(table["label"] == "patient").astype(int)))
    groups = region_effects(folder.path, tmp_path / "atlas.nii.gz", tmp_path / "names.tsv").groups
    targets = groups.query("label == 'patient'").sort_values("difference")
    assert set(targets["region"].iloc[:2]) == {"medial temporal", "insula"}
    assert (targets["p_difference"].iloc[:2] <= 0.05).all()
    severity = people.groupby("subtype")["severity"].sum() / people["subtype"].notna().sum()
    for number, name in enumerate(loss, start=1):
        inside = (regions == number) & brain
        wanted = -sum(severity[s] * loss[s].get_fdata()[inside].mean() for s in "AB")
        found = targets.set_index("index").loc[number, "difference"]
        assert found == pytest.approx(wanted, abs=0.004), name
