"""NIfTI files: read in any orientation, written back, and refused in one line where they are of no use."""

import gzip
import itertools
from pathlib import Path

import numpy as np
import pytest
from nibabel.affines import apply_affine
from nibabel.analyze import AnalyzeImage
from nibabel.freesurfer.mghformat import MGHImage
from nibabel.nifti1 import Nifti1Header, Nifti1Image, Nifti1Pair
from nibabel.nifti2 import Nifti2Header, Nifti2Image

from sepvae.data.nifti import NiftiFiles, turned, write_volume
from sepvae.errors import DataError
from sepvae.grid import Grid

AFFINE = np.array([[2.0, 0, 0, -10], [0, 2.5, 0, -12], [0, 0, 3, 5], [0, 0, 0, 1]])
OBLIQUE = AFFINE @ np.array([[0.96, -0.28, 0, 0], [0.28, 0.96, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
ORIENTATIONS = [
    "".join(flips[i] for flips, i in zip(pairs, which, strict=True))
    for pairs in itertools.permutations(("RL", "AP", "SI"))
    for which in itertools.product((0, 1), repeat=3)
]
VOXELS = np.random.default_rng(0).normal(size=(4, 5, 6)).astype(np.float32)


def save(path: Path, voxels: np.ndarray = VOXELS, affine: np.ndarray = AFFINE, **header: object) -> Path:
    """Write a file, then numbers straight into its header, whatever they mean."""
    Nifti1Image(voxels, affine).to_filename(path)
    if header:
        raw = bytearray(path.read_bytes())
        fields = np.frombuffer(raw[:348], dtype=Nifti1Header.template_dtype).copy()
        for name, value in header.items():
            fields[name] = value
        raw[:348] = fields.tobytes()
        path.write_bytes(bytes(raw))
    return path


def reasons(path: Path) -> set[str]:
    """What is said of a file when its header, and when its voxels are read: a line that names it."""
    files, said = NiftiFiles([path]), set()
    for read in (files.header, files):
        with pytest.raises(DataError) as caught:
            read(0)
        said.add(str(caught.value))
    assert all(line.startswith(f"{path}: ") and "\n" not in line for line in said)
    return said


@pytest.mark.parametrize("axes", ORIENTATIONS)
@pytest.mark.parametrize("affine", [AFFINE, OBLIQUE], ids=["straight", "oblique"])
def test_any_orientation_comes_to_the_same_voxels_and_goes_back(
    tmp_path: Path, axes: str, affine: np.ndarray
) -> None:
    grid = Grid((4, 5, 6), affine)
    write_volume(tmp_path / "a.nii.gz", VOXELS, grid, axes)
    files = NiftiFiles([tmp_path / "a.nii.gz"])
    header = files.header(0)
    assert np.array_equal(files(0), VOXELS)
    assert header.grid.axes == axes
    assert header.grid.same_place(grid)
    np.testing.assert_allclose(header.grid.affine, affine, atol=1e-5)


def test_all_orientations_are_looped_over() -> None:
    assert len(set(ORIENTATIONS)) == 48


@pytest.mark.parametrize("axes", ["LPI", "SAR", "AIL"])
def test_a_voxel_of_the_file_stays_at_its_millimetres(tmp_path: Path, axes: str) -> None:
    write_volume(tmp_path / "a.nii.gz", VOXELS, Grid((4, 5, 6), OBLIQUE), axes)
    image = Nifti1Image.from_filename(tmp_path / "a.nii.gz")
    i, j, k = np.argwhere(np.asarray(image.dataobj) == VOXELS[3, 1, 4])[0]
    np.testing.assert_allclose(
        apply_affine(image.affine, (i, j, k)), apply_affine(OBLIQUE, (3, 1, 4)), atol=1e-4
    )
    assert image.get_data_dtype() == np.float32


def test_turning_there_and_back() -> None:
    assert np.array_equal(turned(turned(VOXELS, "RAS", "IPL"), "IPL", "RAS"), VOXELS)
    assert np.array_equal(turned(VOXELS, "RAS", "LAS"), VOXELS[::-1])


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "float32", "float64"])
def test_types_stay(tmp_path: Path, dtype: str) -> None:
    voxels = (VOXELS * 40 + 120).astype(dtype)
    files = NiftiFiles([save(tmp_path / "a.nii.gz", voxels)])
    assert files.header(0).dtype == files(0).dtype == dtype
    assert np.array_equal(files(0), voxels)


def test_scaled_values_are_float32(tmp_path: Path) -> None:
    voxels = np.arange(120, dtype=np.int16).reshape(4, 5, 6)
    files = NiftiFiles([save(tmp_path / "a.nii", voxels, scl_slope=0.5, scl_inter=-3)])
    assert files(0).dtype == np.float32
    np.testing.assert_allclose(files(0), voxels * 0.5 - 3)


def test_other_byte_orders_are_read(tmp_path: Path) -> None:
    Nifti1Image(VOXELS, AFFINE, Nifti1Header(endianness=">")).to_filename(tmp_path / "a.nii")
    files = NiftiFiles([tmp_path / "a.nii"])
    assert files.header(0).dtype == "float32"
    assert np.array_equal(files(0), VOXELS)


def test_a_fourth_axis_of_one_volume_is_dropped(tmp_path: Path) -> None:
    files = NiftiFiles([save(tmp_path / "a.nii.gz", VOXELS[..., None])])
    assert files.header(0).grid.shape == (4, 5, 6)
    assert np.array_equal(files(0), VOXELS)
    five = NiftiFiles([save(tmp_path / "b.nii.gz", VOXELS[..., None, None])])
    assert np.array_equal(five(0), VOXELS)


@pytest.mark.parametrize(
    ("voxels", "shape"),
    [(np.stack([VOXELS, VOXELS], axis=-1), "4 x 5 x 6 x 2"), (VOXELS[0], "5 x 6"), (VOXELS[0, 0], "6")],
    ids=["several volumes", "an image", "a line"],
)
def test_other_shapes_are_refused(tmp_path: Path, voxels: np.ndarray, shape: str) -> None:
    (said,) = reasons(save(tmp_path / "a.nii.gz", voxels))
    assert f"wanted one volume of three axes, got shape {shape};" in said


@pytest.mark.parametrize("codes", [(0, 0), (0, 1), (2, 0)], ids=["no place", "qform", "sform"])
@pytest.mark.parametrize("edge", [0, np.nan, np.inf])
def test_voxels_without_a_size_are_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], edge: float, codes: tuple[int, int]
) -> None:
    pixdim = np.float32([[1, edge, 2, 2, 1, 1, 1, 1]])
    path = save(tmp_path / "a.nii", pixdim=pixdim, sform_code=codes[0], qform_code=codes[1])
    (said,) = reasons(path)
    assert f"wanted voxels with three edges above 0 mm, got {edge:g} x 2" in said
    assert capfd.readouterr() == ("", "")  # nibabel would print, and make 1 mm of it


