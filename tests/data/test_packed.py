import json
import pickle
import shutil

import numpy as np
import pandas as pd
import pytest
import zarr
from nibabel.nifti1 import Nifti1Header, Nifti1Image

from sepvae.data import parallel
from sepvae.data.cells import read_cells
from sepvae.data.formats import STORE, kind_of
from sepvae.data.formats.tables import PackedStore
from sepvae.data.nifti import NiftiFiles
from sepvae.data.packed import PackedVolumes, is_packed, open_packed, pack, verify
from sepvae.data.parallel import in_order
from sepvae.data.spec import DataSpec
from sepvae.errors import DataError

TABLE = """\
participant_id,dx,age,remark,remark
s1,well,30,a,ä "b"
s2,ill,n/a,,x
s3,ill,41.5,,
"""
SHAPE = (3, 4, 5)
RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def three_cores(monkeypatch):
    monkeypatch.setattr(parallel, "n_cores", lambda: 3)


@pytest.fixture
def save(tmp_path):
    """Save one volume as NIfTI; give its file."""

    def save(name, voxels=None, dtype="<f4", affine=None, slope=None):
        voxels = RNG.integers(0, 100, SHAPE) if voxels is None else voxels
        affine = np.diag([2.0, 2, 2, 1]) if affine is None else affine
        header = Nifti1Header(endianness=">" if dtype.startswith(">") else "<")
        image = Nifti1Image(voxels.astype(dtype), affine, header, dtype=dtype)
        image.header.set_slope_inter(slope or 1, 0)
        image.to_filename(tmp_path / name)
        return tmp_path / name

    return save


@pytest.fixture
def packed(tmp_path, written):
    """Pack files with a table of three rows, or one that names no more than them; give the store."""

    def packed(files, text=None, **keywords):
        text = text or "path\n" + "".join(f"{file.name}\n" for file in files)
        names = [file.name for file in files]
        pack(NiftiFiles(files), read_cells(written(text)), tmp_path / "x.zarr", files=names, **keywords)
        return tmp_path / "x.zarr"

    return packed


@pytest.fixture
def store(save, packed):
    return packed([save(f"{i}.nii.gz") for i in "123"], TABLE)


def test_voxels_and_table_are_those_of_the_files(save, packed, tmp_path):
    las = np.diag([-2.0, 2, 2, 1])
    las[0, 3] = 4  # the same places as the other, from the other side
    files = [save("1.nii.gz", dtype="i2"), save("2.nii", dtype="i2", affine=las), save("3.nii", dtype="i2")]
    store = open_packed(packed(files, TABLE))
    for i in range(3):
        np.testing.assert_array_equal(store.volumes(i), NiftiFiles(files)(i))
    headers = [store.volumes.header(i) for i in range(3)]
    assert [header.grid.axes for header in headers] == ["RAS", "LAS", "RAS"]
    assert {(header.grid.shape, header.dtype) for header in headers} == {(SHAPE, "int16")}
    np.testing.assert_array_equal(headers[1].grid.affine, NiftiFiles(files).header(1).grid.affine)
    pd.testing.assert_frame_equal(store.cells, read_cells(tmp_path / "table.csv"))


@pytest.mark.parametrize(
    ("dtypes", "wanted"),
    [
        (["u1", "u1"], "uint8"),
        ([">i2", "<i2"], "int16"),
        (["u1", "i2"], "int16"),
        (["f4", "i2"], "float32"),
        (["i2", "f8"], "float64"),
        (["i4 scaled", "i4 scaled"], "float32"),  # seen in the first, before all are read
        (["i2", "i2 scaled"], "float32"),  # seen when the second is read
        (["f8 scaled", "u1"], "float32"),
    ],
)
def test_the_type_is_kept_or_holds_all(save, packed, dtypes, wanted):
    words = [dtype.split() for dtype in dtypes]
    files = [save(f"{i}.nii", dtype=w[0], slope=0.5 if w[1:] else None) for i, w in enumerate(words)]
    volumes = open_packed(packed(files)).volumes
    assert [volumes(i).dtype for i in range(2)] == [wanted] * 2
    for i in range(2):
        np.testing.assert_array_equal(volumes(i), NiftiFiles(files)(i))


