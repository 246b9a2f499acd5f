"""Input of an estimator: fitted on the training part, restored from its state, inverted after decoding."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from sepvae.data import ArraySource
from sepvae.errors import DataError
from sepvae.grid import Grid
from sepvae.preprocessing import Harmonizer, Residualizer
from sepvae.preprocessing.input_adapter import InputAdapter

RNG = np.random.default_rng(0)
Y = np.arange(40) % 2
TABLE = pd.DataFrame(RNG.normal(5, 2, (40, 3)), columns=list("abc")).assign(age=RNG.normal(50, 9, 40))
TRAIN = np.arange(30)


def fitted(X: object, residualise: object = None, **sites: Any) -> InputAdapter:
    adapter = InputAdapter(residualise, **sites, owner="SepVAE")
    adapter.fit(adapter.read(X, Y, None), Y == 0, TRAIN)
    return adapter


def test_tables_are_standardised_by_their_training_part_and_come_back() -> None:
    adapter, X = fitted(TABLE), TABLE.to_numpy()
    z = adapter.transform(TABLE).take(np.arange(40)).x
    np.testing.assert_allclose(z, (X - X[:30].mean(axis=0)) / X[:30].std(axis=0), rtol=1e-5)
    np.testing.assert_allclose(adapter.inverse_transform(z), X, rtol=1e-6)


def test_residuals_come_back_with_the_covariates_of_the_samples() -> None:
    adapter = fitted(TABLE, ["age"])
    assert adapter.sample_shape_ == (3,)
    z = adapter.transform(TABLE).take(np.arange(40)).x
    np.testing.assert_allclose(adapter.inverse_transform(z, TABLE), TABLE[list("abc")], rtol=1e-5)


@pytest.mark.parametrize(
    "X",
    [
        TABLE,
        ArraySource(RNG.normal(size=(40, 1, 2, 2, 2)), Y, grid=Grid((2, 2, 2), np.eye(4), size=(2, 2, 2))),
    ],
)
def test_the_state_restores_it(X: object) -> None:
    adapter = fitted(X, ["age"] if X is TABLE else None)
    arrays, about = adapter.state()
    again = clone(adapter).restore(
        arrays, dict.fromkeys(("harmonisation", "residuals", "conditions", "grid")) | about
    )
    one, other = (a.transform(X).take(np.arange(40)).x for a in (adapter, again))
    np.testing.assert_array_equal(one, other)
    assert again.seen_shape == adapter.seen_shape
    assert again.n_observed == adapter.n_observed


def test_a_site_without_controls_to_fit_on_is_refused_in_the_fit() -> None:
    people = TABLE.assign(site=np.where((Y == 1) & (np.arange(40) < 9), "patients' own", "other"))
    with pytest.raises(DataError, match=r"none of the 15 samples to fit on is of site \"patients' own\""):
        fitted(people, harmonise="site")
    assert fitted(people, harmonise="site", harmonise_on="all").harmonizer_.sites_ == [
        "other",
        "patients' own",
    ]


def test_scans_of_a_person_are_left_out_together() -> None:
    people = TABLE.assign(site=np.arange(40) // 4 % 2)
    Y, groups = np.arange(40) // 2 % 2, np.arange(40) // 2
    adapter = InputAdapter(["age"], "site")
    learnt = adapter.fit(adapter.read(people, Y, groups), Y == 0, TRAIN).take(TRAIN).x
    controls = (Y == 0) & np.isin(np.arange(40), TRAIN)
    x = Harmonizer("site").fit_transform(TABLE[list("abc")], people[["site"]], controls, groups)
    w = Residualizer().fit_transform(x, people[["age"]], controls, groups)[TRAIN]
    np.testing.assert_allclose(learnt, (w - w.mean(axis=0)) / w.std(axis=0), rtol=1e-4, atol=1e-5)


def test_sites_come_back_with_the_samples_and_go_before_covariates() -> None:
    people = TABLE.assign(site=np.arange(40) // 2 % 2)
    adapter = fitted(people, ["age"], harmonise="site")
    z = adapter.transform(people).take(np.arange(40)).x
    np.testing.assert_allclose(adapter.inverse_transform(z, people), TABLE[list("abc")], rtol=1e-5)
    assert adapter.harmonizer_ is not None
    assert adapter.harmonizer_.sites_ == ["0", "1"]
    with pytest.raises(DataError, match="at: site: wanted one of 0, 1, got '2'"):
        adapter.inverse_transform(z, people, {"site": 2})
    assert not np.allclose(z, fitted(TABLE, ["age"]).transform(TABLE).take(np.arange(40)).x, atol=0.05)


@pytest.mark.parametrize("on", ["controls", "all"])
def test_sites_are_fitted_on_people_of_the_training_part(on: str) -> None:
    people = TABLE.assign(site=np.arange(40) // 2 % 2)
    chosen = (np.arange(40) < 30) & ((Y == 0) | (on == "all"))
    moved = people.mask(~pd.Series(chosen), people + 100).assign(site=people["site"], age=people["age"])
    one, other = (fitted(X, harmonise="site", harmonise_on=on).harmonizer_ for X in (people, moved))
    assert one is not None
    assert other is not None
    np.testing.assert_array_equal(one.shift_, other.shift_)


def refused(message: str, **keywords: Any) -> None:
    with pytest.raises(DataError, match=message):
        fitted(TABLE.assign(site=np.arange(40) % 2), **keywords)


def test_refuses_keywords_of_covariates_that_contradict_each_other() -> None:
    refused("preserve: wanted the site to harmonise, got none", preserve=["age"])
    refused("preserve: 'site' is harmonised; leave it out", harmonise="site", preserve=["site"])
    refused("residualise: 'site' is harmonised", harmonise="site", residualise=["age", "site"])
    refused("harmonise: wanted the name of the covariate with the site, got", harmonise=["site"])
    refused("preserve: 'age' is named twice", harmonise="site", preserve="age,age")


def test_messages_name_the_estimator() -> None:
    with pytest.raises(DataError, match="X has 2 features, but SepVAE is expecting 3 features"):
        fitted(RNG.normal(size=(40, 3))).transform(RNG.normal(size=(4, 2)))
