"""Atlases: label images and the names of their regions, as users and nilearn have them."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from sepvae.data.atlas import KNOWN, read_atlas, read_region_names
from sepvae.errors import DataError
from sepvae.grid import Grid

LUT = """\
# No. Label Name:                R   G   B   A
0   Unknown                      0   0   0   0
17  Left-Hippocampus             220 216 20  0
1002 ctx-lh-caudalanterior       125 100 160 0
"""
TABLES = {
    "FreeSurferColorLUT.txt": LUT,
    "aal.txt": "0 Unknown\n17\tLeft-Hippocampus 4101\n1002 ctx-lh-caudalanterior 4001\n",
    "atlas_dseg.tsv": "index\tname\tcolor\n0\tUnknown\t#000\n17\tLeft-Hippocampus\t#111\n"
    "1002\tctx-lh-caudalanterior\tn/a\n",
    "of_r.csv": "name,ID\nUnknown,0.0\nLeft-Hippocampus,17.0\nctx-lh-caudalanterior,1002.0\n",
    "label_is_name.csv": "id,label\n0,Unknown\n17,Left-Hippocampus\n1002,ctx-lh-caudalanterior\n",
    "label_is_number.csv": 'label;structure\n0;Unknown\n17;"Left-Hippocampus"\n1002;ctx-lh-caudalanterior\n',
}


def image(values: np.ndarray, file: Path, edge: float = 2.0) -> Path:
    affine = np.diag([edge, edge, edge, 1.0])
    nib.save(nib.Nifti1Image(values, affine), file)
    return file


@pytest.fixture
def numbers() -> np.ndarray:
    values = np.zeros((6, 6, 6), dtype=np.int16)
    values[:3], values[3:, 3:] = 17, 1002
    return values


@pytest.mark.parametrize("name", TABLES)
def test_names_are_read_from_any_table_that_is_common(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(TABLES[name])
    names = read_region_names(tmp_path / name)
    assert names == {0: "Unknown", 17: "Left-Hippocampus", 1002: "ctx-lh-caudalanterior"}


def test_names_that_occur_twice_get_their_number(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,label,hemisphere\n1,bankssts,L\n2,insula,L\n35,bankssts,R\n")
    assert read_region_names(tmp_path / "a.csv") == {1: "bankssts (1)", 2: "insula", 35: "bankssts (35)"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a,b\n1,x\n", "wanted columns index .* got columns a, b"),
        ("index,name\nx,1\n", "got columns index, name"),
        ("index,name\n1,\n", "got columns index, name"),
        ("index,name\n1,x\n1,y\n", "1 stands 2 times"),
        ("", "is empty"),
        ("\0\0\0", "is no text"),
    ],
)
def test_other_tables_are_refused_in_one_line(content: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(DataError, match=said):
        read_region_names(tmp_path / "a.csv")
    with pytest.raises(DataError, match="found nothing"):
        read_region_names(tmp_path / "b.csv")


def test_a_voxel_of_another_grid_gets_the_number_that_is_nearest(numbers: np.ndarray, tmp_path: Path) -> None:
    atlas = read_atlas(image(numbers, tmp_path / "a.nii.gz"))
    assert np.array_equal(atlas.on(atlas.grid), numbers)
    fine = Grid((14, 12, 12), np.diag([1.0, 1.0, 1.0, 1.0]))
    at = np.round(np.indices(fine.shape) / 2 + 1e-9).astype(int)
    inside = (at < 6).all(axis=0)
    wanted = np.where(inside, numbers[tuple(np.minimum(at, 5))], 0)
    differ = atlas.on(fine) != wanted
    between = (np.indices(fine.shape) % 2 == 1).any(axis=0)  # as near to two voxels
    assert not differ[~between].any()


def test_an_image_turned_otherwise_lies_at_the_same_place(numbers: np.ndarray, tmp_path: Path) -> None:
    one = read_atlas(image(numbers, tmp_path / "a.nii.gz"))
    turned = nib.Nifti1Image(numbers, np.diag([2.0, 2.0, 2.0, 1.0])).as_reoriented(
        np.array([[1, -1], [0, 1], [2, -1]])
    )
    nib.save(turned, tmp_path / "b.nii.gz")
    assert np.array_equal(read_atlas(tmp_path / "b.nii.gz").on(one.grid), numbers)


def test_what_is_no_atlas_is_refused(numbers: np.ndarray, tmp_path: Path) -> None:
    share = image(numbers / np.float32(3000), tmp_path / "p.nii.gz")
    with pytest.raises(DataError, match=r"got 0\.00567 in one of its voxels; give a label image"):
        read_atlas(share)
    gaps = image(np.where(numbers == 0, np.nan, numbers).astype(np.float32), tmp_path / "n.nii.gz")
    with pytest.raises(DataError, match="got nan in one"):
        read_atlas(gaps)
    with pytest.raises(DataError, match="wanted one volume of three axes"):
        read_atlas(image(np.zeros((4, 4, 4, 3), np.int16), tmp_path / "4d.nii.gz"))
    with pytest.raises(DataError, match="did you mean schaefer-100"):
        read_atlas("schaefer100")
    with pytest.raises(DataError, match="cannot be read as a volume"):
        read_atlas(tmp_path / "none.nii.gz")


@pytest.fixture
def nilearn_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder in which nilearn looks for data."""
    monkeypatch.setattr("nilearn.datasets.get_data_dirs", lambda: [str(tmp_path)])
    monkeypatch.setenv("NILEARN_DATA", str(tmp_path))
    monkeypatch.delenv("NILEARN_SHARED_DATA", raising=False)
    return tmp_path


def test_an_atlas_in_the_folder_of_nilearn_needs_no_network(nilearn_folder: Path) -> None:
    file = nilearn_folder / KNOWN["schaefer-100"].file
    file.parent.mkdir()
    values = np.arange(4**3, dtype=np.int16).reshape(4, 4, 4)
    image(values, file)
    rows = [f"{i}\t7Networks_LH_Vis_{i}\t0\t0\t0\t0\n" for i in range(1, 64)]
    (file.parent / "Schaefer2018_100Parcels_7Networks_order.txt").write_text("".join(rows))
    atlas = read_atlas("schaefer-100")
    assert np.array_equal(atlas.numbers, values)
    assert atlas.names[7] == "7Networks_LH_Vis_7"
    assert atlas.name == "schaefer-100"


@pytest.mark.parametrize("name", KNOWN)
def test_nothing_is_downloaded_unless_asked_for(
    name: str, nilearn_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def offline(**keywords: object) -> None:
        asked.append(keywords)
        raise OSError("no network")

    fetcher = f"nilearn.datasets.fetch_atlas_{KNOWN[name].fetcher}"
    monkeypatch.setattr(fetcher, offline)  # raises if nilearn has no such function
    with pytest.raises(
        DataError, match=f"is not in nilearn's folder .*{nilearn_folder.name}.*give download= to fetch it"
    ):
        read_atlas(name)
    assert asked == []
    with pytest.raises(DataError, match=r"could not be fetched \(OSError: no network\)"):
        read_atlas(name, download=True)
    assert asked == [dict(KNOWN[name].keywords) | {"verbose": 1}]