@pytest.mark.parametrize("row", [0, np.nan])
def test_affines_without_a_size_are_refused(tmp_path: Path, row: float) -> None:
    (said,) = reasons(save(tmp_path / "a.nii", srow_x=np.full((1, 4), row)))
    assert "wanted voxels with three edges above 0 mm" in said


def test_axes_in_one_plane_are_refused(tmp_path: Path) -> None:
    (said,) = reasons(save(tmp_path / "a.nii", srow_x=[[2, 2, 0, 0]], srow_y=[[1, 1, 0, 0]]))
    assert "its three axes lie in one plane" in said


def test_a_negative_edge_is_a_length(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    files = NiftiFiles([save(tmp_path / "a.nii", pixdim=np.float32([[1, -2, 2.5, 3, 1, 1, 1, 1]]))])
    assert files.header(0).grid.voxel_size.tolist() == [2, 2.5, 3]
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_truncated_file_is_refused(tmp_path: Path, suffix: str) -> None:
    path = save(tmp_path / f"a{suffix}")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(
        DataError, match=r"cannot be read as a volume .*; copy or download it again"
    ) as caught:
        NiftiFiles([path])(0)
    assert str(caught.value).startswith(f"{path}: ")


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii.gz")
    content = bytearray(path.read_bytes())
    content[-30] ^= 1  # voxels come out, other ones
    path.write_bytes(bytes(content))
    with pytest.raises(DataError, match="cannot be read as a volume"):
        NiftiFiles([path])(0)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.nii", b"participant_id\tage\n" * 50),
        ("a.nii.gz", b"participant_id\tage\n" * 50),
        ("a.nii", b""),
        ("a.nii.gz", b""),
        ("a.nii", bytes(400)),
    ],
)
def test_what_is_no_volume_is_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    (said,) = reasons(tmp_path / name)
    assert said.endswith("download it again")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("endianness", "<>")
def test_nifti_2_is_read(tmp_path: Path, endianness: str) -> None:
    Nifti2Image(VOXELS, AFFINE, Nifti2Header(endianness=endianness)).to_filename(tmp_path / "a.nii.gz")
    files = NiftiFiles([tmp_path / "a.nii.gz"])
    save(tmp_path / "b.nii.gz")
    assert files.header(0).grid.same_place(NiftiFiles([tmp_path / "b.nii.gz"]).header(0).grid)
    assert np.array_equal(files(0), NiftiFiles([tmp_path / "b.nii.gz"])(0))


