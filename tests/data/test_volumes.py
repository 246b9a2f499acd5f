"""Volumes as the network takes them, and what is refused on the way."""

import gzip
import re
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image
from scipy.ndimage import map_coordinates

from sepvae.data.arrays import ArraySource
from sepvae.data.formats.tables import VolumeTable, read_volumes
from sepvae.data.nifti import NiftiFiles, write_volume
from sepvae.data.spec import DataSpec
from sepvae.data.volumes import VolumeReader, common_grid, kinds_of_grid, on_grid, read_mask
from sepvae.errors import DataError
from sepvae.grid import Grid

AFFINE = np.array([[2.0, 0, 0, -10], [0, 2, 0, -12], [0, 0, 2, 5], [0, 0, 0, 1]])
GRID = Grid((8, 9, 10), AFFINE)


@pytest.fixture
def voxels() -> np.ndarray:
    """Three volumes of other means and spreads."""
    rng = np.random.default_rng(0)
    return (
        rng.normal(size=(3, 8, 9, 10)) * [[[[1]]], [[[5]]], [[[0.1]]]] + [[[[0]]], [[[50]]], [[[3]]]]
    ).astype(np.float32)


def saved(folder: Path, *volumes: np.ndarray, grid: Grid = GRID, first: int = 0) -> NiftiFiles:
    files = [folder / f"v{first + i}.nii.gz" for i in range(len(volumes))]
    for file, volume in zip(files, volumes, strict=True):
        write_volume(file, volume, replace(grid, shape=volume.shape))
    return NiftiFiles(files)


def headers(files: NiftiFiles) -> list:
    return [files.header(i) for i in range(len(files))]


def test_each_is_normalised_by_its_own_voxels(tmp_path: Path, voxels: np.ndarray) -> None:
    reader = VolumeReader(saved(tmp_path, *voxels), GRID)
    x = reader(np.array([2, 0, 1]))
    expected = [(v - v.mean(dtype=float)) / v.std(dtype=float) for v in voxels[[2, 0, 1]]]
    assert (x.shape, x.dtype) == ((3, 1, 8, 9, 10), np.float32)
    np.testing.assert_allclose(x[:, 0], expected, atol=1e-5)
    _, mean, sd = reader.normalised(1, voxels[1])
    assert (mean, sd) == pytest.approx((voxels[1].mean(dtype=float), voxels[1].std(dtype=float)))


def test_padding_does_not_count(tmp_path: Path, voxels: np.ndarray) -> None:
    grid = replace(GRID, size=(12, 9, 16))
    window = VolumeReader(saved(tmp_path, voxels[1]), grid)(np.array([0]))[0, 0]
    expected = (voxels[1] - voxels[1].mean(dtype=float)) / voxels[1].std(dtype=float)
    np.testing.assert_allclose(window[2:10, :, 3:13], expected, atol=1e-5)
    assert not window[~grid.valid_mask].any()
    np.testing.assert_allclose(grid.back(window), expected, atol=1e-5)


def test_what_is_cropped_does_not_count(tmp_path: Path, voxels: np.ndarray) -> None:
    window = VolumeReader(saved(tmp_path, voxels[1]), replace(GRID, size=(4, 5, 6)))(np.array([0]))[0, 0]
    inside = voxels[1, 2:6, 2:7, 2:8].astype(float)
    np.testing.assert_allclose(window, (inside - inside.mean()) / inside.std(), atol=1e-5)


def test_only_the_mask_counts_and_nothing_lies_out_of_it(tmp_path: Path, voxels: np.ndarray) -> None:
    mask = np.random.default_rng(1).random(GRID.shape) < 0.4
    bad = np.where(mask, voxels[0], np.nan)
    bad[~mask & (voxels[0] > 1)] = np.inf
    grid = replace(GRID, mask=mask, size=(10, 7, 10))
    window = VolumeReader(saved(tmp_path, bad), grid)(np.array([0]))[0, 0]
    seen = grid.back(grid.valid_mask) > 0
    inside = voxels[0][seen].astype(float)
    np.testing.assert_allclose(grid.back(window)[seen], (inside - inside.mean()) / inside.std(), atol=1e-5)
    assert not window[~grid.valid_mask].any()


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float64])
def test_whole_numbers_are_normalised_too(tmp_path: Path, dtype: type) -> None:
    voxels = np.random.default_rng(0).integers(0, 256, size=GRID.shape).astype(dtype)
    Nifti1Image(voxels, AFFINE).to_filename(tmp_path / "a.nii.gz")
    x = VolumeReader(NiftiFiles([tmp_path / "a.nii.gz"]), GRID)(np.array([0]))
    np.testing.assert_allclose(x[0, 0], (voxels - voxels.mean()) / voxels.std(), atol=1e-5)


