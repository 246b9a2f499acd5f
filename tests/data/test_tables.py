import numpy as np
import pandas as pd
import pytest

from sepvae.data import frame_source
from sepvae.errors import DataError


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
