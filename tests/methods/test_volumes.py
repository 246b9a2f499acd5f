"""Estimators on volumes: the mask, the grid, and the file that keeps both."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sepvae import SepVAE, load
from sepvae.data import ArraySource
from sepvae.errors import DataError
from sepvae.grid import Grid
from sepvae.methods import ContrastivePCA

from ..helpers import quick

SHAPE, N = (32, 33, 34), 16


def cohort(shift: float = 0.0) -> ArraySource:
    mask = np.zeros(SHAPE, dtype=bool)
    mask[6:26, 6:26, 6:26] = True
    affine = np.eye(4)
    affine[0, 3] = shift
    x = np.random.default_rng(0).normal(size=(N, 1, *SHAPE)).astype(np.float32) * mask
    labels = np.repeat(["control", "patient"], N // 2)
    return ArraySource(x, labels, grid=Grid(SHAPE, affine, mask=mask))


@pytest.fixture(scope="module")
def fitted() -> SepVAE:
    return SepVAE(**quick(batch_size=8)).fit(cohort())


def test_reconstructions_live_inside_the_mask(fitted: SepVAE) -> None:
    source = cohort()
    inside = source.grid.valid_mask
    decoded = fitted.reconstruct(source)
    assert decoded.shape == source.x.shape
    assert not decoded[:, 0][:, ~inside].any()
    errors = ((decoded - source.x) ** 2)[:, 0][:, inside].mean(axis=1)
    assert fitted.reconstruction_error(source) == pytest.approx(errors, rel=1e-4)


def test_a_model_s_file_keeps_grid_and_mask(fitted: SepVAE, tmp_path: Path) -> None:
    loaded = load(fitted.save(tmp_path / "model"))
    assert loaded.grid_.same_place(fitted.grid_)
    assert np.array_equal(loaded.grid_.mask, fitted.grid_.mask)
    assert np.array_equal(loaded.reconstruct(cohort()), fitted.reconstruct(cohort()))


def test_volumes_at_another_place_are_refused(fitted: SepVAE) -> None:
    with pytest.raises(DataError, match="the model was fitted on 32 x 33 x 34 voxels of 1 x 1 x 1 mm"):
        fitted.encode(cohort(shift=3.0))


def test_another_mask_is_refused(fitted: SepVAE) -> None:
    source = cohort()
    for mask in (None, np.roll(source.grid.mask, 1, axis=0)):
        other = ArraySource(source.x, source.labels, grid=replace(source.grid, mask=mask))
        with pytest.raises(DataError, match=r"fitted with 8000 voxels that count, .* the same mask and size"):
            fitted.encode(other)


def test_contrastive_pca_takes_volumes_of_any_range() -> None:
    source = cohort()
    model = ContrastivePCA(6, 6).fit(source)
    decoded = model.reconstruct(source)
    assert decoded.min() < -0.5
    assert not decoded[:, 0][:, ~source.grid.valid_mask].any()
