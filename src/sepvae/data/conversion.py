"""Conversion of samples, tables and columns of other libraries (polars, pyarrow, torch, ..)."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import issparse

from sepvae.batch import AnyArray
from sepvae.errors import DataError


def as_array(x: Any) -> AnyArray:
    """
    Convert samples (lists, an array of another library, a tensor) to a dense array, if possible uncopied.

    >>> as_array([[1, 2], [3]])
    Traceback (most recent call last):
    sepvae.errors.DataError: X: wanted samples of one shape, got several; bring them to one size first
    """
    got = f"one {type(x).__name__}" if isinstance(x, str | bytes | Path) or hasattr(x, "get_fdata") else ""
    one = x[0] if isinstance(x, list | tuple) and len(x) else None
    named = isinstance(one, Path) or (isinstance(one, str) and bool(Path(one).suffix[1:2].isalpha()))
    if named or hasattr(one, "get_fdata"):  # a path, or an image of nibabel
        got = f"a list of {type(one).__name__} such as {str(one)[:60]!r}"
    if got:
        remedy = "read files by sepvae.data.read_volumes or read_image_table"
        raise DataError(f"X: wanted an array of samples, got {got}; {remedy}")
    if issparse(x):
        raise DataError("X: wanted a dense array, got a sparse matrix; give X.toarray()")
    if isinstance(x, np.ma.MaskedArray):
        raise DataError("X: wanted an array without a mask; give X.astype(float).filled(np.nan)")
    if hasattr(x, "detach"):  # torch tensor
        x = x.detach().cpu()
        x = x.float() if str(x.dtype) == "torch.bfloat16" else x  # numpy has no bfloat16
    try:
        array = np.asarray(x)
    except (TypeError, RuntimeError) as error:  # torch: sparse tensors, lists of tensors with gradients
        reason = f"{type(x).__name__}: {' '.join(str(error).split())}"
        raise DataError(f"X: wanted what numpy makes an array of, got {reason}") from error
    except ValueError as error:
        raise DataError(
            "X: wanted samples of one shape, got several; bring them to one size first"
        ) from error
    if array.ndim == 0:
        remedy = "X.collect()" if hasattr(x, "collect") else "them as an array"
        raise DataError(f"X: wanted an array of samples or a source, got {type(x).__name__}; give {remedy}")
    return as_tensors_take(array)


def as_tensors_take(x: AnyArray) -> AnyArray:
    """Convert to a dtype that torch accepts: native byte order, floats of at most 64 bits."""
    if x.dtype.kind == "f" and x.dtype.itemsize > 8:
        return x.astype(np.float64)
    return x if x.dtype.isnative else x.astype(x.dtype.newbyteorder("="))


def as_column(name: str, values: Any) -> AnyArray:
    """
    Convert values of shape (n,) or (n, 1) to an array of that shape, in which missing values stay missing.

    numpy alone would convert NaN in a list of strings to the word "nan".

    >>> as_column("labels", ["ill", float("nan")])
    array(['ill', nan], dtype=object)
    """
    if hasattr(values, "to_pylist") and hasattr(values, "to_pandas"):
        values = values.to_pandas()  # numpy turns nulls of pyarrow dictionary arrays into words
    if (frame := as_frame(values)) is not None:
        values = frame
    try:
        column = np.asarray(values)
    except (ValueError, TypeError, RuntimeError) as error:  # ragged lists; the last two come from torch
        raise DataError(f"{name}: wanted one for each sample: {' '.join(str(error).split())}") from error
    if column.ndim != 1 and column.shape[1:] != (1,):
        raise DataError(f"{name}: wanted one for each sample, (n,), got shape {column.shape}")
    if column.dtype.kind in "US" and not isinstance(values, np.ndarray):
        objects = np.asarray(values, dtype=object)
        return objects if pd.isna(objects).any() else column
    return column


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
        columns = {c.name: c.to_numpy() if c.dtype.is_numeric() else c.to_list() for c in table}
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


def refuse_infinite(x: npt.NDArray[np.floating], names: Sequence[str] | None) -> None:
    """Raise if a table (n, features) has infinite values, which have no mean."""
    if (infinite := np.isinf(x)).any():
        columns = name_columns(infinite, names)
        raise DataError(f"x: infinite values in column {columns}; correct them, or make them missing (NaN)")


def name_columns(odd: npt.NDArray[np.bool_], names: Sequence[str] | None) -> str:
    """Return the names of the columns in which any value is odd, for a message."""
    columns = np.flatnonzero(odd.any(axis=0)).tolist()
    return ", ".join(str(i) if names is None else repr(names[i]) for i in columns)
