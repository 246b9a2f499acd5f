"""Tables of surfaces: both hemispheres by a wildcard, the mask of vertices, and one line for mistakes."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from sepvae.data import load, read_surfaces
from sepvae.data.formats.surfaces import SurfaceTable
from sepvae.data.loading import find_format, list_data
from sepvae.data.spec import DataSpec
from sepvae.data.surfaces import write_surface
from sepvae.errors import DataError
from sepvae.mesh import Mesh

N, IMAGES = 10242, "{participant_id}/surf/?h.thickness.gii"


def cohort(folder: Path, n_people: int = 4, images: str = IMAGES, visits: int = 1) -> tuple[Path, np.ndarray]:
    """Write people with random thickness; the first 5 vertices of each hemisphere are 0 in everyone."""
    people = [f"sub-{i}" for i in range(n_people)]
    pd.DataFrame({"participant_id": people, "dx": ["hc", "sz"] * (n_people // 2)}).to_csv(
        folder / "people.tsv", sep="\t", index=False
    )
    values = np.random.default_rng(0).uniform(1, 4, (n_people * visits, 2, N)).astype(np.float32)
    values[..., :5] = 0
    for i, one in enumerate(values):
        person, visit = people[i // visits], f"ses-{i % visits + 1}"
        write_surface(files_of(folder, images, person, visit), one)
    return folder / "people.tsv", values


def files_of(folder: Path, images: str, person: str, visit: str = "") -> tuple[Path, Path]:
    named = images.format(participant_id=person, session_id=visit)
    left, right = (
        folder / named.replace("?h.", f"{side}h.").replace("hemi-?", f"hemi-{side.upper()}") for side in "lr"
    )
    left.parent.mkdir(parents=True, exist_ok=True)
    return left, right


def test_hemispheres_are_joined_without_the_medial_wall(tmp_path: Path) -> None:
    path, values = cohort(tmp_path)
    source = read_surfaces(path, images=IMAGES, label="dx")
    assert source.sample_shape == (2 * (N - 5),)
    assert source.feature_names is not None
    assert source.feature_names[0] == "fsaverage5_lh_5"
    assert source.feature_names[-1] == "fsaverage5_rh_10241"
    assert source.ids.tolist() == [f"sub-{i}" for i in range(4)]
    x = source.take(np.arange(4)).x
    np.testing.assert_array_equal(x, values[..., 5:].reshape(4, -1))


def test_names_of_bids_and_visits(tmp_path: Path) -> None:
    images = "{participant_id}/{session_id}/{participant_id}_hemi-?_thickness.shape.gii"
    path, values = cohort(tmp_path, images=images, visits=2)
    source = load(path, images=images, label="dx")
    assert source.ids.tolist()[:3] == ["sub-0_ses-1", "sub-0_ses-2", "sub-1_ses-1"]
    assert source.groups.tolist()[:3] == ["sub-0", "sub-0", "sub-1"]
    np.testing.assert_array_equal(source.take(np.array([3])).x[0], values[3, :, 5:].ravel())


def test_gaps_of_some_are_missing_values_and_of_all_left_out(tmp_path: Path) -> None:
    path, values = cohort(tmp_path)
    values[:, 0, 9], values[0, 1, 8] = np.nan, np.nan
    for i, one in enumerate(values):
        write_surface(files_of(tmp_path, IMAGES, f"sub-{i}"), one)
    source = read_surfaces(path, images=IMAGES, label="dx")
    names = source.feature_names or []
    assert "fsaverage5_lh_9" not in names
    gaps = np.argwhere(np.isnan(source.take(np.arange(4)).x)).tolist()
    assert gaps == [[0, list(names).index("fsaverage5_rh_8")]]


@pytest.mark.parametrize(
    "images", [IMAGES, "surf/?h.thickness", "?h.area.fsaverage5.mgz", "x/{a}_hemi-?.gii"]
)
def test_surfaces_are_detected(tmp_path: Path, images: str) -> None:
    path, _ = cohort(tmp_path, 2)
    assert isinstance(find_format(path, DataSpec(images=images)), SurfaceTable)
    others = "{participant_id}.mgz", "{participant_id}_hemi-L_mask.nii.gz", "{participant_id}.png"
    assert not any(isinstance(find_format(path, DataSpec(images=other)), SurfaceTable) for other in others)


def test_new_data_are_read_at_the_vertices_of_a_model(tmp_path: Path) -> None:
    path, _ = cohort(tmp_path)
    valid = np.zeros((2, N), dtype=bool)
    valid[:, 3:7] = True
    spec = DataSpec(images=IMAGES, label="dx")
    manifest = list_data(path, spec)
    object.__setattr__(manifest, "mesh", Mesh.of_vertices(valid))
    assert SurfaceTable().read(manifest, spec)[0].sample_shape == (8,)


def test_mistakes_give_one_line(tmp_path: Path) -> None:
    path, values = cohort(tmp_path)
    files_of(tmp_path, IMAGES, "sub-2")[1].unlink()
    with pytest.raises(DataError, match=r"sub-2/surf/rh.thickness.gii is named there, but not to be found"):
        read_surfaces(path, images=IMAGES, label="dx")
    write_surface(files_of(tmp_path, IMAGES, "sub-2"), finer(values))
    with pytest.raises(DataError, match=r"sub-2/surf/lh.* the other data, fsaverage5 .*, got fsaverage6"):
        read_surfaces(path, images=IMAGES, label="dx")
    with pytest.raises(DataError, match="images: wanted a template of both hemispheres"):
        read_surfaces(path, images="{participant_id}/surf/lh.thickness.gii", label="dx")
    with pytest.raises(DataError, match="a table of surfaces, for which image_size= has no meaning"):
        load(path, images=IMAGES, label="dx", image_size=64)


def finer(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return np.repeat(values[0], 4, axis=1)[:, :40962]


def test_check_names_the_files_that_cannot_be_read(tmp_path: Path) -> None:
    path, values = cohort(tmp_path)
    write_surface(files_of(tmp_path, IMAGES, "sub-2"), finer(values))
    files_of(tmp_path, IMAGES, "sub-1")[0].write_bytes(b"none")
    manifest = list_data(path, DataSpec(images=IMAGES, label="dx"))
    metrics, bad = manifest.format.measure(manifest)
    assert metrics["digest"].notna().tolist() == [True, False, False, True]
    assert "cannot be read as a surface" in bad["sub-1"]
    assert "got fsaverage6" in bad["sub-2"]
