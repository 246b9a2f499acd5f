"""Sources of samples, in memory or read on demand, and arrays, tables and columns of other libraries."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import issparse

from sepvae.batch import AnyArray, Batch, IntArray
from sepvae.checks import check_attribute_names
from sepvae.errors import DataError
from sepvae.grid import Grid


class _Described:
    """Base class of the sources: labels, groups, ids and attributes of n samples, one of each per sample."""

    def __init__(
        self,
        n: int,
        labels: AnyArray | Sequence[Any],
        groups: AnyArray | Sequence[Any] | None = None,
        ids: AnyArray | Sequence[Any] | None = None,
        attributes: pd.DataFrame | None = None,
        feature_names: Sequence[str] | None = None,
        grid: Grid | None = None,
        native: pd.DataFrame | None = None,
    ) -> None:
        self.labels: AnyArray = as_column("labels", labels)
        self.ids: AnyArray = np.asarray([str(i) for i in range(n)] if ids is None else as_column("ids", ids))
        self.groups: AnyArray = self.ids if groups is None else as_column("groups", groups)
        self.grouped = groups is not None  # otherwise every sample is its own group
        self.attributes = pd.DataFrame(index=range(n))
        if attributes is not None:
            if (frame := as_frame(attributes)) is None:
                got = f"wanted a DataFrame of {n} rows, got {type(attributes).__name__}"
                raise DataError(f"attributes: {got}; give its columns names: pandas.DataFrame({{'age': ..}})")
            self.attributes = frame.reset_index(drop=True)
        self.feature_names, self.grid = feature_names, grid
        self.native = None if native is None else native.reset_index(drop=True)
        if missing := int(pd.isna(self.groups).sum()):
            raise DataError(f"groups: {missing} of {n} samples have none; name their patients, or drop them")
        for name in ("labels", "groups", "ids", "attributes", "native"):
            if getattr(self, name) is not None and len(getattr(self, name)) != n:
                raise DataError(f"{name}: wanted one per sample ({n}), got {len(getattr(self, name))}")
        if len(set(self.ids.tolist())) != n:
            twice = pd.Series(self.ids)[pd.Series(self.ids).duplicated()].tolist()[0]
            raise DataError(f"ids: wanted unique names, got {twice!r} more than once")
        check_attribute_names(self.attributes.columns)

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: IntArray) -> Batch:
        """
        Return the samples at these positions.

        Parameters
        ----------
        indices : ndarray of int
            Positions, or a boolean mask.

        Returns
        -------
        Batch
            Samples in the order of the positions.
        """
        about = self.labels[indices], self.ids[indices], self.groups[indices]
        return Batch(self._read(indices), *about, self.attributes.iloc[indices])

    def _read(self, indices: IntArray) -> AnyArray:
        """Return `x` of the samples at these positions."""
        raise NotImplementedError

    def select(self, indices: IntArray) -> Self:
        """
        Return a source that holds only the samples at these positions.

        Parameters
        ----------
        indices : ndarray of int
            Positions, or a boolean mask. The copies of a position that repeats have ids of their own, such as
            "p1 (2)", and the group of the first.

        Returns
        -------
        ArraySource or StreamSource
            Source with the samples in the order of the positions.
        """
        ids, grouped = self.ids[indices], self.grouped
        if (copies := pd.Series(ids).groupby(ids).cumcount().to_numpy()).any():
            ids = np.array(
                [f"{id_} ({n + 1})" if n else str(id_) for id_, n in zip(ids, copies, strict=True)]
            )
            grouped = True
        return self._with_rows(
            indices,
            labels=self.labels[indices],
            groups=self.groups[indices] if grouped else None,
            ids=ids,
            attributes=self.attributes.iloc[indices],
            feature_names=self.feature_names,
            grid=self.grid,
            native=None if self.native is None else self.native.iloc[indices],
        )

    def _with_rows(self, indices: IntArray, **about: Any) -> Self:
        """Return a source of these samples with other keyword arguments `about`."""
        raise NotImplementedError


class ArraySource(_Described):
    """
    Source whose samples are one array in memory.

    Parameters
    ----------
    x : array-like of shape (n, features), (n, channels, h, w) or (n, channels, d, h, w), or DataFrame
        Samples. The columns of a DataFrame (pandas, polars, pyarrow, ..) name the features.
    labels : array-like of shape (n,)
        Label of each sample.
    groups : array-like of shape (n,), default=None
        Group of each sample, which a split keeps on one side; by default every sample is its own group.
    ids : array-like of shape (n,), default=None
        Unique names; by default "0", "1", ...
    attributes : DataFrame of n rows, default=None
        Further variables of each sample.
    feature_names : sequence of str, default=None
        Names of the columns of a table.
    grid, native : Grid and DataFrame of n rows, default=None
        Voxel grid of volumes, whose `size` is the spatial shape of x, and their properties before
        normalisation, as in `sepvae.batch.Source`.

    Raises
    ------
    DataError
        If the samples are not an array, the lengths differ, an id is duplicated, or an attribute has a name
        that is reserved in tables of samples.

    Examples
    --------
    >>> source = ArraySource([[1.0], [2.0], [3.0]], ["healthy", "ill", "ill"])
    >>> source.take(np.array([2])).x
    array([[3.]])
    """

    in_memory = True

    def __init__(
        self,
        x: AnyArray | Sequence[Any],
        labels: AnyArray | Sequence[Any],
        *,
        groups: AnyArray | Sequence[Any] | None = None,
        ids: AnyArray | Sequence[Any] | None = None,
        attributes: pd.DataFrame | None = None,
        feature_names: Sequence[str] | None = None,
        grid: Grid | None = None,
        native: pd.DataFrame | None = None,
    ) -> None:
        if (frame := as_frame(x)) is not None:
            x = numbers_of(frame).to_numpy()
            if feature_names is None and all(isinstance(name, str) for name in frame):
                feature_names = [str(name) for name in frame]
        self.x = as_array(x)
        self.sample_shape = tuple(self.x.shape[1:])
        if feature_names is not None and self.x.shape[1:] != (len(feature_names),):
            got = f"got {len(feature_names)} for shape {self.x.shape}"
            raise DataError(f"feature_names: wanted one for each column of X, {got}")
        super().__init__(len(self.x), labels, groups, ids, attributes, feature_names, grid, native)

    def _read(self, indices: IntArray) -> AnyArray:
        return self.x[indices]

    def _with_rows(self, indices: IntArray, **about: Any) -> Self:
        return type(self)(self.x[indices], **about)


class StreamSource(_Described):
    """
    Source whose samples `read` reads from disk, by an array of their positions, each time they are taken.

    Worker processes get a copy of `read`. The other arguments `about` are those of `ArraySource`.
    """

    in_memory = False

    def __init__(
        self,
        read: Callable[[IntArray], AnyArray],
        sample_shape: tuple[int, ...],
        labels: AnyArray | Sequence[Any],
        *,
        positions: IntArray | None = None,
        **about: Any,
    ) -> None:
        super().__init__(len(labels), labels, **about)
        self.read, self.sample_shape = read, sample_shape
        self.positions = np.arange(len(labels)) if positions is None else positions

    def _read(self, indices: IntArray) -> AnyArray:
        rows = self.positions[indices]
        x = as_tensors_take(np.asarray(self.read(rows)))
        if x.shape != (wanted := (len(rows), *self.sample_shape)):
            raise DataError(f"read: wanted {wanted}, the samples asked for, got {x.shape}")
        return np.require(x, requirements=["C", "W"])  # copies views that tensors cannot share

    def _with_rows(self, indices: IntArray, **about: Any) -> Self:
        return type(self)(self.read, self.sample_shape, **about, positions=self.positions[indices])


def as_array(x: Any) -> AnyArray:
    """Convert samples (lists, arrays of other libraries, tensors) to a dense array, if possible uncopied."""
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
    """Convert values of shape (n,) or (n, 1) to an array of that shape; missing values stay missing."""
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
    if column.dtype.kind in "US" and not isinstance(values, np.ndarray):  # NaN among text is now "nan"
        objects = np.asarray(values, dtype=object)
        return objects if pd.isna(objects).any() else column
    return column


def as_frame(table: Any) -> pd.DataFrame | None:
    """Convert a table with named columns to pandas; return None for any other object."""
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
    """Convert all columns to float64; raise if one does not hold numbers."""
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