def test_those_in_memory_are_not_read_again(tmp_path: Path, voxels: np.ndarray) -> None:
    files = saved(tmp_path, *voxels)
    reader = VolumeReader(files, GRID)
    before = reader(np.arange(3))
    reader.kept = before[:2]
    files.files[0].unlink()
    assert np.array_equal(reader(np.array([2, 1, 0])), before[::-1])


def refused(folder: Path, volume: np.ndarray, grid: Grid = GRID) -> str:
    files = saved(folder, volume)
    with pytest.raises(DataError) as caught:
        VolumeReader(files, grid)(np.array([0]))
    assert str(caught.value).startswith(f"{files.name(0)}: ")
    return str(caught.value).removeprefix(f"{files.name(0)}: ")


def test_voxels_that_are_no_numbers_are_refused(tmp_path: Path, voxels: np.ndarray) -> None:
    bad = voxels[0].copy()
    bad[2, 3, :2] = np.nan, np.inf
    assert refused(tmp_path, bad).startswith("2 of 720 voxels are no finite numbers (NaN or infinite);")
    assert refused(tmp_path, np.full(GRID.shape, np.nan)).startswith("720 of 720 voxels are no finite")
    masked = replace(GRID, mask=np.arange(720).reshape(GRID.shape) < 360)
    assert refused(tmp_path, bad, masked).startswith("2 of 360 voxels inside of the mask are no finite")


def test_values_too_large_for_float32_are_refused(tmp_path: Path, voxels: np.ndarray) -> None:
    large = voxels[0].astype(np.float64)
    large[0, 0, 0] = 1e300
    Nifti1Image(large, AFFINE).to_filename(tmp_path / "a.nii.gz")
    with pytest.raises(DataError, match="1 of 720 voxels are no finite"):
        VolumeReader(NiftiFiles([tmp_path / "a.nii.gz"]), GRID)(np.array([0]))


@pytest.mark.parametrize("value", [0, 0.3, -1e6])
def test_one_value_everywhere_is_refused(tmp_path: Path, value: float) -> None:
    assert refused(tmp_path, np.full(GRID.shape, value)).startswith(
        f"has one value, {np.float32(value):g}, in all"
    )


def test_one_value_inside_of_the_mask_is_refused(tmp_path: Path, voxels: np.ndarray) -> None:
    mask = np.zeros(GRID.shape, dtype=bool)
    mask[:2] = True
    assert "has one value" in refused(tmp_path, np.where(mask, 7, voxels[0]), replace(GRID, mask=mask))


def test_small_values_are_not_constant(tmp_path: Path, voxels: np.ndarray) -> None:
    x = VolumeReader(saved(tmp_path, voxels[0] * 1e-9), GRID)(np.array([0]))  # diffusivity in m^2/s
    assert x.std() == pytest.approx(1, abs=1e-4)


def test_orientations_share_a_grid(tmp_path: Path, voxels: np.ndarray) -> None:
    for i, axes in enumerate(["LAS", "RAS", "PIR"]):
        write_volume(tmp_path / f"v{i}.nii.gz", voxels[i], GRID, axes)
    files = NiftiFiles([tmp_path / f"v{i}.nii.gz" for i in range(3)])
    grid = common_grid(headers(files), files)
    assert grid.same_place(GRID)
    assert grid.axes == "LAS"
    assert all(np.array_equal(files(i), voxels[i]) for i in range(3))


def test_several_grids_are_refused_unless_they_are_resampled(tmp_path: Path, voxels: np.ndarray) -> None:
    odd = saved(tmp_path, voxels[0][:, :, :8])
    files = NiftiFiles([*odd.files, *saved(tmp_path, *voxels[1:], first=1).files])
    with pytest.raises(DataError) as caught:
        common_grid(headers(files), files)
    assert str(caught.value) == (
        f"{files.name(0)}: wanted 8 x 9 x 10 voxels of 2 x 2 x 2 mm at the same place as {files.name(1)}, "
        "got 8 x 9 x 8 voxels of 2 x 2 x 2 mm; bring them to one space, or allow resample="
    )
    assert common_grid(headers(files), files, resample=True).same_place(GRID)


