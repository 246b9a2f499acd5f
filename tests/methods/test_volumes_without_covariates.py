"""Volumes whose covariates and sites are removed voxel by voxel: from memory, from disk, and from a file."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sepvae import SepVAE, load
from sepvae.batch import Source
from sepvae.data import ArraySource
from sepvae.data.arrays import StreamSource
from sepvae.errors import DataError
from sepvae.grid import Grid
from sepvae.interpretation.maps import SalientMaps

N, SHAPE = 48, (1, 8, 8, 8)
QUICK = {"max_epochs": 2, "common_dim": 2, "salient_dim": 2, "progress_bar": False, "num_workers": 0}
STEPS = {"residualise": ["age"], "harmonise": "site", "preserve": ["age"]}
ALL = np.arange(N)


@pytest.fixture(scope="module")
def cohort() -> ArraySource:
    """Age acts on all voxels of the mask, and sites shift them."""
    rng = np.random.default_rng(0)
    mask = rng.random((8, 8, 8)) < 0.6
    about = pd.DataFrame({"age": rng.normal(50, 10, N), "site": np.array(list("AB"))[ALL // 2 % 2]})
    x = rng.normal(size=(N, *SHAPE)) + 0.1 * about["age"].to_numpy()[:, None, None, None, None]
    x += (about["site"] == "B").to_numpy()[:, None, None, None, None]
    labels = np.array(["control", "patient"])[ALL % 2]
    grid = Grid((8, 8, 8), np.eye(4), mask=mask)
    native = pd.DataFrame({"mean": np.zeros(N), "sd": np.full(N, 2.0), "axes": "RAS"})
    return ArraySource((x * mask).astype(np.float32), labels, attributes=about, grid=grid, native=native)


def streamed(source: ArraySource) -> StreamSource:
    about = {name: getattr(source, name) for name in ("attributes", "grid", "native")}
    return StreamSource(lambda rows: source.x[rows], SHAPE, source.labels, **about)


@pytest.fixture(scope="module")
def model(cohort: ArraySource) -> SepVAE:
    return SepVAE(**QUICK, **STEPS, validation_fraction=0).fit(cohort)


def seen(model: SepVAE, source: Source) -> np.ndarray:
    return model.prepare(source).take(ALL).x


def test_networks_see_w_scores_of_harmonised_voxels(cohort: ArraySource, model: SepVAE) -> None:
    w, controls = seen(model, cohort)[:, 0][:, cohort.grid.valid_mask], cohort.labels == "control"
    of_controls = w[controls]
    np.testing.assert_allclose([of_controls.mean(), of_controls.std(ddof=2)], [0, 1], atol=0.12)
    age = cohort.attributes["age"].to_numpy()[controls]
    assert max(abs(np.corrcoef(age, voxel)[0, 1]) for voxel in of_controls.T) < 0.05
    assert (seen(model, cohort)[:, 0][:, ~cohort.grid.valid_mask] == 0).all()


def test_volumes_on_disk_give_the_same_model(cohort: ArraySource, model: SepVAE) -> None:
    other = SepVAE(**QUICK, **STEPS, validation_fraction=0).fit(streamed(cohort))
    np.testing.assert_array_equal(other.transform(streamed(cohort)), model.transform(cohort))


def test_a_file_brings_it_back(cohort: ArraySource, model: SepVAE, tmp_path: Path) -> None:
    again = load(model.save(tmp_path / "model"))
    np.testing.assert_array_equal(again.transform(cohort), model.transform(cohort))
    np.testing.assert_array_equal(again.reconstruct(cohort), model.reconstruct(cohort))


def test_reconstructions_are_in_the_units_of_the_volumes(cohort: ArraySource, model: SepVAE) -> None:
    """Age explains most of the variance: a reconstruction without its covariates would lack it."""
    valid = cohort.grid.valid_mask
    means = model.reconstruct(cohort)[:, 0][:, valid].mean(axis=1)
    wanted = cohort.x[:, 0][:, valid].mean(axis=1)
    assert np.corrcoef(means, wanted)[0, 1] > 0.98
    sample = model.sample(3, random_state=0)  # an average control of an average site
    average = cohort.x[cohort.labels == "control"][:, 0][:, valid].mean()
    assert abs(sample[:, 0][:, valid].mean() - average) < 1.5


def test_maps_are_in_the_units_of_the_files(cohort: ArraySource, model: SepVAE) -> None:
    maps = SalientMaps(model, cohort).decode(ALL[:4])
    codes = model.encode(cohort)
    own, none = (model.decode(codes.common_mean[:4], x * codes.salient_mean[:4]) for x in (1, 0))
    np.testing.assert_allclose(maps.added, 2 * (own - none), rtol=1e-3, atol=1e-4)  # at an average site


def test_a_new_site_is_refused_until_it_is_added(cohort: ArraySource, model: SepVAE) -> None:
    sites = cohort.attributes.assign(site="C")
    new = ArraySource(cohort.x + 3, cohort.labels, attributes=sites, grid=cohort.grid)
    with pytest.raises(DataError, match="48 of 48 samples have site 'C', which was not fitted"):
        model.encode(new)
    added = SepVAE(**QUICK, **STEPS, validation_fraction=0).fit(cohort)
    added.add_sites(new.select(new.labels == "control"))
    valid = cohort.grid.valid_mask
    assert abs(seen(added, new)[:, 0][:, valid].mean()) < 0.2


def test_images_and_volumes_without_names_are_refused(cohort: ArraySource) -> None:
    images = ArraySource(np.zeros((N, 1, 8, 8)), cohort.labels, attributes=cohort.attributes)
    with pytest.raises(DataError, match="wanted a table in memory or volumes, got samples of 1 x 8 x 8"):
        SepVAE(**QUICK, residualise=["age"]).fit(images)
    with pytest.raises(DataError, match="'age', got an array, which names none"):
        SepVAE(**QUICK, residualise=["age"]).fit(cohort.x, cohort.labels)
    with pytest.raises(DataError, match="add_sites: wanted a model that was fitted with harmonise"):
        SepVAE(**QUICK).fit(cohort).add_sites(cohort)
