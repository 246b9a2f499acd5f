"""Tables of polars and pyarrow keep the names of their columns."""

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from sepvae import ContrastivePCA
from sepvae.data import ArraySource, frame_source
from sepvae.data.frames import as_frame
from sepvae.errors import DataError

FEATURES = ["thickness", "volume", "area"]
MAKERS = [pl.from_pandas, pa.Table.from_pandas, pd.DataFrame]


@pytest.fixture
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal([3, 300, 30], [0.4, 40, 4], (60, 3)), columns=FEATURES)
    frame["age"] = rng.normal(50, 10, 60)
    frame["site"] = rng.choice(["A", "B"], 60)
    frame["dx"] = ["HC", "SZ"] * 30
    frame.loc[3, "volume"] = np.nan
    return frame


@pytest.mark.parametrize("make", MAKERS)
def test_names_are_kept_and_columns_in_another_order_are_refused(frame: pd.DataFrame, make: Any) -> None:
    model = ContrastivePCA(2, 1, background="HC").fit(make(frame[FEATURES]), frame["dx"])
    assert model.feature_names_in_.tolist() == FEATURES
    expected = ContrastivePCA(2, 1, background="HC").fit(frame[FEATURES], frame["dx"])
    np.testing.assert_array_equal(model.transform(make(frame[FEATURES])), expected.transform(frame[FEATURES]))
    with pytest.raises(DataError, match="in the same order"):
        model.transform(make(frame[FEATURES[::-1]]))


@pytest.mark.parametrize("make", MAKERS)
def test_covariates_are_taken_out(frame: pd.DataFrame, make: Any) -> None:
    columns = [*FEATURES, "age", "site"]
    codes = [
        ContrastivePCA(2, 1, background="HC", residualise=["age", "site"])
        .fit(table, frame["dx"])
        .transform(table)
        for table in (make(frame[columns]), frame[columns])
    ]
    np.testing.assert_allclose(*codes, rtol=1e-9)


@pytest.mark.parametrize("make", MAKERS)
def test_sources_take_them(frame: pd.DataFrame, make: Any) -> None:
    source = frame_source(make(frame), label="dx", features=FEATURES, attributes=["age", "site"])
    assert list(source.feature_names or []) == FEATURES
    np.testing.assert_array_equal(source.x, frame[FEATURES].to_numpy())
    assert source.attributes["site"].tolist() == frame["site"].tolist()
    assert ArraySource(make(frame[FEATURES]), frame["dx"]).feature_names == FEATURES


@pytest.mark.parametrize("make", [pl.Series, pa.array, lambda words: pa.array(words).dictionary_encode()])
def test_labels_and_groups_as_columns_of_others(frame: pd.DataFrame, make: Any) -> None:
    labels, people = frame["dx"].tolist(), [f"p{i}" for i in range(60)]
    model = ContrastivePCA(2, 1, background="HC").fit(frame[FEATURES], make(labels), groups=make(people))
    assert model.classes_.tolist() == ["HC", "SZ"]


def test_what_has_no_named_columns_is_no_frame() -> None:
    assert as_frame(np.ones((2, 3))) is None
    assert as_frame([[1, 2]]) is None


def test_nulls_are_gaps_and_words_stay_words() -> None:
    frame = as_frame(pl.DataFrame({"n": [1, None], "word": ["a", None]}))
    assert frame is not None
    assert frame["n"].isna().tolist() == frame["word"].isna().tolist() == [False, True]
