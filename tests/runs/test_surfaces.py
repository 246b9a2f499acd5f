"""Runs of surfaces: model file, new data, maps as GIFTI, tests, export, and what has no meaning for them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sepvae import ContrastivePCA, SepVAE, load
from sepvae import fit_folder as fit
from sepvae.data import read_surfaces, simulate_surface_cohort
from sepvae.data.surfaces import Surface, read_hemisphere, read_surface, write_surface
from sepvae.errors import DataError
from sepvae.interpretation.maps import SalientMaps
from sepvae.interpretation.regions import region_effects
from sepvae.mesh import Mesh
from sepvae.run_folder import EFFECT, RunFolder
from sepvae.runs.bids import export_bids
from sepvae.runs.map_inference import infer_maps
from sepvae.runs.new_data import read_again, read_new_data

from ..helpers import quick, without_figures

IMAGES = "{participant_id}/surf/?h.thickness.fwhm10.fsaverage5.mgh"
pytestmark = pytest.mark.slow
SAY = {"say": lambda _: None}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulate_surface_cohort(tmp_path_factory.mktemp("made") / "cohort", n_subjects=30)


@pytest.fixture(scope="module")
def run(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    model = ContrastivePCA(common_dim=3, salient_dim=2, background="control", residualise=["age"])
    how = {"images": IMAGES, "label": "group", "attributes": {"age": "continuous", "sex": "categorical"}}
    with without_figures():
        fit(cohort, out, model, scoring={"n_permutations": 2, "removal": False}, **SAY, **how)
    return out


def test_maps_of_people_and_groups_are_gifti(run: Path, cohort: Path) -> None:
    maps, test = RunFolder(run).maps, read_again(run, cohort, lambda _: None).test
    found, model = maps.samples.required(), load(run)
    added = SalientMaps(model, test).decode(np.array([0])).added[0]
    mesh = Mesh.of_features(model.feature_names_in_)
    assert mesh is not None
    name = found["file"].iloc[0]
    assert name == f"{test.ids[0]}_hemi-L_desc-salient_map.shape.gii"
    files = Surface(maps.path / name, maps.path / name.replace("hemi-L", "hemi-R"))
    np.testing.assert_allclose(read_surface(files), mesh.back(added), rtol=1e-4, atol=1e-6)
    for statistic in (EFFECT, "label-control_desc-salient_stat-mean_map", "desc-salient1_map"):
        both = np.stack([read_hemisphere(file) for file in maps.surface(statistic)])
        assert (both[~mesh.valid] == 0).all()
        assert both.any()


def test_new_data_have_the_vertices_of_the_model(run: Path, cohort: Path, tmp_path: Path) -> None:
    new = read_new_data(run, cohort, say=lambda _: None)
    codes, model = load(run).encode(new), load(run)
    assert np.isfinite(codes.common_mean).all()
    assert len(codes.common_mean) == 30
    other = simulate_surface_cohort(tmp_path / "other", n_subjects=4)
    for file in other.parent.rglob("surf/*"):
        file.unlink()
    finer = np.random.default_rng(0).uniform(1, 3, (2, 40962))
    for person in pd.read_csv(other, sep="\t")["participant_id"]:
        left = other.parent / IMAGES.format(participant_id=person).replace("?h", "lh").replace("mgh", "gii")
        write_surface((left, left.with_name(left.name.replace("lh", "rh", 1))), finer)
    recipe = (run / "recipe.yaml").read_text()
    (run / "recipe.yaml").write_text(recipe.replace(".mgh", ".gii"))
    with pytest.raises(DataError, match=r"the mesh of the other data, fsaverage5 .*, got fsaverage6"):
        read_new_data(run, other, say=lambda _: None)
    (run / "recipe.yaml").write_text(recipe)
    source = read_surfaces(other, images=IMAGES.replace("mgh", "gii"), label="group", attributes=["age"])
    with pytest.raises(DataError, match=r"fitted on .* features"):
        model.encode(source)


def test_group_maps_are_tested_at_each_vertex(run: Path, cohort: Path) -> None:
    samples = read_again(run, cohort, lambda _: None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sepvae.runs.map_inference.save_figure", lambda *_: None)
        patch.setattr("sepvae.runs.map_inference.compared_volumes", lambda *_: None)
        folder = infer_maps(run, samples.train, samples.test, n_permutations=9, **SAY)
    files = sorted(file.name for file in folder.glob("*.shape.gii"))
    assert "hemi-L_desc-salient_stat-difference_map.shape.gii" in files
    assert "hemi-R_desc-glm_stat-logp_map.shape.gii" in files
    logp = read_hemisphere(folder / "hemi-R_desc-glm_stat-logp_map.shape.gii")
    assert logp.max() <= 1 + 1e-6  # 9 permutations give no p below 0.1


def test_export_names_hemisphere_and_mesh(run: Path, tmp_path: Path) -> None:
    out = export_bids(run, tmp_path / "out")
    person = RunFolder(run).maps.samples.required()["id"].iloc[0]
    stem = f"{person}_hemi-R_space-fsaverage5_desc-salient_statmap"
    assert (out / person / "anat" / f"{stem}.shape.gii").is_file()
    assert '"fsaverage5"' in (out / person / "anat" / f"{stem}.json").read_text()
    assert (out / "group" / "hemi-L_desc-salient_stat-d_map.shape.gii").is_file()


def test_an_atlas_of_voxels_has_no_meaning(run: Path) -> None:
    with pytest.raises(DataError, match="these are of surfaces"):
        region_effects(run, "atlas.nii.gz")


def test_auto_is_linear_for_vertices_and_is_kept_in_the_file(cohort: Path, tmp_path: Path) -> None:
    source = read_surfaces(cohort, images=IMAGES, label="group")
    model = SepVAE(**quick(background="control")).fit(source)
    assert model.principal_scores_ is not None
    again = load(model.save(tmp_path / "model"))
    np.testing.assert_array_equal(again.transform(source), model.transform(source))