def test_a_shift_is_told_in_millimetres_and_a_turn_as_such(tmp_path: Path, voxels: np.ndarray) -> None:
    files = saved(tmp_path, *voxels)
    moved, tilted = AFFINE.copy(), AFFINE.copy()
    moved[:3, 3] += [4, 0, 1.5]
    tilted[:2, :2] = 2 * np.array([[0.8, -0.6], [0.6, 0.8]])
    for affine, said in ((moved, "4 x 0 x 1.5 mm away;"), (tilted, "at another angle;")):
        saved(tmp_path, voxels[2], grid=replace(GRID, affine=affine), first=2)
        with pytest.raises(DataError, match=said):
            common_grid(headers(files), files)


def test_the_grid_of_a_model_is_kept_to(tmp_path: Path, voxels: np.ndarray) -> None:
    files = saved(tmp_path, *voxels)
    fitted = replace(GRID, mask=np.ones(GRID.shape, dtype=bool), size=(16, 16, 16))
    assert common_grid(headers(files), files, grid=fitted) is fitted
    with pytest.raises(DataError, match=r"\(and 2 more\): .* as the model was fitted on"):
        common_grid(headers(files), files, grid=replace(GRID, shape=(8, 8, 8)))


def test_volumes_are_sorted_by_grid(tmp_path: Path, voxels: np.ndarray) -> None:
    moved = AFFINE.copy()
    moved[0, 3] += 1e-3 * 2 * 1.5  # a thousandth and a half of a voxel
    near = AFFINE.copy()
    near[0, 3] += 1e-3
    grids = [GRID, replace(GRID, affine=moved), replace(GRID, affine=near), replace(GRID, shape=(8, 9, 9))]
    files = saved(tmp_path, voxels[0])
    header = files.header(0)
    assert kinds_of_grid([replace(header, grid=grid) for grid in grids]) == {0: [0, 2], 1: [1], 3: [3]}
    assert kinds_of_grid([]) == {}


def test_nothing_is_interpolated_unasked(voxels: np.ndarray) -> None:
    assert on_grid(voxels, GRID, replace(GRID, size=(4, 4, 4))) is voxels


def test_a_plane_stays_a_plane_where_it_is_resampled() -> None:
    fine = Grid((21, 21, 21), np.diag([2.0, 2, 2, 1]))
    coarse = Grid((9, 9, 9), np.array([[4.0, 0, 0, 3], [0, 4, 0, 1], [0, 0, 4, 2.5], [0, 0, 0, 1]]))
    moved = on_grid(_plane(fine), fine, coarse)
    np.testing.assert_allclose(moved, _plane(coarse), rtol=1e-5)
    assert moved.shape == (9, 9, 9)


def _plane(grid: Grid) -> np.ndarray:
    """A field that is linear in millimetres."""
    ijk = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1)
    return 1 + (ijk @ grid.affine[:3, :3].T + grid.affine[:3, 3]) @ [0.5, -1, 2]


def test_resampling_is_linear_interpolation_in_millimetres(voxels: np.ndarray) -> None:
    affine = AFFINE.copy()
    affine[:3, 3] += [1.1, -0.4, 3]
    wanted = Grid((6, 6, 6), affine)
    ijk = np.stack(np.meshgrid(*map(np.arange, (6, 6, 6)), indexing="ij")).reshape(3, -1)
    at = np.linalg.inv(AFFINE) @ affine @ np.vstack([ijk, np.ones(216)])
    expected = map_coordinates(voxels[0].astype(float), at[:3], order=1).reshape(6, 6, 6)
    inside = ((at[:3] >= 0) & (at[:3] <= np.array([[7], [8], [9]]))).all(axis=0).reshape(6, 6, 6)
    assert inside.sum() > 100
    np.testing.assert_allclose(on_grid(voxels[0], GRID, wanted)[inside], expected[inside], atol=1e-4)