@pytest.mark.parametrize("name", ["A.NII", "A.NII.GZ", "a.Nii.gz", "A.MGZ"])
def test_suffixes_in_any_case(tmp_path: Path, name: str) -> None:
    of = MGHImage if ".mg" in name.lower() else Nifti1Image
    of(VOXELS.astype(np.float32), AFFINE).to_filename(tmp_path / name.lower())
    (tmp_path / name.lower()).rename(tmp_path / name)
    np.testing.assert_array_equal(NiftiFiles([tmp_path / name])(0), VOXELS.astype(np.float32))


@pytest.mark.parametrize(
    ("now", "name", "message"),
    [
        ("a.nii", "b.nii.gz", "is called .gz, but not compressed by gzip; compress it, or copy"),
        ("a.mgh", "b.MGZ", "is called .mgz, but not compressed by gzip; compress it, or copy"),
        ("a.nii.gz", "b.nii", "is compressed by gzip, but not called so; call it .nii.gz, or copy"),
    ],
)
def test_names_that_are_wrong_about_gzip(tmp_path: Path, now: str, name: str, message: str) -> None:
    of = MGHImage if ".mg" in now else Nifti1Image
    of(VOXELS.astype(np.float32), AFFINE).to_filename(tmp_path / now)
    (tmp_path / now).rename(tmp_path / name)
    (said,) = reasons(tmp_path / name)
    assert said.startswith(f"{tmp_path / name}: {message}")


def test_other_formats_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"PNG")
    (said,) = reasons(tmp_path / "a.png")
    assert "is no NIfTI volume" in said
    (tmp_path / "a.nii").mkdir()
    assert "IsADirectoryError" in reasons(tmp_path / "a.nii").pop()
    assert "FileNotFoundError" in reasons(tmp_path / "none.nii").pop()


@pytest.mark.parametrize(
    ("dtype", "found"), [("complex64", "complex64"), ([("R", "u1"), ("G", "u1"), ("B", "u1")], "colours")]
)
def test_voxels_that_are_no_numbers_are_refused(tmp_path: Path, dtype: object, found: str) -> None:
    (said,) = reasons(save(tmp_path / "a.nii.gz", np.zeros((4, 5, 6), dtype=dtype)))
    assert f"wanted a number in each voxel, got {found}" in said


def test_some_are_selected_in_order() -> None:
    files = NiftiFiles([Path("a.nii"), Path("b.nii"), Path("c.nii")]).select(np.array([2, 0]))
    assert [files.name(i) for i in range(len(files))] == ["c.nii", "a.nii"]


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grid = Grid((4, 5, 6), AFFINE)
    write_volume(tmp_path / "a.nii.gz", VOXELS, grid)
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        write_volume(tmp_path / "a.nii.gz", VOXELS * 2, grid)
    assert [file.name for file in tmp_path.iterdir()] == ["a.nii.gz"]
    assert np.array_equal(NiftiFiles([tmp_path / "a.nii.gz"])(0), VOXELS)


@pytest.mark.parametrize("name", ["a.mgz", "a.img", "a.hdr"])
def test_freesurfer_and_pairs_are_read(tmp_path: Path, name: str) -> None:
    of = MGHImage if name.startswith("a.mg") else Nifti1Pair
    of(VOXELS.astype(np.float32), AFFINE).to_filename(tmp_path / name)
    files, nifti = NiftiFiles([tmp_path / name]), NiftiFiles([save(tmp_path / "b.nii.gz")])
    assert files.header(0).grid.same_place(nifti.header(0).grid)
    assert files.header(0).orientation == "known"
    np.testing.assert_allclose(files(0), nifti(0))


def test_files_without_an_orientation_of_other_formats(tmp_path: Path) -> None:
    AnalyzeImage(VOXELS.astype(np.float32), np.diag([-2.0, 2, 2, 1])).to_filename(tmp_path / "a.img")
    image = MGHImage(VOXELS.astype(np.float32), AFFINE)
    raw = bytearray(image.to_bytes())
    raw[28:30] = bytes(2)
    (tmp_path / "b.mgz").write_bytes(gzip.compress(bytes(raw)))
    for name in ("a.img", "b.mgz"):
        assert NiftiFiles([tmp_path / name]).header(0).orientation == "none"
        files = NiftiFiles([tmp_path / name], "RAS")
        assert files.header(0).orientation == "assumed"
        np.testing.assert_array_equal(files(0), VOXELS.astype(np.float32))
