"""Tables of features: from a DataFrame to a source, and their scaling, which is fitted."""

from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from sepvae.batch import AnyArray
from sepvae.data.arrays import ArraySource
from sepvae.data.cells import CellRules
from sepvae.data.columns import choose_columns, named_column, other_columns, takes_group
from sepvae.data.frames import as_frame
from sepvae.errors import DataError

LEAST_SD = 1e-12  # in units of the largest value: a column that varies less is constant


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
    others = other_columns(label, subject, id, attributes)
    for name, role in others.items():
        named_column(frame, "frame", role, name)
    for role, name in (("label", label), ("subject", subject), ("id", id)):
        if name is not None and (gaps := int(frame[name].isna().sum())):
            raise DataError(f"{role}: {gaps} of {len(frame)} rows have no {name!r}; drop or fill them")
    rules = CellRules(missing, not_missing)
    names = choose_columns(frame, features, where="frame", others=others, is_number=_is_number)
    if text := [name for name in names if not pd.api.types.is_numeric_dtype(frame[name])]:
        told = ", ".join(map(repr, text))
        raise DataError(f"frame: features: {told} not numeric; convert or leave out")
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


class TableScaler:
    """
    Scaler that standardises columns, fills gaps with the mean and drops columns without information.

    Mean and (population) standard deviation are those of the values that are not missing; the mean and gaps
    become 0. A column that is constant or all missing is dropped.

    Parameters
    ----------
    names : sequence of str, default=None
        Names of the columns, for error messages; by default they are numbered.

    Attributes
    ----------
    mean_, scale_ : ndarray of shape (features,)
        Mean and standard deviation of each column, NaN if all values are missing.
    kept_ : ndarray of bool, of shape (features,)
        Whether `transform` returns each column.

    Examples
    --------
    >>> x = np.array([[1.0, 7.0, np.nan], [3.0, 7.0, 4.0], [np.nan, 7.0, 8.0]])
    >>> scaler = TableScaler().fit(x)
    >>> scaler.transform(x)
    array([[-1.,  0.],
           [ 1., -1.],
           [ 0.,  1.]], dtype=float32)
    >>> scaler.inverse_transform(np.zeros((1, 2)))
    array([[2., 7., 6.]])
    """

    mean_: npt.NDArray[np.float64]
    scale_: npt.NDArray[np.float64]
    kept_: npt.NDArray[np.bool_]

    def __init__(self, names: Sequence[str] | None = None) -> None:
        self.names = names

    def fit(self, x: npt.ArrayLike) -> Self:
        """
        Fit the mean, the scale and the columns to keep.

        Parameters
        ----------
        x : array-like of shape (n, features)
            Features, NaN for gaps.

        Returns
        -------
        TableScaler
            This object.

        Raises
        ------
        DataError
            If a value is infinite or no column varies.
        """
        frame = pd.DataFrame(self._table(x))
        # In units of the largest value, squares stay finite, and rounding noise has the same size everywhere.
        unit = frame.abs().max().replace(0, 1)
        frame = frame / unit
        self.mean_ = (frame.mean() * unit).to_numpy()
        spread = frame.std(ddof=0)
        self.scale_ = (spread * unit).to_numpy()
        self.kept_ = (spread > LEAST_SD).to_numpy()
        if not self.kept_.any():
            raise DataError(
                f"x: no column of {frame.shape[1]} varies; give measures that differ between samples"
            )
        return self

    def transform(self, x: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """
        Return the standardised features that the network sees.

        Parameters
        ----------
        x : array-like of shape (n, features)
            Features, NaN for gaps.

        Returns
        -------
        ndarray of float32, of shape (n, kept)
            Standardised features, without gaps.

        Raises
        ------
        DataError
            If a value is infinite, before or after scaling, or the number of columns differs from `fit`.
        """
        table = self._table(x)
        if table.shape[1] != len(self.kept_):
            raise DataError(f"x: wanted {len(self.kept_)} columns as in fit, got {table.shape[1]}")
        with np.errstate(over="ignore"):  # values too far from the fitted ones are refused below
            z = ((table - self.mean_) / np.where(self.kept_, self.scale_, 1)).astype(np.float32)
        if (far := np.isinf(z) & self.kept_).any():
            told = _told(far, self.names)
            raise DataError(
                f"x: infinite values in column {told} once scaled, so far are they from those of the fit; "
                "correct them"
            )
        return np.nan_to_num(z[:, self.kept_])

    def inverse_transform(self, z: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """
        Transform standardised features back to the units of the input.

        Parameters
        ----------
        z : array-like of shape (n, kept)
            Standardised features.

        Returns
        -------
        ndarray of shape (n, features)
            All columns of the input; dropped ones are constant, or NaN if all values were missing.
        """
        z = np.asarray(z, dtype=np.float64)
        x = np.tile(self.mean_, (len(z), 1))
        x[:, self.kept_] += z * self.scale_[self.kept_]
        return x

    def state(self) -> dict[str, AnyArray]:
        """
        Return the fitted parameters as arrays.

        Returns
        -------
        dict of str to ndarray
            Arrays with the names mean, scale and kept.
        """
        return {"mean": self.mean_, "scale": self.scale_, "kept": self.kept_}

    @classmethod
    def from_state(cls, state: Mapping[str, AnyArray], names: Sequence[str] | None = None) -> Self:
        """
        Restore a fitted scaler from its state.

        Parameters
        ----------
        state : mapping of str to ndarray
            Result of `state`.
        names : sequence of str, default=None
            Names of the columns, for error messages.

        Returns
        -------
        TableScaler
            Fitted scaler.
        """
        scaler = cls(names)
        scaler.mean_, scaler.scale_, scaler.kept_ = state["mean"], state["scale"], state["kept"]
        return scaler

    def _table(self, x: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return a table of floats; raise if a value is infinite, while gaps are allowed."""
        table = np.asarray(x, dtype=np.float64)
        if table.ndim != 2:
            raise DataError(f"x: wanted a table of shape (n, features), got shape {table.shape}")
        refuse_infinite(table, self.names)
        return table


def refuse_infinite(x: npt.NDArray[np.floating], names: Sequence[str] | None) -> None:
    """Raise if a table (n, features) has infinite values, which have no mean."""
    if (infinite := np.isinf(x)).any():
        told = _told(infinite, names)
        raise DataError(f"x: infinite values in column {told}; correct them, or make them missing (NaN)")


def _told(odd: npt.NDArray[np.bool_], names: Sequence[str] | None) -> str:
    """Return the names of the columns in which any value is odd."""
    columns = np.flatnonzero(odd.any(axis=0)).tolist()
    return ", ".join(str(i) if names is None else repr(names[i]) for i in columns)


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
