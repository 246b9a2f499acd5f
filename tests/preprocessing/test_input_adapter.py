"""Input of an estimator: fitted on the training part, restored from its state, inverted after decoding."""

import numpy as np
import pandas as pd
import pytest

from sepvae.data import ArraySource
from sepvae.errors import DataError
from sepvae.grid import Grid
from sepvae.preprocessing.input_adapter import InputAdapter

RNG = np.random.default_rng(0)
Y = np.arange(40) % 2
TABLE = pd.DataFrame(RNG.normal(5, 2, (40, 3)), columns=list("abc")).assign(age=RNG.normal(50, 9, 40))
TRAIN = np.arange(30)


def fitted(X: object, residualise: object = None) -> InputAdapter:
    adapter = InputAdapter(residualise, "SepVAE")
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
    again = InputAdapter(adapter.residualise).restore(arrays, {"residuals": None, "grid": None} | about)
    one, other = (a.transform(X).take(np.arange(40)).x for a in (adapter, again))
    np.testing.assert_array_equal(one, other)
    assert again.seen_shape == adapter.seen_shape
    assert again.n_observed == adapter.n_observed


def test_messages_name_the_estimator() -> None:
    with pytest.raises(DataError, match="X has 2 features, but SepVAE is expecting 3 features"):
        fitted(RNG.normal(size=(40, 3))).transform(RNG.normal(size=(4, 2)))
