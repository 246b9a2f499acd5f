"""People, voxels, covariates and values that a group test compares."""

import numpy as np
import pandas as pd
import pytest

from sepvae.data import ArraySource
from sepvae.data.nifti import NiftiFiles
from sepvae.errors import DataError
from sepvae.grid import Grid
from sepvae.interpretation.map_folder import write_maps
from sepvae.interpretation.maps import SalientMaps, foreground
from sepvae.interpretation.tested_values import (
    added_values,
    covariates_of,
    filled,
    input_values,
    people_of,
    voxels_to_test,
    w_scores,
)
from sepvae.methods import ContrastivePCA
from sepvae.run_folder import EFFECT, MapFolder

KINDS = {"age": "continuous", "site": "categorical"}


def table(n: int = 40, groups: list[str] | None = None) -> ArraySource:
    rng = np.random.default_rng(n)
    x, y = rng.normal(5, [1, 10, 100], size=(n, 3)), np.array(["hc", "scz"] * (n // 2))
    about = pd.DataFrame({"age": rng.normal(60, 9, n), "site": rng.integers(1, 4, n)})
    about["severity"] = np.where(y == "scz", rng.normal(size=n), np.nan)
    about["ill_for"] = np.where(y == "scz", rng.normal(size=n), 0.0)
    return ArraySource(x, y, groups=groups, attributes=about, feature_names=list("abc"))


@pytest.fixture(scope="module")
def model() -> ContrastivePCA:
    return ContrastivePCA(2, 1, background="hc").fit(table())


def test_samples_of_a_person_are_averaged(model: ContrastivePCA) -> None:
    source = table(8, ["p", "q", "p", "q", "r", "s", "r", "t"])
    people = people_of(model, source)
    assert people.first.tolist() == [0, 1, 4, 5, 7]
    assert people.is_target.tolist() == [False, True, False, True, True]
    np.testing.assert_allclose((people.weights @ source.x)[0], (source.x[0] + source.x[2]) / 2)


def test_a_person_in_both_groups_is_refused(model: ContrastivePCA) -> None:
    with pytest.raises(DataError, match="samples of 'p' are in both"):
        people_of(model, table(4, ["p", "p", "q", "r"]))


def test_labels_that_were_not_fitted_on_are_left_out(model: ContrastivePCA) -> None:
    source = ArraySource(table(4).x, ["hc", "?", "scz", "hc"], feature_names=list("abc"))
    assert people_of(model, source).first.tolist() == [0, 2, 3]


def test_values_of_tables_are_in_standard_deviations(model: ContrastivePCA) -> None:
    maps = SalientMaps(model, table(8))
    added = model.reconstruct(table(8)) - model.reconstruct(table(8), salient="none")
    scale = table().x.std(axis=0)
    np.testing.assert_allclose(added_values(maps, None), added / scale, atol=1e-6)
    np.testing.assert_allclose(input_values(maps, None), table(8).x / scale)


def test_covariates_are_what_everyone_has_and_controls_differ_in(model: ContrastivePCA) -> None:
    parts = covariates_of(model, table(), table(8), KINDS)
    assert [list(part) for part in parts] == [["age", "site"]] * 2
    assert parts[1]["site"].map(type).unique().tolist() == [str]
    assert [list(part) for part in covariates_of(model, table(), table(8), KINDS, [])] == [[], []]
    with pytest.raises(DataError, match=r"wanted an attribute of the run .*, got 'sex'"):
        covariates_of(model, table(), table(8), KINDS, ["sex"])
    with pytest.raises(DataError, match="24 samples have no 'severity'"):
        covariates_of(model, table(), table(8), KINDS, ["severity"])


def test_w_scores_are_deviations_from_training_controls(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    ages = rng.normal(60, 9, 300)
    x = np.outer(ages, [0.5, -1.0]) + rng.normal(0, [2, 3], (300, 2))
    part = [pd.DataFrame({"age": some}) for some in (ages, np.array([60.0, 90.0]))]
    w = w_scores(x, np.array([[34.0, -60.0], [45.0, np.nan]]), part, np.ones(300, dtype=bool))
    np.testing.assert_allclose(w, [[2, 0], [0, 0]], atol=0.3)
    assert w[1, 1] == 0
    monkeypatch.setattr("sepvae.interpretation.tested_values.BLOCK", 1)
    of_each = w_scores(x, np.array([[34.0, -60.0], [45.0, np.nan]]), part, np.ones(300, dtype=bool))
    np.testing.assert_allclose(of_each, w)
    with pytest.raises(DataError, match="their t is that of the input"):
        w_scores(x, x, [some[[]] for some in part], np.ones(300, dtype=bool))


def test_gaps_are_filled_by_the_training_mean() -> None:
    train, x = np.array([[1.0, np.nan], [3.0, np.nan]]), np.array([[np.nan, np.nan]])
    assert filled(x, train).tolist() == [[2.0, 0.0]]
    assert filled(train[:, :1], train[:, :1]) is not None


def brains(mask: np.ndarray | None) -> ArraySource:
    rng = np.random.default_rng(0)
    inside = np.zeros((9, 10, 11), dtype=bool)
    inside[2:7, 2:8, 2:9] = True
    raw = rng.uniform(50, 99, size=(40, *inside.shape)) * inside
    mean, sd = raw.mean(axis=(1, 2, 3)), raw.std(axis=(1, 2, 3))
    x = ((raw - mean[:, None, None, None]) / sd[:, None, None, None])[:, None].astype(np.float32)
    native = pd.DataFrame({"mean": mean, "sd": sd, "axes": "RAS"})
    grid = Grid(inside.shape, np.eye(4), mask=inside if mask is None else mask)
    if mask is None:
        grid = Grid(inside.shape, np.eye(4))
    return ArraySource(x, ["hc", "scz"] * 20, grid=grid, native=native)


def test_without_a_mask_the_background_is_not_tested_and_has_no_effect_size(tmp_path) -> None:
    source = brains(None)
    model = ContrastivePCA(3, 2, background="hc").fit(source)
    inside = voxels_to_test(SalientMaps(model, source))
    assert inside.sum() == 5 * 6 * 7
    assert inside[2:7, 2:8, 2:9].all()
    folder = MapFolder(write_maps(model, source, tmp_path / "maps"))
    d = NiftiFiles([folder.volume(EFFECT)])(0)
    assert d[inside].all()
    assert not d[~inside].any()


def test_a_mask_decides_what_is_tested() -> None:
    mask = np.zeros((9, 10, 11), dtype=bool)
    mask[:5] = True
    source = brains(mask)
    maps = SalientMaps(ContrastivePCA(3, 2, background="hc").fit(source), source)
    np.testing.assert_array_equal(voxels_to_test(maps), mask)
    values = input_values(maps, mask)
    assert values.shape == (40, mask.sum())
    assert 40 < values.max() < 110  # the units of the files


def test_an_image_that_fills_its_border_has_no_background() -> None:
    rng = np.random.default_rng(0)
    assert foreground(rng.normal(size=(9, 9, 9))).all()
    assert not foreground(np.full((9, 9, 9), 3.0)).any()
