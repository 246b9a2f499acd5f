"""Tables of regional features, such as FreeSurfer's, with labels and covariates: one person per row."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from sepvae.codes import Kind
from sepvae.data.arrays import ArraySource
from sepvae.data.cells import CellRules, read_cell_table
from sepvae.data.columns import choose_columns, column_notes, other_columns, takes_group
from sepvae.data.image_table import PERSON, about_rows, id_column, numbers_in, words_of_missing
from sepvae.data.manifest import FEATURES_WRITTEN, Manifest
from sepvae.errors import DataError


@takes_group
def list_regions(
    path: str | Path,
    *,
    features: Sequence[str],
    label: str | None,
    subject: str | None = None,
    id: str | None = None,  # noqa: A002  (the word of this library)
    attributes: Mapping[str, Kind | None] | Sequence[str] = (),
    rules: CellRules | None = None,
) -> Manifest:
    """
    List the rows of a table of features; columns are named as in `read_regions`.

    >>> manifest = list_regions(
    ...     "aparc_aseg.csv",
    ...     features=["lh_*", "rh_*", "aseg_*"],
    ...     label="DX_GROUP",
    ...     attributes={"AGE_AT_SCAN": "continuous", "SITE_ID": "categorical"},
    ... )  # doctest: +SKIP
    """
    path = Path(path)
    rules = rules or CellRules()
    given = read_cell_table(path, rules)
    table = given.cells
    id = id_column(table, id, subject)  # noqa: A001
    others = other_columns(label, subject, id, attributes)
    ids = [str(i) for i in range(len(table))]
    rows = about_rows(
        given, path, label=label, subject=subject, id=id, attributes=attributes, ids=ids, rules=rules
    )

    def is_number(cells: "pd.Series[str]") -> bool:
        """Return whether all cells are numbers or missing."""
        return not numbers_in(cells, rules)[1].any()

    names = choose_columns(table, features, where=path, others=others, is_number=is_number)
    numbers = _numbers(table[names], path, rules)
    words = pd.Series(table[names].to_numpy().ravel(), dtype=str)
    told = column_notes(table, features, names, others=others, is_number=is_number)
    return Manifest(
        path,
        rows.about,
        features=numbers,
        kinds=rows.kinds,
        grouped=subject is not None or id == PERSON,  # one row per participant
        label_name=label or "kind",
        notes=[*rows.notes, *told],
        written={**rows.written, FEATURES_WRITTEN: words_of_missing(words, rules)},
    )


def regions_source(manifest: Manifest) -> ArraySource:
    """Return listed features as a source; `x` is float64 of shape (n, features), NaN for gaps."""
    features = pd.DataFrame() if manifest.features is None else manifest.features
    x, names = features.to_numpy(dtype=np.float64), list(features.columns)
    return ArraySource(x, **manifest.described, feature_names=names)


@takes_group
def read_regions(
    path: str | Path,
    *,
    features: Sequence[str],
    label: str,
    subject: str | None = None,
    id: str | None = None,  # noqa: A002
    attributes: Mapping[str, Kind | None] | Sequence[str] = (),
    missing: Sequence[str | float] = (),
    not_missing: Sequence[str | float] = (),
    encoding: str | None = None,
) -> ArraySource:
    """
    Read a table of features, one person per row.

    Parameters
    ----------
    path, features, label, subject, id, attributes : object
        A text table (tabs, commas or semicolons between the cells, names of columns in the first line) and
        its columns. `features` are names, patterns ("lh_*" is a prefix), regular expressions that are
        searched in names ("re:^(lh|rh)_"), or "number": every column whose cells are numbers or missing.
        Columns with another role are never features. `subject` names the person, who stays on one side of a
        split; by default every row is one person. `id` holds unique names. By default it is "participant_id",
        or the row number if that column does not exist or names the subjects. `attributes` are covariates and
        scores. A mapping gives their kind: "continuous" (numbers), "categorical" (words), or None to detect
        it from the values.
    missing, not_missing, encoding : object
        As in `read_image_table`; codes for missing values apply to features, too.

    Returns
    -------
    ArraySource
        `x` is float64 of shape (n, features), NaN for gaps; `feature_names` names its columns.

    Raises
    ------
    DataError
        If the table, a column or a cell cannot be used, or a name or pattern matches no column.

    Examples
    --------
    >>> source = read_regions("aparc_aseg.csv", features="re:^(lh|rh)_", label="DX_GROUP")  # doctest: +SKIP
    """
    rules = CellRules(missing, not_missing, encoding)
    return regions_source(
        list_regions(
            path, features=features, label=label, subject=subject, id=id, attributes=attributes, rules=rules
        )
    )


def _numbers(cells: pd.DataFrame, path: Path, rules: CellRules) -> pd.DataFrame:
    """Return columns of finite numbers, NaN for gaps; converted at once, since pandas is slow per column."""
    words = pd.Series(cells.to_numpy().ravel("F"), dtype=str)
    numbers, text = numbers_in(words, rules)
    if wrong := np.flatnonzero(text | np.isinf(numbers)).tolist():
        column, row = divmod(wrong[0], len(cells))
        raise DataError(
            f"{path} line {cells.index[row]}: wanted a number as feature {cells.columns[column]!r}, got "
            f"{words[wrong[0]]!r}; correct it (decimals have a point), make it missing (empty, or "
            f"--missing {words[wrong[0]]}), or leave that column out"
        )
    x = numbers.to_numpy(dtype=np.float64).reshape(cells.shape, order="F")
    return pd.DataFrame(x, columns=cells.columns)