def test_resampled_volumes_are_normalised_after(tmp_path: Path) -> None:
    fine, coarse = Grid((16, 16, 16), np.diag([2.0, 2, 2, 1])), Grid((8, 8, 8), np.diag([4.0, 4, 4, 1]))
    voxels = np.random.default_rng(0).normal(7, 3, size=fine.shape).astype(np.float32)
    x = VolumeReader(saved(tmp_path, voxels, grid=fine), coarse, resample=True)(np.array([0]))[0, 0]
    taken = voxels[::2, ::2, ::2].astype(float)
    np.testing.assert_allclose(x, (taken - taken.mean()) / taken.std(), atol=1e-4)


def test_voxels_that_are_no_numbers_stay_so_when_resampled(tmp_path: Path) -> None:
    fine, coarse = Grid((16, 16, 16), np.diag([2.0, 2, 2, 1])), Grid((8, 8, 8), np.diag([4.0, 4, 4, 1]))
    voxels = np.random.default_rng(0).normal(size=fine.shape)
    voxels[4, 4, 4] = np.nan
    files = saved(tmp_path, voxels, grid=fine)
    with pytest.raises(DataError, match=r"v0.nii.gz: 1 of 512 voxels are no finite numbers"):
        VolumeReader(files, coarse, resample=True)(np.array([0]))


def test_a_mask_is_read(tmp_path: Path) -> None:
    mask = np.random.default_rng(0).random(GRID.shape) < 0.5
    Nifti1Image(np.where(mask, 3, 0).astype(np.uint8)[::-1], AFFINE @ np.diag([-1, 1, 1, 1])).to_filename(
        tmp_path / "odd.nii.gz"
    )
    write_volume(tmp_path / "mask.nii.gz", np.where(mask, 0.5, np.nan), GRID, "LPS")
    assert np.array_equal(read_mask(tmp_path / "mask.nii.gz", GRID), mask)
    with pytest.raises(DataError, match=r"odd.nii.gz: wanted the grid of the volumes, 8 x 9 x 10 voxels"):
        read_mask(tmp_path / "odd.nii.gz", GRID)


def test_a_mask_on_another_grid_is_resampled_only_when_asked(tmp_path: Path) -> None:
    fine = Grid((16, 18, 20), AFFINE @ np.diag([0.5, 0.5, 0.5, 1]))
    mask = np.random.default_rng(0).random(GRID.shape) < 0.5
    write_volume(tmp_path / "mask.nii.gz", mask.repeat(2, 0).repeat(2, 1).repeat(2, 2), fine)
    with pytest.raises(DataError, match="or allow resample="):
        read_mask(tmp_path / "mask.nii.gz", GRID)
    assert np.array_equal(read_mask(tmp_path / "mask.nii.gz", GRID, resample=True), mask)


def test_an_empty_mask_and_none_are_refused(tmp_path: Path) -> None:
    mask = np.zeros(GRID.shape)
    mask[0] = 1
    write_volume(tmp_path / "mask.nii.gz", mask, GRID)
    assert read_mask(tmp_path / "mask.nii.gz", GRID).sum() == 90
    with pytest.raises(DataError, match="no voxel of the mask lies in what the network sees"):
        read_mask(tmp_path / "mask.nii.gz", replace(GRID, size=(4, 4, 4)))
    with pytest.raises(DataError, match=r"none.nii: wanted a mask, found nothing"):
        read_mask(tmp_path / "none.nii", GRID)


TABLE = [
    ("participant_id", "file", "diagnosis", "panss"),
    ("sub-1", "v0.nii.gz", "control", ""),
    ("sub-2", "v1.nii.gz", "patient", "61.5"),
    ("sub-3", "v2.nii.gz", "patient", "n/a"),
]


def table(folder: Path, line: int, column: int, word: str) -> Path:
    """A participants.tsv with one cell changed; the first line is 1."""
    rows = [list(row) for row in TABLE]
    rows[line - 1][column] = word
    (folder / "participants.tsv").write_text("\n".join("\t".join(row) for row in rows))
    return folder / "participants.tsv"


def test_volumes_of_a_table_are_listed(tmp_path: Path, voxels: np.ndarray) -> None:
    files = saved(tmp_path, *voxels)
    manifest = VolumeTable().list(
        table(tmp_path, 2, 3, "40"),
        DataSpec(images="file", label="diagnosis", attributes={"panss": "continuous"}),
    )
    assert isinstance(manifest.volumes, NiftiFiles)
    assert manifest.volumes.files == files.files
    assert manifest.about["id"].tolist() == ["sub-1", "sub-2", "sub-3"]
    assert manifest.about["panss"].tolist() == pytest.approx([40, 61.5, np.nan], nan_ok=True)


