import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image

from sepvae.cli.preparing import pack_table
from sepvae.data.formats.tables import PackedStore
from sepvae.data.spec import DataSpec
from sepvae.errors import DataError


@pytest.fixture
def table(tmp_path):
    """A table of two people with a volume each; a third volume has no row."""
    for i in range(3):
        Nifti1Image(np.full((3, 4, 5), i, dtype=np.int16), np.eye(4)).to_filename(
            tmp_path / f"s{i}_GM.nii.gz"
        )
    (tmp_path / "people.tsv").write_text("participant_id\tdx\ns0\twell\ns1\till\n")
    return tmp_path / "people.tsv"


def test_volumes_of_a_template_are_packed(table, tmp_path):
    look = {"images": "{participant_id}_GM.nii.gz", "root": None, "resample": False}
    lines = pack_table(table, tmp_path / "x.zarr", **look)
    assert "2 volumes of 3 x 4 x 5 voxels of 1 x 1 x 1 mm, int16, all read back" in lines[0]
    assert lines[1:] == ["note: 1 volumes have no row, such as s2_GM.nii.gz; left out"]
    assert PackedStore().list(tmp_path / "x.zarr", DataSpec(label="dx")).about["id"].tolist() == ["s0", "s1"]


def test_a_volume_that_is_not_there_is_named(table, tmp_path):
    table.write_text(table.read_text().replace("s1", "s7"))
    with pytest.raises(DataError, match=r"s7_GM\.nii\.gz is named there, but not to be found"):
        pack_table(table, tmp_path / "x.zarr", images="{participant_id}_GM.nii.gz", root=None, resample=False)
    assert not (tmp_path / "x.zarr").exists()


def test_someone_may_have_several_scans_told_apart_by_their_files(table, tmp_path):
    table.write_text("participant_id\tfile\tdx\ns0\ts0_GM.nii.gz\twell\ns0\ts2_GM.nii.gz\twell\n")
    pack_table(table, tmp_path / "x.zarr", images="file", root=None, resample=False)
    manifest = PackedStore().list(tmp_path / "x.zarr", DataSpec(label="dx", subject="participant_id"))
    assert manifest.about["id"].tolist() == ["s0_GM.nii.gz", "s2_GM.nii.gz"]
    assert manifest.about["group"].tolist() == ["s0", "s0"]
