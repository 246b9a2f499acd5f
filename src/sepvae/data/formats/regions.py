"""Tables of regional features, such as FreeSurfer's, with labels and covariates: one person per row."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from sepvae.codes import Kind
from sepvae.data.arrays import ArraySource, StreamSource
from sepvae.data.cells import CellRules, read_cell_table
from sepvae.data.columns import (
    about_rows,
    choose_columns,
    column_notes,
    numbers_in,
    other_columns,
    rules_of,
    takes_group,
    with_person,
    words_of_missing,
)
from sepvae.data.formats import OF_VOLUMES, TABLE, Format, Read
from sepvae.data.manifest import FEATURES_WRITTEN, Manifest
from sepvae.data.spec import DataSpec
from sepvae.errors import DataError
from sepvae.grid import Grid
from sepvae.progress import Progress


class Regions(Format):
    """Table of features, which are named by columns or patterns."""

    name, kind, title, sample = "regions", TABLE, "a table of features", "row"
    refused = ("root", "assume_orientation", *OF_VOLUMES)

    def detect(self, path: Path, spec: DataSpec) -> bool:
        return spec.features is not None and spec.images is None

    def list(self, path: Path, spec: DataSpec, *, labelled: bool = True) -> Manifest:
        rules, asked = rules_of(spec), spec.features or ()
        given = read_cell_table(path, rules)
        table = given.cells
        spec = with_person(spec, table)
        rows = about_rows(given, path, spec, [str(i) for i in range(len(table))])

        def is_number(cells: "pd.Series[str]") -> bool:
            """Return whether all cells are numbers or missing."""
            return not numbers_in(cells, rules)[1].any()

        others = other_columns(spec.attributes, label=spec.label, subject=spec.subject, id=spec.id)
        names = choose_columns(table, asked, where=path, others=others, is_number=is_number)
        rows["notes"] += column_notes(table, asked, names, others=others, is_number=is_number)
        words = pd.Series(table[names].to_numpy().ravel(), dtype=str)
        rows["written"][FEATURES_WRITTEN] = words_of_missing(words, rules)
        return Manifest(path, **rows, format=self, features=_numbers(table[names], path, rules))

    def read(
        self, manifest: Manifest, spec: DataSpec, grid: Grid | None = None, progress: Progress | None = None
    ) -> Read:
        features = pd.DataFrame() if manifest.features is None else manifest.features
        x, names = features.to_numpy(dtype=np.float64), list(features.columns)
        return ArraySource(x, **manifest.described, feature_names=names), None


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
) -> ArraySource | StreamSource:
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
    return Regions().load(**locals())


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
