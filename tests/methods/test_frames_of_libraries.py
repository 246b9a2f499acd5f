"""Tables of pandas, polars and pyarrow: one fit, whatever brought the numbers."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from sepvae import ContrastivePCA
from sepvae.data import ArraySource, frame_source
from sepvae.data.arrays import as_frame
from sepvae.errors import DataError

NAMES = ["thickness", "volume", "area"]
TURNED = ["area", "thickness", "volume"]
LABELS = ["HC", "SZ", "SZ"] * 20
Convert = Callable[[pd.DataFrame], Any]


def people() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal([3, 300, 30], [0.4, 40, 4], (60, 3)), columns=NAMES)
    table.loc[3, "volume"] = np.nan
    return table.assign(age=rng.normal(60, 9, 60), sex=list("ffmmm") * 12, site=["a", "b"] * 30)


def as_polars(table: pd.DataFrame) -> pl.DataFrame:
    columns = {name: [None if pd.isna(v) else v for v in table[name].tolist()] for name in table}
    frame = pl.DataFrame(columns)
    return frame.with_columns(pl.col("site").cast(pl.Categorical)) if "site" in columns else frame


def as_table(table: pd.DataFrame) -> pa.Table:
    return as_polars(table).to_arrow()


FRAMES: dict[str, Convert] = {
    "pandas": lambda table: table,
    "pandas nullable": lambda table: table.convert_dtypes(),
    "pandas on arrow": lambda table: table.convert_dtypes(dtype_backend="pyarrow"),
    "polars": as_polars,
    "polars from pandas": pl.from_pandas,
    "pyarrow table": as_table,
    "pyarrow batch": lambda table: as_table(table).combine_chunks().to_batches()[0],
    "pyarrow from pandas": pa.Table.from_pandas,
    "pyarrow with an index of pandas": lambda table: pa.Table.from_pandas(table.set_index(table.index + 5)),
}
frames = pytest.mark.parametrize("convert", FRAMES.values(), ids=list(FRAMES))


@frames
def test_names_and_numbers_are_those_of_pandas(convert: Convert) -> None:
    table = people()[NAMES]
    expected = ContrastivePCA(2, 1).fit(table, LABELS).transform(table)
    model = ContrastivePCA(2, 1).fit(convert(table), LABELS)
    assert model.feature_names_in_.tolist() == NAMES
    np.testing.assert_array_equal(model.transform(convert(table)), expected)


@frames
def test_columns_in_another_order_are_refused(convert: Convert) -> None:
    model = ContrastivePCA(2, 1).fit(convert(people()[NAMES]), LABELS)
    with pytest.raises(DataError, match="must be in the same order as they were in fit"):
        model.transform(convert(people()[TURNED]))


@frames
def test_covariates_are_taken_out_as_from_pandas(convert: Convert) -> None:
    table, names = people(), ["age", "sex", "site"]
    expected = ContrastivePCA(2, 1, residualise=names).fit(table, LABELS).transform(table)
    model = ContrastivePCA(2, 1, residualise=names).fit(convert(table), LABELS)
    assert model.feature_names_in_.tolist() == NAMES
    np.testing.assert_array_equal(model.transform(convert(table)), expected)


def test_a_covariate_that_is_null_is_missing() -> None:
    frame = as_polars(people()).with_columns(sex=pl.Series([None, *people()["sex"][1:]]))
    with pytest.raises(DataError, match="samples have no 'sex'"):
        ContrastivePCA(2, 1, residualise="sex").fit(frame.drop("age", "site"), LABELS)


@frames
def test_sources_take_names_gaps_and_attributes(convert: Convert) -> None:
    table = people()
    source = ArraySource(convert(table[NAMES]), LABELS, attributes=convert(table))
    assert source.feature_names == NAMES
    assert np.isnan(source.x).sum() == 1
    assert source.attributes["sex"].tolist() == table["sex"].tolist()
    other = frame_source(convert(table), label="sex", attributes=["age", "site"])
    assert other.feature_names == NAMES
    assert other.labels.tolist() == table["sex"].tolist()
    assert other.attributes["site"].tolist() == table["site"].tolist()
    np.testing.assert_array_equal(other.x, source.x)
    np.testing.assert_array_equal(other.x, table[NAMES].to_numpy())
    named = frame_source(convert(table), label="sex", features=NAMES[1:], attributes=["site"])
    assert named.feature_names == NAMES[1:]
    np.testing.assert_array_equal(named.x, table[NAMES[1:]].to_numpy())


@pytest.mark.parametrize(
    "series",
    [
        pl.Series,
        lambda values: pl.Series(values, dtype=pl.Categorical),
        pa.array,
        lambda values: pa.array(values).dictionary_encode(),
        lambda values: pa.chunked_array([pa.array(values).dictionary_encode()]),
        lambda values: pd.Series(values, dtype="string"),
        lambda values: pd.Series(values, dtype="category"),
    ],
)
def test_labels_and_groups_of_other_libraries(series: Callable[[list[Any]], Any]) -> None:
    x = people()[NAMES]
    expected = ContrastivePCA(2, 1, background="SZ").fit(x, LABELS).transform(x)
    groups = series([f"p{i}" for i in range(60)])
    model = ContrastivePCA(2, 1, background="SZ").fit(x, series(LABELS), groups=groups)
    assert model.classes_.tolist() == ["HC", "SZ"]
    np.testing.assert_array_equal(model.transform(x), expected)
    with pytest.raises(DataError, match="1 of 60 labels are missing"):
        ContrastivePCA(2, 1).fit(x, series(["HC", None, *LABELS[2:]]))


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (as_polars(people()[NAMES]).lazy(), r"got LazyFrame; give X.collect\(\)"),
        (as_polars(people()), "wanted numbers in column 'sex', got 'f'"),
        (as_polars(people()).select(pl.date(2020, 1, 1).repeat_by(1)), "wanted numbers in column"),
        (pa.table([[1.0] * 60, [2.0] * 60], names=["a", "a"]), "got 'a' more than once"),
        (pl.DataFrame(), "without columns"),
        (as_polars(people())["age"], r"got shape \(60,\)"),
    ],
    ids=["lazy", "text", "lists", "one name twice", "no columns", "a series"],
)
def test_frames_that_are_no_numbers(frame: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        ContrastivePCA(2, 1).fit(frame, LABELS[: len(frame)] if isinstance(frame, pa.Table) else LABELS)


def test_decimals_are_numbers() -> None:
    exact = as_polars(people()[["age"]]).select(pl.col("age").cast(pl.Decimal(10, 3)))
    for frame in (exact, exact.to_arrow()):
        np.testing.assert_allclose(ArraySource(frame, LABELS).x[:, 0], people()["age"].round(3))


def test_codes_as_a_polars_frame() -> None:
    frame = as_polars(people()[NAMES])
    codes = ContrastivePCA(2, 1).set_output(transform="polars").fit(frame, LABELS).transform(frame)
    assert isinstance(codes, pl.DataFrame)
    assert codes.columns == ["common0", "common1", "salient0"]


def test_attributes_without_names_are_refused() -> None:
    with pytest.raises(DataError, match="attributes: wanted a DataFrame of 60 rows, got ndarray"):
        ArraySource(people()[NAMES], LABELS, attributes=np.ones((60, 1)))  # type: ignore[arg-type]


def test_what_has_no_named_columns_is_no_frame() -> None:
    assert as_frame(np.ones((2, 3))) is None
    assert as_frame([[1, 2]]) is None


def test_nulls_are_gaps_and_words_stay_words() -> None:
    frame = as_frame(pl.DataFrame({"n": [1, None], "word": ["a", None]}))
    assert frame is not None
    assert frame["n"].isna().tolist() == frame["word"].isna().tolist() == [False, True]
