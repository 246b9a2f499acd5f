"""Files of one hemisphere: formats give the same values, and what is no surface gives one line."""

import gzip
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt
import pytest

from sepvae.data.surfaces import Surface, read_hemisphere, read_surface, write_surface
from sepvae.errors import DataError

tools: Any = nibabel
N = 10242


def thickness(seed: int = 0, n: int = N) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).uniform(1, 4, n).astype(np.float32)


def save_mgh(file: Path, values: npt.NDArray[np.float32]) -> Path:
    tools.freesurfer.MGHImage(values, np.eye(4)).to_filename(file)
    return file


def save_gifti(file: Path, *arrays: npt.NDArray[np.float32]) -> Path:
    maps = [tools.gifti.GiftiDataArray(array, datatype="NIFTI_TYPE_FLOAT32") for array in arrays]
    tools.save(tools.gifti.GiftiImage(darrays=maps), file)
    return file


def test_all_formats_give_the_same_values(tmp_path: Path) -> None:
    values = thickness()
    tools.freesurfer.write_morph_data(tmp_path / "lh.thickness", values)
    files = [tmp_path / "lh.thickness", save_gifti(tmp_path / "lh.shape.gii", values)]
    files += [save_mgh(tmp_path / name, values.reshape(-1, 1, 1)) for name in ("lh.mgh", "lh.t.mgz")]
    files.append(save_mgh(tmp_path / "row.mgh", values.reshape(1, 1, -1)))
    for file in files:
        np.testing.assert_array_equal(read_hemisphere(file), values)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    both, files = np.stack([thickness(0), thickness(1)]), (tmp_path / "a.gii", tmp_path / "b.gii")
    write_surface(files, both)
    np.testing.assert_array_equal(read_surface(Surface(*files)), both)
    sides = [tools.load(file).meta["AnatomicalStructurePrimary"] for file in files]
    assert sides == ["CortexLeft", "CortexRight"]


def test_what_is_no_hemisphere_is_refused(tmp_path: Path) -> None:
    volume = save_mgh(tmp_path / "brain.mgh", np.zeros((9, 9, 9), np.float32))
    own = save_mgh(tmp_path / "own.mgh", thickness(n=1432).reshape(-1, 1, 1))
    series = save_gifti(tmp_path / "lh.func.gii", thickness(0), thickness(1))
    broken, large = tmp_path / "lh.gii", tmp_path / "large.mgh"
    broken.write_bytes(b"no thickness")
    large.write_bytes(bytes(2**23 + 1))
    said = {
        volume: r"brain.mgh: .* got a volume or several maps \(9 x 9 x 9\)",
        own: r"own.mgh: .* \(fsaverage5 10242, .* got 1432, perhaps .* mri_surf2surf",
        series: "lh.func.gii: wanted one map, got 2",
        broken: "lh.gii: cannot be read as a surface",
        large: "large.mgh: .* 8 MiB at most",
    }
    for file, message in said.items():
        with pytest.raises(DataError, match=message):
            read_hemisphere(file)


@pytest.mark.parametrize(
    ("value", "message"),
    [(np.nan, r"has no number \(all are NaN\)"), (2, "rh.gii: has one value, 2,"), (np.inf, "infinite")],
)
def test_surfaces_without_values_are_refused(tmp_path: Path, value: float, message: str) -> None:
    files = tmp_path / "lh.gii", tmp_path / "rh.gii"
    write_surface(files, np.stack([thickness(), np.full(N, value, np.float32)]))
    with pytest.raises(DataError, match=message):
        read_surface(Surface(*files))


def test_hemispheres_of_different_meshes_are_refused(tmp_path: Path) -> None:
    files = [save_gifti(tmp_path / f"{n}.gii", thickness(n=n)) for n in (N, 40962)]
    with pytest.raises(DataError, match=r"40962.gii: has 40962 vertices, its left hemisphere 10242"):
        read_surface(Surface(*files))


def test_a_compressed_file_is_not_unpacked_beyond_the_largest_mesh(tmp_path: Path) -> None:
    file = tmp_path / "lh.thickness.mgz"
    file.write_bytes(gzip.compress(bytes(2**27)))
    with pytest.raises(DataError, match="cannot be read as a surface"):
        read_hemisphere(file)
