import numpy as np
import pandas as pd
import pytest
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sepvae.data import TableScaler, frame_source
from sepvae.errors import DataError


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


@pytest.fixture
def frame():
    return pd.DataFrame(
        {
            "dx": [1, 2, 2],
            "who": ["m1", "m2", "m2"],
            "scan": [11, 12, 13],
            "age": [30.0, 40.0, 50.0],
            "left": pd.array([1, 2, None], dtype="Int64"),
            "right": [0.5, np.nan, 1.5],
            "note": ["x", "y", "z"],
        },
        index=[5, 6, 7],
    )


def test_frame_source_takes_the_other_numeric_columns(frame):
    source = frame_source(frame, label="dx", subject="who", id="scan", attributes=["age"])
    np.testing.assert_array_equal(source.x, [[1, 0.5], [2, np.nan], [np.nan, 1.5]])
    assert source.labels.tolist() == [1, 2, 2]
    assert source.groups.tolist() == ["m1", "m2", "m2"]
    assert source.ids.tolist() == ["11", "12", "13"]
    assert source.attributes["age"].tolist() == [30, 40, 50]


def test_frame_source_takes_named_features(frame):
    assert frame_source(frame, label="dx", features=["right"]).sample_shape == (1,)
    assert frame_source(frame, label="dx", features=["*t", "age"]).feature_names == ["age", "left", "right"]


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"label": "diagnosis"}, "no column 'diagnosis' for the label; it has dx, who, scan"),
        ({"features": ["left", "note"]}, "features: 'note' not numeric"),
        ({"features": ["dx", "left"]}, "features: 'dx' is the label"),
        ({"features": []}, "features: wanted names of columns or patterns, got none"),
        ({"features": ["age"], "attributes": ["age"]}, "features: 'age' is an attribute"),
        ({"features": ["scan*"], "id": "scan"}, "features: only 'scan' fits .*, which is the id"),
        ({"label": "right"}, "label: 1 of 3 rows have no 'right'"),
        ({"features": ["age"], "subject": "left"}, "subject: 1 of 3 rows have no 'left'"),
        ({"id": "who"}, "ids: wanted unique names, got 'm2'"),
    ],
)
def test_frame_source_refuses(frame, keywords, message):
    with pytest.raises(DataError, match=message):
        frame_source(frame, **{"label": "dx"} | keywords)


def test_frame_source_refuses_infinite_values(frame):
    with pytest.raises(DataError, match="infinite values in column 'age'"):
        frame_source(frame.assign(age=[1, np.inf, 2]), label="dx")


def test_codes_and_words_of_a_frame_are_missing(frame):
    frame = frame.assign(sex=["F", "NA", "-9"], age=[61.0, -9999, 58])
    source = frame_source(frame, label="dx", features=["age"], attributes=["sex"], missing=[-9999, -9])
    np.testing.assert_array_equal(source.x[:, 0], [61, np.nan, 58])
    assert source.attributes["sex"].fillna("gone").tolist() == ["F", "gone", "gone"]
    kept = frame_source(frame, label="dx", features=["age"], attributes=["sex"], not_missing=["NA"])
    assert kept.attributes["sex"].tolist() == ["F", "NA", "-9"]