def test_the_window_is_chosen(tmp_path: Path, voxels: np.ndarray) -> None:
    saved(tmp_path, *voxels)
    path = table(tmp_path, 2, 3, "40")
    for size, shape in ((None, GRID.shape), (16, (16, 16, 16)), ((16, 8, 4), (16, 8, 4))):
        assert read_volumes(path, images="file", label="diagnosis", size=size).sample_shape == (1, *shape)
    with pytest.raises(DataError, match="image_size: wanted one side or three"):
        read_volumes(path, images="file", label="diagnosis", size=(24, 24))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("line", "column", "word", "said"),
    [
        (3, 2, "", "participants.tsv: 1 of 3 rows have no 'diagnosis' for label, the first in line 3"),
        (4, 3, "severe", "participants.tsv line 4: wanted a number as .*'panss', got 'severe'"),
        (4, 0, "sub-1", "participants.tsv: 'sub-1' stands in lines 2 and 4"),
    ],
    ids=["patient without label", "text in a score", "repeated participant"],
)
def test_cells_of_no_use_are_refused(tmp_path: Path, line: int, column: int, word: str, said: str) -> None:
    path = table(tmp_path, line, column, word)
    with pytest.raises(DataError) as caught:
        VolumeTable().list(
            path, DataSpec(images="file", label="diagnosis", attributes={"panss": "continuous"})
        )
    assert re.search(said, str(caught.value)), caught.value
    assert "\n" not in str(caught.value)


def bare(file: Path, codes: tuple[int, int] = (0, 0)) -> None:
    """Set the codes of sform and qform in a header."""
    raw = bytearray(gzip.decompress(file.read_bytes()))
    raw[252:256] = struct.pack("<hh", codes[1], codes[0])
    file.write_bytes(gzip.compress(bytes(raw)))


def cohort(folder: Path, *, without: tuple[int, ...] = ()) -> dict:
    """Four volumes, bright on the left; some without an orientation in their header."""
    rng = np.random.default_rng(0)
    lines = ["participant_id\tgroup"]
    for i in range(4):
        voxels = rng.normal(size=GRID.shape)
        voxels[:3] += 9
        write_volume(folder / f"s{i}.nii.gz", voxels, GRID)
        lines.append(f"s{i}\t{'ab'[i % 2]}")
    for i in without:
        bare(folder / f"s{i}.nii.gz")
    (folder / "t.tsv").write_text("\n".join(lines) + "\n")
    return {"path": folder / "t.tsv", "images": "{participant_id}.nii.gz", "label": "group"}


def left_is_bright(source: ArraySource) -> list[bool]:
    x = source.take(np.arange(4)).x[:, 0]
    return (x[:, :3].mean((1, 2, 3)) > x[:, 5:].mean((1, 2, 3))).tolist()


def test_a_header_without_orientation_among_others_is_refused_unless_it_is_assumed(tmp_path: Path) -> None:
    how = cohort(tmp_path, without=(1, 2))
    with pytest.raises(DataError, match=r"s1.nii.gz \(and 1 more\): its header has no orientation"):
        read_volumes(**how)
    source = read_volumes(**how, assume_orientation="RAS")
    assert left_is_bright(source) == [True] * 4
    assert source.grid is not None
    assert source.grid.same_place(GRID)  # where the others lie, though that is not centred
    assert left_is_bright(read_volumes(**how, assume_orientation="LAS")) == [True, False, False, True]
    with pytest.raises(DataError, match="assume_orientation: wanted three letters such as RAS"):
        read_volumes(**how, assume_orientation="RAR")


def test_volumes_of_which_none_has_an_orientation_are_alike(tmp_path: Path) -> None:
    how = cohort(tmp_path, without=(0, 1, 2, 3))
    source = read_volumes(**how)
    assert left_is_bright(source) == [False] * 4  # LAS, as nibabel takes it
    assert source.grid is not None
    assert not source.grid.oriented
    again = Grid.from_state(*source.grid.state())
    write_volume(tmp_path / "s0.nii.gz", np.random.default_rng(0).normal(size=GRID.shape), GRID)
    files = NiftiFiles([tmp_path / "s0.nii.gz"])
    with pytest.raises(DataError, match="the model was fitted on volumes without one"):
        common_grid(headers(files), files, grid=again)
    assert (
        left_is_bright(read_volumes(**cohort(tmp_path, without=(0, 1, 2, 3)), assume_orientation="RAS"))
        == [True] * 4
    )