def test_each_subject_is_one_file_even_if_it_is_empty(save, packed):
    store = packed([save("0.nii", np.zeros(SHAPE)), save("1.nii", np.full(SHAPE, np.nan))])
    assert sorted(f.name for f in (store / "voxels").iterdir()) == ["c.0.0.0.0", "c.1.0.0.0", "zarr.json"]
    assert np.isnan(open_packed(store).volumes(1)).all()
    assert verify(store) == []


def test_other_programs_can_read_it(store):
    group = zarr.open_group(store, mode="r")
    assert group["voxels"].chunks == (1, *SHAPE)
    assert json.loads(group["table"][:].tobytes())["columns"][:2] == ["participant_id", "dx"]


def test_another_grid_is_refused_or_resampled(save, packed):
    files = [save("0.nii"), save("1.nii"), save("2.nii", affine=np.diag([2.0, 2, 3, 1]))]
    with pytest.raises(DataError, match=r"2\.nii: wanted .*allow resample="):
        packed(files)
    volumes = open_packed(packed(files, resample=True)).volumes
    assert volumes(2).shape == SHAPE
    np.testing.assert_array_equal(volumes(2)[:, :, 0], NiftiFiles(files)(2)[:, :, 0])


def test_nothing_is_left_of_a_store_that_failed(save, packed, tmp_path):
    files = [save(f"{i}.nii.gz", RNG.random((9, 9, 9))) for i in "012"]
    files[1].write_bytes(files[1].read_bytes()[:-900])
    with pytest.raises(DataError, match=r"1\.nii\.gz: cannot be read as a volume"):
        packed(files)
    assert {file.suffix for file in tmp_path.iterdir()} == {".gz", ".csv"}


def test_what_exists_is_left_alone(store, packed, tmp_path):
    with pytest.raises(DataError, match=r"x\.zarr: wanted a new store, but it exists"):
        packed([tmp_path / "1.nii.gz"])
    assert verify(store) == []


def test_what_is_not_written_well_is_no_store(save, packed, monkeypatch, tmp_path):
    monkeypatch.setattr("sepvae.data.packed.verify", lambda *_, **__: ["s2"])
    with pytest.raises(DataError, match=r"x\.zarr: s2 \(1 of 1\) was not read back"):
        packed([save("1.nii")])
    assert not (tmp_path / "x.zarr").exists()


def test_progress_counts_writing_and_checking(save, packed):
    seen = []
    packed([save("1.nii"), save("2.nii")], progress=lambda *now: seen.append(now))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_columns_of_the_table_tell_about_the_volumes(store):
    manifest = PackedStore().list(store, DataSpec(label="dx", attributes={"age": "continuous"}))
    assert manifest.about["id"].tolist() == ["s1", "s2", "s3"]
    assert manifest.about["label"].tolist() == ["well", "ill", "ill"]
    assert manifest.attributes["age"].fillna(-1).tolist() == [30, -1, 41.5]
    assert (manifest.kinds, manifest.grouped, manifest.label_name) == ({"age": "continuous"}, True, "dx")
    assert PackedStore().list(store, DataSpec(label="dx", id="participant_id")).grouped  # one row a person


def test_the_file_names_who_stands_there_twice(save, packed):
    store = packed([save("1.nii"), save("2.nii")], "participant_id\ns1\ns1\n")
    manifest = PackedStore().list(store, DataSpec(label=None, subject="participant_id"))
    assert manifest.about["id"].tolist() == ["1.nii", "2.nii"]
    assert manifest.about["group"].tolist() == ["s1", "s1"]


