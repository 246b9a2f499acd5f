"""`batch_size="auto"` and `max_epochs="auto"`: 20 steps an epoch where the data allow, 1500 a fit."""

import numpy as np
import pytest

from sepvae import MMcVAE, SepVAE
from sepvae.batch import auto_batch_size, auto_max_epochs

from ..helpers import quick

QUICK = quick(salient_dim=1, background=0)


@pytest.mark.parametrize(
    ("n", "size"),
    [(100_000, 128), (2560, 128), (2559, 64), (1280, 64), (1279, 32), (640, 32), (639, 16), (48, 16), (9, 9)],
)
def test_the_largest_batch_of_20_steps(n: int, size: int) -> None:
    assert auto_batch_size(n) == size


@pytest.mark.parametrize(
    ("method", "batch_size", "taken"), [(SepVAE, "auto", 16), (MMcVAE, "auto", 16), (SepVAE, 20, 20)]
)
def test_what_was_taken_is_kept(method: type[SepVAE], batch_size: int | str, taken: int) -> None:
    x = np.random.default_rng(0).normal(size=(60, 3))
    model = method(batch_size=batch_size, **QUICK).fit(x, np.arange(60) % 2)
    assert (model.batch_size_, model.get_params()["batch_size"]) == (taken, batch_size)


def test_the_default_is_the_number_that_it_stands_for() -> None:
    x = np.random.default_rng(0).normal(size=(60, 3))
    auto, sixteen = (SepVAE(**QUICK, **how).fit(x, np.arange(60) % 2) for how in ({}, {"batch_size": 16}))
    np.testing.assert_array_equal(auto.transform(x), sixteen.transform(x))


@pytest.mark.parametrize(
    ("n", "size", "epochs"),
    [(10_000, 128, 100), (240, 16, 100), (239, 16, 108), (48, 16, 500), (9, 16, 1500)],
)
def test_100_epochs_or_1500_steps(n: int, size: int, epochs: int) -> None:
    assert auto_max_epochs(n, size) == epochs


def test_small_data_are_gone_through_more_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sepvae.batch.EPOCHS", 2)
    monkeypatch.setattr("sepvae.batch.FIT_STEPS", 7)
    x, y = np.random.default_rng(0).normal(size=(32, 2)), np.arange(32) % 2
    model = SepVAE(validation_fraction=0, **QUICK | {"common_dim": 1, "max_epochs": "auto"}).fit(x, y)
    assert model.max_epochs_ == len(model.history_) == 4  # two steps each


def test_a_rare_group_is_in_every_batch() -> None:
    x, y = np.random.default_rng(0).normal(size=(60, 3)), np.repeat([0, 1], [56, 4])
    history = SepVAE(validation_fraction=0, **QUICK).fit(x, y).history_
    assert history["train_salient_kl_target"].notna().all()
    assert history["train_reconstruction_target"].notna().all()
