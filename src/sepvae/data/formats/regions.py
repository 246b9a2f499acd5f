"""Tables of features, such as FreeSurfer's, one person per row: of files, or as DataFrames."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from sepvae.codes import Kind
from sepvae.data.arrays import ArraySource, StreamSource, as_frame, refuse_infinite
from sepvae.data.cells import TableNote, are_missing
from sepvae.data.columns import (
    NUMBER,
    about_rows,
    choose_columns,
    column_notes,
    feature_numbers,
    named_column,
    numbers_in,
    other_columns,
    takes_group,
    with_person,
    words_of_missing,
)
from sepvae.data.formats import OF_VOLUMES, TABLE, Format, Read
from sepvae.data.joining import TOTALS, read_joined
from sepvae.data.manifest import FEATURES_WRITTEN, Manifest
from sepvae.data.spec import DataSpec, read_spec
from sepvae.errors import DataError
from sepvae.progress import Progress


class Regions(Format):
    """Table of features, which are named by columns or patterns."""

    name, kind, title, sample = "regions", TABLE, "a table of features", "row"
    refused = ("root", "assume_orientation", *OF_VOLUMES)

    def detect(self, path: Path, spec: DataSpec) -> bool:
        return spec.images is None and (spec.features is not None or bool(spec.tables))

    def list(self, path: Path, spec: DataSpec, *, labelled: bool = True) -> Manifest:
        table, notes, regions = read_joined(path, spec)
        spec, ids = with_person(spec, table, path)
        rows = about_rows(table, notes, path, spec, ids or [str(i) for i in range(len(table))])

        def is_number(cells: "pd.Series[str]") -> bool:
            """Return whether all cells are numbers or missing."""
            return not numbers_in(cells, spec)[1].any()

        others = other_columns(spec.attributes, label=spec.label, subject=spec.subject, id=spec.id)
        asked = spec.features or [name for name in regions if name not in others]
        if spec.features is None and not asked:
            raise DataError(f"{path}: name the columns of features, such as --features 'lh_*'")
        names = choose_columns(table, asked, path, others, is_number)
        if spec.features is None:
            rows["notes"].append(_taken(table, names, others))
        rows["notes"] += column_notes(table, names, others, is_number) if NUMBER in asked else []
        words = pd.Series(table[names].to_numpy().ravel(), dtype=str)
        rows["written"][FEATURES_WRITTEN] = words_of_missing(words, spec)
        return Manifest(path, **rows, format=self, features=feature_numbers(table[names], path, spec))

    def read(self, manifest: Manifest, spec: DataSpec, progress: Progress | None = None) -> Read:
        features = pd.DataFrame() if manifest.features is None else manifest.features
        x, names = features.to_numpy(dtype=np.float64), list(features.columns)
        return ArraySource(x, **manifest.described, feature_names=names), None


@takes_group
def read_regions(
    path: str | Path,
    *,
    features: Sequence[str] | None = None,
    label: str,
    tables: Sequence[str | Path] = (),
    subject: str | None = None,
    id: str | None = None,  # noqa: A002
    attributes: Mapping[str, Kind | None] | Sequence[str] = (),
    missing: Sequence[str | float] = (),
    not_missing: Sequence[str | float] = (),
    encoding: str | None = None,
) -> ArraySource | StreamSource:
    """
    Read a table of features, one person per row.

    Parameters
    ----------
    path, label, subject, attributes, missing, not_missing, encoding : object
        As in `read_image_table`; codes for missing values apply to features, too.
    features : sequence of str
        Names of columns, patterns ("lh_*" is a prefix), regular expressions that are searched in names
        ("re:^(lh|rh)_"), or "number": every column whose cells are numbers or missing. Columns with another
        role are never features. By default all columns of FreeSurfer's `tables` but the head's totals.
    tables : sequence of str or Path, default=()
        Further tables, as in `DataSpec`: of aparcstats2table, asegstats2table or any with participant_id.
    id : str, default=None
        Column of unique names; by default "participant_id", with "session_id" if that column exists, or the
        row number if no column names participants or it names the subjects.

    Returns
    -------
    ArraySource
        `x` is float64 of shape (n, features), NaN for gaps; `feature_names` names its columns.

    Raises
    ------
    DataError
        If the table, a column or a cell cannot be used, or a name or pattern matches no column.
    """
    return Regions().load(**locals())


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
        As in `read_regions`; by default "number".
    subject, id : str, default=None
        Columns of persons, whom a split keeps on one side (by default every row is one), and of unique names
        (by default rows are numbered).
    attributes : sequence of str, default=()
        Columns of further attributes.
    missing, not_missing : sequence of str or float, default=()
        As in `read_regions`.

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
    spec = read_spec({"missing": missing, "not_missing": not_missing})
    names = choose_columns(frame, features, "frame", others, _is_number)
    if text := [repr(name) for name in names if not pd.api.types.is_numeric_dtype(frame[name])]:
        raise DataError(f"frame: features: {', '.join(text)} not numeric; convert or leave out")
    known = {name: _without_missing(frame[name], spec) for name in [*names, *attributes]}
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


def _without_missing(column: pd.Series, spec: DataSpec) -> pd.Series:
    """Return a column in which words and codes for missing values are missing."""
    if pd.api.types.is_numeric_dtype(column):
        codes = pd.to_numeric(pd.Series(spec.missing, dtype=object), errors="coerce").dropna()
        return column.mask(column.isin(codes)) if len(codes) else column
    if not (pd.api.types.is_object_dtype(column) or pd.api.types.is_string_dtype(column)):
        return column
    gone = are_missing(column.astype(object).map(str, na_action="ignore").astype("str"), spec)
    return column.mask(gone) if (gone & column.notna()).any() else column


def _is_number(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def _taken(table: pd.DataFrame, names: Sequence[str], others: Mapping[str, str]) -> TableNote:
    """Return a note on the features of FreeSurfer's tables, which are taken unless features are named."""
    text = f"features: the {len(names)} columns of FreeSurfer's tables"
    if totals := [name for name in TOTALS if name in table and name not in others]:
        text += f"; left out: {', '.join(totals)}, sizes of the whole head (--features takes them, "
        text += f"--attribute {totals[-1]}:continuous makes one a covariate)"
    return TableNote("note", "features-taken", text)