def test_a_column_that_is_not_there_is_named_with_the_store(store):
    with pytest.raises(DataError, match=r"x\.zarr: no column 'agee' for an attribute; did you mean 'age'"):
        PackedStore().list(store, DataSpec(label="dx", attributes=["agee"]))


def test_some_of_them(store):
    kept = PackedStore().list(store, DataSpec(label="dx")).keep(np.array([True, False, True])).volumes
    whole = open_packed(store).volumes
    assert (len(kept), kept.name(1)) == (2, f"{store}: 3.nii.gz")
    np.testing.assert_array_equal(kept(1), whole(2))


@pytest.mark.parametrize("damage", ["bit", "short", "gone"])
def test_damage_is_found_when_it_is_read(store, damage):
    chunk = store / "voxels/c.1.0.0.0"
    content = bytearray(chunk.read_bytes())
    content[30] ^= 4
    if damage == "gone":
        chunk.unlink()
    else:
        chunk.write_bytes(content if damage == "bit" else content[:-9])
    with pytest.raises(DataError, match=r"x\.zarr: 2\.nii\.gz: .* pack it again") as error:
        open_packed(store).volumes(1)
    assert "\n" not in str(error.value)
    assert verify(store) == ["s2"]


def test_voxels_of_someone_else_are_found_by_verify(store):
    shutil.copy(store / "voxels/c.0.0.0.0", store / "voxels/c.2.0.0.0")
    seen = []
    assert verify(store, progress=lambda *now: seen.append(now)) == ["s3"]
    assert seen == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(
    "part", ["zarr.json", "voxels/zarr.json", "table/c/0", "sha256/c/0/0", "sha256/zarr.json"]
)
def test_a_damaged_store_is_named(store, part):
    file = store / part
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(DataError, match=r"x\.zarr: is damaged .*; copy or pack it again"):
        PackedStore().list(store, DataSpec(label="dx"))


def test_parts_that_do_not_belong_together_are_damage(store):
    metadata = store / "voxels/zarr.json"
    about = json.loads(metadata.read_text())
    metadata.write_text(json.dumps(about | {"shape": [4, *SHAPE]}))
    with pytest.raises(DataError, match=r"damaged .*its parts are not of 4 volumes"):
        open_packed(store)


def test_a_store_is_told_by_what_it_holds(store, tmp_path):
    assert kind_of(store.rename(tmp_path / "cohort")) is STORE


def test_what_is_no_packed_store_is_told(store, tmp_path):
    zarr.open_group(tmp_path / "other.zarr", mode="w")
    with pytest.raises(DataError, match="none that sepvae pack wrote"):
        open_packed(tmp_path / "other.zarr")
    for path, found in [(tmp_path / "no.zarr", "nothing"), (tmp_path / "table.csv", "a file")]:
        with pytest.raises(DataError, match=f"wanted a packed store, found {found}"):
            open_packed(path)
    assert [is_packed(path) for path in (store, tmp_path / "no.zarr", tmp_path)] == [True, True, False]


def test_a_newer_version_is_not_guessed_at(store):
    zarr.open_group(store, mode="r+").attrs["version"] = 2
    with pytest.raises(
        DataError, match=r"x\.zarr: was packed by a newer sepvae \(format 2, this one reads 1\)"
    ):
        open_packed(store)


def test_only_numbers_are_packed(tmp_path, packed):
    rgb = np.zeros(SHAPE, dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    Nifti1Image(rgb, np.eye(4)).to_filename(tmp_path / "1.nii")
    with pytest.raises(DataError, match=r"1\.nii: wanted a number in each voxel"):
        packed([tmp_path / "1.nii"])


def test_forked_processes_and_copies_read_for_themselves(save, packed):
    file = save("1.nii")
    many = open_packed(packed([file] * 100)).volumes
    wanted = many(0)  # zarr has a thread from here on
    for volumes in (many, pickle.loads(pickle.dumps(many))):  # noqa: S301
        assert isinstance(volumes, PackedVolumes)
        assert all(np.array_equal(voxels, wanted) for voxels in in_order(volumes, 100))
