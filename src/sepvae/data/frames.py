"""Conversion of tables of other libraries (polars, pyarrow, ..) to pandas, and of columns to floats."""

import sys
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from sepvae.errors import DataError


def as_frame(table: Any) -> pd.DataFrame | None:
    """
    Convert a table with named columns to pandas; return None for any other object.

    >>> as_frame(np.ones((2, 3))) is None
    True
    """
    if isinstance(table, pd.DataFrame):
        return table
    polars = sys.modules.get("polars")
    if polars is not None and isinstance(table, polars.DataFrame):  # its to_pandas() needs pyarrow
        columns = {
            column.name: column.to_numpy() if column.dtype.is_numeric() else column.to_list()
            for column in table
        }
        frame = pd.DataFrame(columns, index=range(len(table)))
    elif hasattr(table, "column_names") and hasattr(table, "to_pandas"):  # pyarrow
        frame = table.to_pandas()
    elif hasattr(table, "__dataframe__"):
        frame = pd.api.interchange.from_dataframe(table)
    else:
        return None
    decimals = [i for i in range(frame.shape[1]) if pd.api.types.infer_dtype(frame.iloc[:, i]) == "decimal"]
    for i in decimals:
        frame.isetitem(i, frame.iloc[:, i].to_numpy(dtype=np.float64, na_value=np.nan))
    return frame


def numbers_of(frame: pd.DataFrame) -> pd.DataFrame:
    """
    Convert all columns to float64; raise if one does not hold numbers.

    >>> numbers_of(pd.DataFrame({"age": [61, 58], "sex": ["f", "m"]}))
    Traceback (most recent call last):
    sepvae.errors.DataError: X: wanted numbers in column 'sex', got 'f'; convert it, or leave it out
    """
    if frame.shape[1] == 0:
        raise DataError("X: wanted columns of numbers, got a DataFrame without columns")
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise DataError(f"X: wanted columns of different names, got {twice!r} more than once; rename one")
    if all(isinstance(dtype, np.dtype) and dtype.kind in "biuf" for dtype in frame.dtypes):
        x = frame.to_numpy(dtype=np.float64)
    else:
        x = np.empty(frame.shape)
        for i, name in enumerate(frame.columns):
            x[:, i] = _floats(frame[name])
    return pd.DataFrame(x, columns=frame.columns)


def _floats(column: pd.Series) -> npt.NDArray[np.float64]:
    try:
        if column.dtype.kind in "cmM":  # numpy would convert complex numbers and times
            raise TypeError
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    except (ValueError, TypeError, OverflowError):
        odd = next((value for value in column.dropna() if not _reads_as_float(value)), column.dtype)
    got = repr(" ".join(str(odd).split()))
    raise DataError(f"X: wanted numbers in column {column.name!r}, got {got}; convert it, or leave it out")


def _reads_as_float(value: Any) -> bool:
    try:
        float(value)
    except (ValueError, TypeError, OverflowError):
        return False
    return True
