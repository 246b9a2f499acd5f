"""Sources of samples: in memory (`ArraySource`, `frame_source`), or read on demand (`StreamSource`)."""

from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
import pandas as pd

from sepvae.batch import AnyArray, Batch, IntArray
from sepvae.checks import check_attribute_names
from sepvae.data.cells import CellRules
from sepvae.data.columns import choose_columns, named_column, other_columns, takes_group
from sepvae.data.conversion import as_array, as_column, as_frame, as_tensors_take, numbers_of, refuse_infinite
from sepvae.errors import DataError
from sepvae.grid import Grid


class _Described:
    """Base class of the sources: labels, groups, ids and attributes of n samples, one of each per sample."""

    def __init__(
        self,
        n: int,
        labels: AnyArray | Sequence[Any],
        groups: AnyArray | Sequence[Any] | None,
        ids: AnyArray | Sequence[Any] | None,
        attributes: pd.DataFrame | None,
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
            Positions, or a boolean mask.

        Returns
        -------
        ArraySource or StreamSource
            Source with the samples in the order of the positions.
        """
        rows: dict[str, Any] = {"labels": self.labels[indices], "ids": self.ids[indices]}
        rows["groups"] = self.groups[indices] if self.grouped else None
        rows["attributes"] = self.attributes.iloc[indices]
        rows["native"] = None if self.native is None else self.native.iloc[indices]
        return self._with_rows(indices, rows | {"feature_names": self.feature_names, "grid": self.grid})

    def _with_rows(self, indices: IntArray, about: dict[str, Any]) -> Self:
        """Return a source of these samples; `about` are its other keyword arguments."""
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
        if feature_names is not None and self.x.shape[1:] != (len(feature_names),):
            got = f"got {len(feature_names)} for shape {self.x.shape}"
            raise DataError(f"feature_names: wanted one for each column of X, {got}")
        super().__init__(len(self.x), labels, groups, ids, attributes, feature_names, grid, native)

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """
        Shape of one sample.

        Returns
        -------
        tuple of int
            Shape without the sample axis.
        """
        return tuple(self.x.shape[1:])

    def _read(self, indices: IntArray) -> AnyArray:
        return self.x[indices]

    def _with_rows(self, indices: IntArray, about: dict[str, Any]) -> Self:
        return type(self)(self.x[indices], **about)


class StreamSource(_Described):
    """
    Source whose samples `read` reads from disk, by an array of their positions, each time they are taken.

    Worker processes get a copy of `read`. The other arguments are those of `ArraySource`.

    >>> source = StreamSource(lambda rows: rows[:, None] * 10.0, (1,), ["well", "ill", "ill"])
    >>> source.select(np.array([2, 0])).take(np.array([0])).x
    array([[20.]])
    """

    in_memory = False

    def __init__(
        self,
        read: Callable[[IntArray], AnyArray],
        sample_shape: tuple[int, ...],
        labels: AnyArray | Sequence[Any],
        *,
        groups: AnyArray | Sequence[Any] | None = None,
        ids: AnyArray | Sequence[Any] | None = None,
        attributes: pd.DataFrame | None = None,
        feature_names: Sequence[str] | None = None,
        grid: Grid | None = None,
        native: pd.DataFrame | None = None,
        positions: IntArray | None = None,
    ) -> None:
        super().__init__(len(labels), labels, groups, ids, attributes, feature_names, grid, native)
        self.read, self.sample_shape = read, sample_shape
        self.positions = np.arange(len(labels)) if positions is None else positions

    def _read(self, indices: IntArray) -> AnyArray:
        rows = self.positions[indices]
        x = as_tensors_take(np.asarray(self.read(rows)))
        if x.shape != (wanted := (len(rows), *self.sample_shape)):
            raise DataError(f"read: wanted {wanted}, the samples asked for, got {x.shape}")
        return np.require(x, requirements=["C", "W"])  # copies views that tensors cannot share

    def _with_rows(self, indices: IntArray, about: dict[str, Any]) -> Self:
        return type(self)(self.read, self.sample_shape, **about, positions=self.positions[indices])


@takes_group
def frame_source(
    frame: pd.DataFrame,
    *,
    label: str,
    features: Sequence[str] | None = None,
    subject: str | None = None,
    id: str | None = None,  # noqa: A002  (the word of this library)
    attributes: Sequence[str] = (),
    missing: Sequence[str | float] = (),
    not_missing: Sequence[str | float] = (),
) -> ArraySource:
    """
    Return a source of the rows of a table.

    Parameters
    ----------
    frame : DataFrame
        One row per sample, from pandas, polars, pyarrow or another library with the dataframe interchange
        protocol.
    label : str
        Column of labels, kept as they are.
    features : sequence of str, default=None
        Columns of features, which may have gaps: names, patterns ("lh_*"), regular expressions
        ("re:^(lh|rh)_"), or "number", the default: all numeric columns that are not named otherwise.
    subject : str, default=None
        Column that names the person, who stays on one side of a split; by default every row is one.
    id : str, default=None
        Column of unique names; by default rows are numbered.
    attributes : sequence of str, default=()
        Columns of further attributes.
    missing, not_missing : sequence of str or float, default=()
        Words and codes for missing attributes and features besides "NA", "n/a", "nan" and similar ones, such
        as -9999; and words that are not missing, such as a site named "NA". Labels and ids stay words.

    Returns
    -------
    ArraySource
        `x` is float64 of shape (n, features), NaN for gaps.

    Raises
    ------
    DataError
        If a column does not exist, cannot be used (not numeric, infinite, a label, subject or id with gaps)
        or is named as feature and as something else.

    Examples
    --------
    >>> frame = pd.DataFrame({"dx": ["ill", "well"], "age": [61, 58], "volume": [2.5, None]})
    >>> frame_source(frame, label="dx", attributes=["age"]).x
    array([[2.5],
           [nan]])
    """
    if (rows := as_frame(frame)) is None:
        raise DataError(f"frame: wanted a DataFrame, got {type(frame).__name__}")
    frame = rows
    others = other_columns(attributes, label=label, subject=subject, id=id)
    for name, role in others.items():
        named_column(frame, "frame", role, name)
    for role, name in (("label", label), ("subject", subject), ("id", id)):
        if name is not None and (gaps := int(frame[name].isna().sum())):
            raise DataError(f"{role}: {gaps} of {len(frame)} rows have no {name!r}; drop or fill them")
    rules = CellRules(missing, not_missing)
    names = choose_columns(frame, features, where="frame", others=others, is_number=_is_number)
    if text := [repr(name) for name in names if not pd.api.types.is_numeric_dtype(frame[name])]:
        raise DataError(f"frame: features: {', '.join(text)} not numeric; convert or leave out")
    known = {name: _without_missing(frame[name], rules) for name in [*names, *attributes]}
    x = pd.DataFrame({name: known[name] for name in names}).to_numpy(dtype=np.float64, na_value=np.nan)
    refuse_infinite(x, names)
    return ArraySource(
        x,
        frame[label].to_numpy(),
        groups=None if subject is None else frame[subject].to_numpy(),
        ids=None if id is None else frame[id].astype(str).to_numpy(),
        attributes=pd.DataFrame({name: known[name] for name in attributes}, index=frame.index),
        feature_names=[str(name) for name in names],
    )


def _without_missing(column: pd.Series, rules: CellRules) -> pd.Series:
    """Return a column in which words and codes for missing values are missing."""
    if pd.api.types.is_numeric_dtype(column):
        codes = pd.to_numeric(pd.Series(rules.missing, dtype=object), errors="coerce").dropna()
        return column.mask(column.isin(codes)) if len(codes) else column
    if not (pd.api.types.is_object_dtype(column) or pd.api.types.is_string_dtype(column)):
        return column
    gone = rules.are_missing(column.astype(object).map(str, na_action="ignore").astype("str"))
    return column.mask(gone) if (gone & column.notna()).any() else column


def _is_number(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
