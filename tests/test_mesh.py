"""Names of vertices carry mesh and mask through tables and model files."""

import numpy as np
import pytest

from sepvae.mesh import MESHES, Mesh


def test_features_and_mesh_are_inverse() -> None:
    valid = np.random.default_rng(0).random((2, MESHES["fsaverage6"])) > 0.1
    mesh = Mesh.of_features(Mesh("fsaverage6", valid).features)
    assert mesh is not None
    assert mesh.name == "fsaverage6"
    np.testing.assert_array_equal(mesh.valid, valid)


@pytest.mark.parametrize(
    "names",
    [
        None,
        [],
        ["age"],
        ["fsaverage5_lh_1", "age"],
        ["fsaverage5_lh_2", "fsaverage5_lh_1"],  # out of order
        ["fsaverage5_lh_1", "fsaverage6_lh_2"],
        ["fsaverage5_lh_10242"],  # beyond the last one
        ["fsaverage4_lh_1"],
    ],
)
def test_other_features_are_no_mesh(names: list[str] | None) -> None:
    assert Mesh.of_features(names) is None


def test_values_return_to_their_vertices() -> None:
    valid = np.zeros((2, MESHES["fsaverage5"]), dtype=bool)
    valid[0, 3] = valid[1, 7] = True
    whole = Mesh.of_vertices(valid).back(np.array([[1.0, 2.0]]))
    assert whole.shape == (1, 2, 10242)
    assert (whole[0, 0, 3], whole[0, 1, 7], whole.sum()) == (1, 2, 3)


def test_counts_are_said() -> None:
    valid = np.ones((2, MESHES["fsaverage5"]), dtype=bool)
    assert Mesh.of_vertices(valid).words == "surfaces: 10242 + 10242 of 2 x 10242 vertices (fsaverage5)"
    valid[1, :5] = False
    assert "10242 + 10237 of" in Mesh.of_vertices(valid).words
    assert Mesh.of_vertices(valid).words.endswith("; 5 are 0 or missing in everyone (medial wall): left out")