def test_sform_and_qform_that_disagree_are_told(tmp_path: Path) -> None:
    image = Nifti1Image(np.ones(GRID.shape, np.float32), AFFINE)
    for name, qform in {"same": AFFINE, "moved": AFFINE @ np.diag([-1, 1, 1, 1])}.items():
        image.set_sform(AFFINE, 1)
        image.set_qform(qform, 1)
        image.to_filename(tmp_path / f"{name}.nii")
    files = NiftiFiles([tmp_path / "same.nii", tmp_path / "moved.nii"])
    assert [header.orientation for header in headers(files)] == ["known", "disagree"]


BRAIN = np.arange(720).reshape(GRID.shape) < 200
PROBABILITIES = np.where(BRAIN, 0.9, 1e-6)
PROBABILITIES[-1, -1, -1] = 0.4


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (PROBABILITIES, "got 3 values from 1e-06 to 0.9"),
        (np.where(BRAIN, 1, -1), "got -1 and 1"),
        (np.where(BRAIN, 2, 1), "got 1 and 2"),
        (np.where(BRAIN, 0, -1), "got -1 and 0"),
        (np.arange(720).reshape(GRID.shape) % 101, "got 101 values from 0 to 100"),
        (np.ones(GRID.shape), r"all voxels of the mask count \(one value, 1\)"),
    ],
    ids=["probabilities", "-1 outside", "1 outside", "-1 inside", "atlas", "ones"],
)
def test_masks_that_are_none_are_refused(tmp_path: Path, values: np.ndarray, found: str) -> None:
    write_volume(tmp_path / "mask.nii.gz", values, GRID)
    with pytest.raises(DataError, match=f"mask.nii.gz: .*{found}"):
        read_mask(tmp_path / "mask.nii.gz", GRID)


@pytest.mark.parametrize(("values", "threshold"), [(PROBABILITIES, 0.5), (np.where(BRAIN, 1, -1), 0)])
def test_a_map_is_thresholded_when_asked(tmp_path: Path, values: np.ndarray, threshold: float) -> None:
    write_volume(tmp_path / "mask.nii.gz", values, GRID)
    how = cohort(tmp_path) | {"mask": tmp_path / "mask.nii.gz"}
    grid = read_volumes(**how, mask_threshold=threshold).grid
    assert grid is not None
    assert np.array_equal(grid.mask, BRAIN)
    assert grid.mask_words == "mask: 200 of 720 voxels (28 %)"
    with pytest.raises(DataError, match="choose another mask_threshold="):
        read_volumes(**how, mask_threshold=2)
    with pytest.raises(DataError, match="no meaning without a mask"):
        read_volumes(**cohort(tmp_path), mask_threshold=2)


@pytest.mark.parametrize("inside", [1, 255, 0.5])
def test_two_values_with_0_are_a_mask(tmp_path: Path, inside: float) -> None:
    write_volume(tmp_path / "mask.nii.gz", np.where(BRAIN, inside, 0), GRID)
    assert np.array_equal(read_mask(tmp_path / "mask.nii.gz", GRID), BRAIN)


def test_a_mask_without_orientation_is_refused(tmp_path: Path) -> None:
    write_volume(tmp_path / "mask.nii.gz", np.where(BRAIN, 1, 0), GRID)
    bare(tmp_path / "mask.nii.gz")
    with pytest.raises(DataError, match=r"mask.nii.gz: its header has no orientation"):
        read_mask(tmp_path / "mask.nii.gz", GRID)
    assert np.array_equal(read_mask(tmp_path / "mask.nii.gz", GRID, assume_orientation="RAS"), BRAIN)


def test_a_suffix_in_capitals_is_read(tmp_path: Path) -> None:
    how = cohort(tmp_path)
    for file in tmp_path.glob("*.nii.gz"):
        file.rename(tmp_path / f"{file.name[:2]}.NII.GZ")
    assert left_is_bright(read_volumes(**how | {"images": "{participant_id}.NII.GZ"})) == [True] * 4
