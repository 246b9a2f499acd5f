import numpy as np
import pytest
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sepvae.errors import DataError
from sepvae.preprocessing import TableScaler


@pytest.fixture
def x():
    rng = np.random.default_rng(0)
    table = rng.normal(3, 2, (50, 6))
    table[:, 1], table[:, 4] = 0.1, np.nan  # constant (with rounding noise in its mean), all missing
    table[rng.random((50, 6)) < 0.2] = np.nan
    return table


def test_scaler_is_mean_imputer_and_standard_scaler(x):
    kept = [0, 2, 3, 5]
    scaler = TableScaler().fit(x)
    z = scaler.transform(x)
    assert z.dtype == np.float32
    assert np.flatnonzero(scaler.kept_).tolist() == kept
    # StandardScaler disregards gaps, so it goes first; the imputer then fills with the mean, 0.
    wanted = make_pipeline(StandardScaler(), SimpleImputer()).fit_transform(x[:, kept])
    np.testing.assert_allclose(z, wanted, atol=1e-6)


def test_inverse_restores_values_and_constants(x):
    scaler = TableScaler().fit(x)
    back = scaler.inverse_transform(scaler.transform(x))
    seen = ~np.isnan(x)
    np.testing.assert_allclose(back[seen], x[seen], rtol=1e-5)
    np.testing.assert_allclose(back[:, 1], 0.1)
    assert np.isnan(back[:, 4]).all()


def test_state_brings_it_back(x):
    scaler = TableScaler().fit(x)
    again = TableScaler.from_state(scaler.state())
    assert (again.transform(x) == scaler.transform(x)).all()


@pytest.mark.parametrize("unit", [1e-300, 1e200, 1e307])
def test_scale_does_not_matter(unit):
    x = np.array([[1.0], [2.0], [4.0]])
    np.testing.assert_allclose(
        TableScaler().fit(x * unit).transform(x * unit), TableScaler().fit(x).transform(x)
    )


def test_scaler_refuses():
    scaler = TableScaler(["a", "b"]).fit([[1, 2], [3, 4]])
    with pytest.raises(DataError, match="infinite values in column 'b'"):
        TableScaler(["a", "b"]).fit([[1, np.inf]])
    with pytest.raises(DataError, match="infinite values in column 0;"):
        TableScaler().fit([[np.inf, 1]])
    with pytest.raises(DataError, match="infinite values in column 'b'"):
        scaler.transform([[1, 1e200]])
    with pytest.raises(DataError, match="no column of 2 varies"):
        TableScaler().fit([[1, np.nan], [1, np.nan]])
    with pytest.raises(DataError, match="wanted 2 columns as in fit, got 3"):
        scaler.transform([[1, 2, 3]])
    with pytest.raises(DataError, match=r"wanted a table of shape \(n, features\), got shape \(2,\)"):
        scaler.transform([1, 2])
