"""Conversion of samples and columns of other libraries to numpy arrays."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import issparse

from sepvae.batch import AnyArray
from sepvae.data.frames import as_frame
from sepvae.errors import DataError


def as_array(x: Any) -> AnyArray:
    """
    Convert samples (lists, an array of another library, a tensor) to a dense array.

    An array that needs no conversion is returned itself, not a copy.

    >>> as_array([[1, 2], [3]])
    Traceback (most recent call last):
    sepvae.errors.DataError: X: wanted samples of one shape, got several; bring them to one size first
    """
    if isinstance(x, list | tuple) and len(x) and _names_file_or_volume(x[0]):
        raise DataError(
            f"X: wanted an array of samples, got a list of {type(x[0]).__name__} such as {str(x[0])[:60]!r}; "
            "read files by sepvae.data.read_volumes or read_image_table"
        )
    if isinstance(x, str | bytes | Path) or hasattr(x, "get_fdata"):
        raise DataError(
            f"X: wanted an array of samples, got one {type(x).__name__}; read files by "
            "sepvae.data.read_volumes or read_image_table"
        )
    if issparse(x):
        raise DataError("X: wanted a dense array, got a sparse matrix; give X.toarray()")
    if isinstance(x, np.ma.MaskedArray):
        raise DataError("X: wanted an array without a mask; give X.astype(float).filled(np.nan)")
    if hasattr(x, "detach"):  # torch tensor
        x = x.detach().cpu()
        x = x.float() if str(x.dtype) == "torch.bfloat16" else x  # numpy has no bfloat16
    try:
        array = np.asarray(x)
    except (
        TypeError,
        RuntimeError,
    ) as error:  # from torch: sparse tensors, lists of tensors with gradients
        reason = " ".join(str(error).split())
        raise DataError(
            f"X: wanted what numpy makes an array of, got {type(x).__name__}: {reason}"
        ) from error
    except ValueError as error:
        raise DataError(
            "X: wanted samples of one shape, got several; bring them to one size first"
        ) from error
    if array.ndim == 0:
        raise DataError(
            f"X: wanted an array of samples or a source, got {type(x).__name__}; give "
            + ("X.collect()" if hasattr(x, "collect") else "them as an array")
        )
    return as_tensors_take(array)


def _names_file_or_volume(one: Any) -> bool:
    """Return whether a sample is a file path or a nibabel image."""
    is_path = isinstance(one, Path) or (isinstance(one, str) and bool(Path(one).suffix[1:2].isalpha()))
    return is_path or hasattr(one, "get_fdata")


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
