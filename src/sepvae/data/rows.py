"""Rows of a table that describes samples: their ids, groups, labels and attributes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sepvae.checks import check_attribute_names
from sepvae.codes import MAX_LEVELS, Kind
from sepvae.data.cells import CellRules, CellTable, TableNote
from sepvae.data.columns import named_column
from sepvae.data.spec import DataSpec
from sepvae.errors import DataError

PERSON = "participant_id"  # BIDS name of the column of unique names
MIXED = 0.5  # least share of numbers for a note on the words among them


def rules_of(spec: DataSpec) -> CellRules:
    """Return the rules of a spec for the cells of a table."""
    return CellRules(tuple(spec.missing or ()), tuple(spec.not_missing or ()), spec.encoding)


def about_rows(given: CellTable, path: Path, spec: DataSpec, ids: Sequence[str]) -> dict[str, Any]:
    """
    Return what the rows of a table say of samples, as keywords of `Manifest`; `ids` if the spec names none.

    Attributes that are named as continuous are floats.
    """
    table, notes, rules = given.cells, [*given.notes], rules_of(spec)
    check_attribute_names(spec.attributes)
    names = pd.Series(ids, index=table.index) if spec.id is None else whole_column(table, path, "id", spec.id)
    if twice := names[names.duplicated()].tolist():
        lines = names.index[names == twice[0]].tolist()
        raise DataError(
            f"{path}: {twice[0]!r} stands in lines {lines[0]} and {lines[1]}; "
            "every sample needs a name of its own: name another --id column, or fix the table"
        )
    group = names if spec.subject is None else whole_column(table, path, "subject", spec.subject)
    label = "" if spec.label is None else whole_column(table, path, "label", spec.label)
    about = pd.DataFrame({"id": names, "group": group, "label": label, "split": None})
    written = {}
    for name, kind in spec.attributes.items():
        cells = named_column(table, path, "an attribute", name)
        about[name], mixed = _typed(cells, path, kind, rules)
        written[name] = words_of_missing(cells, rules)
        notes += [mixed] if mixed else []
    kinds = {name: kind for name, kind in spec.attributes.items() if kind}
    found = {"about": about.reset_index(drop=True), "kinds": kinds, "notes": notes, "written": written}
    grouped = spec.subject is not None or spec.id == PERSON  # one row per participant
    return found | {"grouped": grouped, "label_name": spec.label or "kind"}


def words_of_missing(cells: "pd.Series[str]", rules: CellRules) -> list[str]:
    """
    Return the words for missing values, the most frequent first; "n/a or empty" if `read_cells` drops it.

    >>> words_of_missing(pd.Series(["1", "NA", None, "NA"], dtype=str), CellRules())
    ['NA', 'n/a or empty']
    """
    return cells[rules.are_missing(cells)].fillna("n/a or empty").value_counts().index.tolist()


def with_person(spec: DataSpec, table: pd.DataFrame) -> DataSpec:
    """
    Return a spec whose ids are participant_id, if it names none, and that column exists and is no subject.

    >>> with_person(DataSpec(), pd.DataFrame({"participant_id": ["sub-1"]})).id
    'participant_id'
    """
    is_id = spec.id is None and spec.subject != PERSON and PERSON in table
    return spec.model_copy(update={"id": PERSON}) if is_id else spec


def numbers_in(
    cells: "pd.Series[str]", rules: CellRules | None = None
) -> tuple["pd.Series[float]", "pd.Series[bool]"]:
    """
    Return cells as numbers (NaN if missing or text, perhaps infinite), and which of them hold text.

    >>> numbers, text = numbers_in(pd.Series(["1.5", "NA", "left"]))
    >>> numbers.tolist(), text.tolist()
    ([1.5, nan, nan], [False, False, True])
    """
    known = cells.mask((rules or CellRules()).are_missing(cells))
    numbers = pd.to_numeric(known, errors="coerce")
    return numbers, known.notna() & numbers.isna()


def whole_column(table: pd.DataFrame, path: Path, role: str, name: str) -> pd.Series:
    """Return a column; raise if it has gaps."""
    cells = named_column(table, path, role, name)
    if gaps := cells.index[cells.isna()].tolist():
        raise DataError(
            f"{path}: {len(gaps)} of {len(cells)} rows have no {name!r} for {role}, the first in line "
            f"{gaps[0]}; fill them in, or drop those rows"
        )
    return cells


def _typed(
    cells: "pd.Series[str]", path: Path, kind: Kind | None, rules: CellRules
) -> "tuple[pd.Series[Any], TableNote | None]":
    """Return an attribute as words or numbers, and a note on mixed cells; the kind None is detected."""
    words = cells.mask(rules.are_missing(cells))
    if kind == "categorical":
        return words, None
    numbers, text = numbers_in(cells, rules)
    wrong = cells.index[text | np.isinf(numbers)].tolist()
    if not wrong:
        return numbers.astype(np.float64) if kind == "continuous" else numbers, None
    comma = cells[wrong].str.fullmatch(r"[+-]?\d+,\d+").all()
    if kind is None and not comma:
        return words, _mixed(words, numbers, text)
    remedy = (
        "write decimals with a point"
        if comma
        else f"correct the table, make it missing (--missing {cells[wrong[0]]})"
    )
    raise DataError(
        f"{path} line {wrong[0]}: wanted a number as {cells.name!r}, got {cells[wrong[0]]!r}; "
        f"{remedy}, or name the attribute {cells.name}:categorical"
    )


def _mixed(words: "pd.Series[str]", numbers: "pd.Series[float]", text: "pd.Series[bool]") -> TableNote | None:
    """Return a warning if a few words turn a column of numbers into classes."""
    n_numbers, n_known = int(numbers.notna().sum()), int(words.notna().sum())
    if n_numbers < MIXED * n_known or numbers.nunique() <= MAX_LEVELS:
        return None
    word = words[text].value_counts().index[0]
    message = (
        f"{words.name}: {n_numbers} of {n_known} cells are numbers, but {n_known - n_numbers} are words "
        f"({word!r}), so all are read as classes: --missing {word} makes it missing"
    )
    return TableNote("warning", "words-among-numbers", message)
