"""Tables of measures: from a DataFrame to a source, and the scaling that a fit learns."""

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

LEAST_SD = 1e-12  # of values in units of the largest: a column that varies less is constant


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
    Make a source of the rows of a table.

    Parameters
    ----------
    frame : DataFrame
        One row per sample; of pandas, polars, pyarrow or another with the dataframe interchange protocol.
    label : str
        Column of labels, kept as they are.
    features : sequence of str, default=None
        Columns of measures, which may have gaps, each by its name, a pattern ("lh_*"), a regular expression
        ("re:^(lh|rh)_"), or "number": all numeric columns that are not named otherwise. By default those.
    subject : str, default=None
        Column that names the person, who stays on one side of a split; by default every row is one.
    id : str, default=None
        Column of unique names; by default rows are numbered.
    attributes : sequence of str, default=()
        Columns of what else is known.
    missing, not_missing : sequence of str or float, default=()
        Words and codes of attributes and features that are missing besides "NA", "n/a", "nan" and the like,
        such as -9999; and words that are not, such as a site named "NA". Labels and ids stay words.

    Returns
    -------
    ArraySource
        `x` is float64 of shape (n, features), NaN where there is a gap.

    Raises
    ------
    DataError
        If a column is not there, of no use (not numeric, infinite, a label, subject or id that is missing) or
        named as feature and as something else.

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
    Standardises the columns of a table, fills gaps with the mean and drops columns that say nothing.

    Mean and (population) standard deviation are those of the values that are there; the mean becomes 0, and
    so does a gap. A column that is constant or all missing is dropped.

    Parameters
    ----------
    names : sequence of str, default=None
        Names of the columns, for error messages; by default they are numbered.

    Attributes
    ----------
    mean_, scale_ : ndarray of shape (features,)
        Mean and standard deviation of each column, NaN where all is missing.
    kept_ : ndarray of bool, of shape (features,)
        Which columns `transform` gives.

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
        Learn mean, scale and which columns to keep.

        Parameters
        ----------
        x : array-like of shape (n, features)
            Measures, NaN where there is a gap.

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
        # In units of the largest value, squares of large values stay finite, and rounding noise has one size.
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
        What the network sees.

        Parameters
        ----------
        x : array-like of shape (n, features)
            Measures, NaN where there is a gap.

        Returns
        -------
        ndarray of float32, of shape (n, kept)
            Standardised, without gaps.

        Raises
        ------
        DataError
            If a value is infinite, before or after scaling, or the columns are not as many as in `fit`.
        """
        table = self._table(x)
        if table.shape[1] != len(self.kept_):
            raise DataError(f"x: wanted {len(self.kept_)} columns as in fit, got {table.shape[1]}")
        with np.errstate(over="ignore"):  # a value too far from all that fit saw is refused below
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
        Back to the units of the input.

        Parameters
        ----------
        z : array-like of shape (n, kept)
            Standardised measures.

        Returns
        -------
        ndarray of shape (n, features)
            All columns of the input; those that were dropped at their constant, NaN where all was missing.
        """
        z = np.asarray(z, dtype=np.float64)
        x = np.tile(self.mean_, (len(z), 1))
        x[:, self.kept_] += z * self.scale_[self.kept_]
        return x

    def state(self) -> dict[str, AnyArray]:
        """
        What `fit` learnt, as arrays.

        Returns
        -------
        dict of str to ndarray
            Under the names mean, scale and kept.
        """
        return {"mean": self.mean_, "scale": self.scale_, "kept": self.kept_}

    @classmethod
    def from_state(cls, state: Mapping[str, AnyArray], names: Sequence[str] | None = None) -> Self:
        """
        Make a fitted scaler of its state.

        Parameters
        ----------
        state : mapping of str to ndarray
            What `state` gave.
        names : sequence of str, default=None
            Names of the columns, for error messages.

        Returns
        -------
        TableScaler
            Fitted.
        """
        scaler = cls(names)
        scaler.mean_, scaler.scale_, scaler.kept_ = state["mean"], state["scale"], state["kept"]
        return scaler

    def _table(self, x: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """A finite table of floats, gaps aside."""
        table = np.asarray(x, dtype=np.float64)
        if table.ndim != 2:
            raise DataError(f"x: wanted a table of shape (n, features), got shape {table.shape}")
        refuse_infinite(table, self.names)
        return table


def refuse_infinite(x: npt.NDArray[np.floating], names: Sequence[str] | None) -> None:
    """
    See that a table has no infinite values, which have no mean.

    Shapes: x (n, features).
    """
    if (infinite := np.isinf(x)).any():
        told = _told(infinite, names)
        raise DataError(f"x: infinite values in column {told}; correct them, or make them missing (NaN)")


def _told(odd: npt.NDArray[np.bool_], names: Sequence[str] | None) -> str:
    """Name the columns in which something is odd."""
    columns = np.flatnonzero(odd.any(axis=0)).tolist()
    return ", ".join(str(i) if names is None else repr(names[i]) for i in columns)


def _without_missing(column: pd.Series, rules: CellRules) -> pd.Series:
    """A column in which words and codes of missing values are missing."""
    if pd.api.types.is_numeric_dtype(column):
        codes = pd.to_numeric(pd.Series(rules.missing, dtype=object), errors="coerce").dropna()
        return column.mask(column.isin(codes)) if len(codes) else column
    if not (pd.api.types.is_object_dtype(column) or pd.api.types.is_string_dtype(column)):
        return column
    gone = rules.are_missing(column.astype(object).map(str, na_action="ignore").astype("str"))
    return column.mask(gone) if (gone & column.notna()).any() else column


def _is_number(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
