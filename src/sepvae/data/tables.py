"""Tables of features: from a DataFrame to a source."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from sepvae.data.arrays import ArraySource
from sepvae.data.cells import CellRules
from sepvae.data.columns import choose_columns, named_column, other_columns, takes_group
from sepvae.data.frames import as_frame
from sepvae.errors import DataError


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


def refuse_infinite(x: npt.NDArray[np.floating], names: Sequence[str] | None) -> None:
    """Raise if a table (n, features) has infinite values, which have no mean."""
    if (infinite := np.isinf(x)).any():
        told = name_columns(infinite, names)
        raise DataError(f"x: infinite values in column {told}; correct them, or make them missing (NaN)")


def name_columns(odd: npt.NDArray[np.bool_], names: Sequence[str] | None) -> str:
    """Return the names of the columns in which any value is odd, for a message."""
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
