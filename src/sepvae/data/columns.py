"""Columns of a table: lookup by name, and choice of the features."""

import re
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import numpy as np
import pandas as pd

from sepvae.data.cells import TableNote
from sepvae.errors import DataError

P = ParamSpec("P")
T = TypeVar("T")
NAMELESS = re.compile(r"\s*|Unnamed: \d+(_level_\d+)?|nan|None")  # a pandas index written as a column
ID = re.compile(r"(^|.*[_ .-])(id|ids|idx|index|subject|participant|subj|rid|ptid)|index|rownames", re.I)
MIN_ROWS = 5  # fewer values may be consecutive by chance
NUMBER, REGULAR = "number", "re:"  # ways to choose features besides names and patterns


def takes_group(function: Callable[P, T]) -> Callable[P, T]:
    """Let a reader accept `group`, the former name of `subject`, with a FutureWarning."""

    @wraps(function)
    def reader(*args: P.args, **keywords: P.kwargs) -> T:
        if "group" in keywords:
            if keywords.get("subject") is not None:
                raise DataError("group: is called subject now; give one of both")
            message = "group= is called subject= now; the next version does not know the old name"
            warnings.warn(message, FutureWarning, stacklevel=2)
            keywords["subject"] = keywords.pop("group")
        return function(*args, **keywords)

    return reader


def named_column(table: pd.DataFrame, where: object, role: str, name: Any) -> pd.Series:
    """Return a column; raise if no column or several columns have the name."""
    if name not in table:
        names = [str(column) for column in table.columns]
        near = get_close_matches(str(name), names, 1)
        known = ", ".join(
            [repr(c) if not isinstance(c, str) else c for c in table.columns[:12]] or ["none"]
        ) + (", .." if len(names) > 12 else "")
        hint = f"did you mean {near[0]!r}?" if near else f"it has {known}"
        raise DataError(f"{where}: no column {name!r} for {role}; {hint}")
    column = table[name]
    if not isinstance(column, pd.Series):
        raise DataError(
            f"{where}: several columns are named {name!r}, wanted one for {role}; rename the others"
        )
    return column


def other_columns(
    label: str | None,
    subject: str | None,
    id: str | None,  # noqa: A002  (the word of this library)
    attributes: Iterable[str],
) -> dict[Any, str]:
    """Return the role, in words, of each column that is not a feature."""
    roles = {"the label": label, "the subject": subject, "the id": id}
    named = {name: role for role, name in roles.items() if name is not None}
    return dict.fromkeys(attributes, "an attribute") | named


def choose_columns(
    table: pd.DataFrame,
    features: Sequence[str] | None,
    *,
    where: object,
    others: Mapping[Any, str],
    is_number: Callable[[pd.Series], bool],
) -> list[Any]:
    """
    Return the names of the feature columns, in the order of the table.

    A feature is a name, a pattern ("lh_*"), a regular expression ("re:^(lh|rh)_") or "number", the default.
    Patterns and "number" skip row numbers; "number" also skips numeric ids. Columns without a name
    cannot be features.

    >>> table = pd.DataFrame(columns=["age", "lh_area", "rh_area", "lh_volume"])
    >>> choose_columns(table, ["lh_*", "rh_area"], where="table", others={}, is_number=lambda _: False)
    ['lh_area', 'rh_area', 'lh_volume']
    """
    asked = [features] if isinstance(features, str) else [NUMBER] if features is None else list(features)
    if not asked:
        raise DataError(f"{where}: features: wanted names of columns or patterns, got none")
    if twice := [feature for feature in asked if asked.count(feature) > 1]:
        raise DataError(f"{where}: features: {twice[0]!r} is named twice; leave one out")
    if features is not None and NUMBER in asked and NUMBER in table:
        raise DataError(
            f"{where}: features: {NUMBER!r} is the name of a column, and asks for all that hold numbers; "
            "rename the column"
        )
    chosen: set[Any] = set()
    for feature in asked:
        chosen |= _fitting(table, feature, where, others, is_number)
    names = [name for name in table.columns if name in chosen]
    for name in names:
        named_column(table, where, "features", name)  # raises if the name is not unique
    return names


def _fitting(
    table: pd.DataFrame,
    feature: Any,
    where: object,
    others: Mapping[Any, str],
    is_number: Callable[[pd.Series], bool],
) -> set[Any]:
    """Return the columns that one name or pattern selects."""
    fits = _rule(feature)
    if feature == NUMBER:
        return _columns_of_numbers(table, where, others, is_number)
    if feature in table or fits is None:
        if feature in table and is_nameless(feature):
            raise DataError(
                f"{where}: features: {feature!r} is a column without a name, such as an index that pandas "
                "wrote; name it in the table, or leave it out"
            )
        if feature in others:
            raise DataError(
                f"{where}: features: {feature!r} is {others[feature]}, and cannot be both; leave one out"
            )
        return {named_column(table, where, "features", feature).name}
    try:
        matching = [column for column in table.columns if fits(str(column))]
    except re.error as error:
        raise DataError(f"{where}: features: {feature!r} is no regular expression ({error})") from error
    if not matching:
        names = ", ".join(map(str, table.columns[:12])) + (", .." if table.shape[1] > 12 else "")
        raise DataError(f"{where}: features: no column fits {feature!r}; it has {names}")
    rows = {
        name
        for i, name in enumerate(table.columns)
        if name in matching and (is_nameless(name) or _are_row_numbers(table.iloc[:, i]))
    }
    if rows and rows == set(matching):
        raise DataError(
            f"{where}: features: only row numbers ({matching[0]!r}) fit {feature!r}; name features"
        )
    if not (found := set(matching).difference(others, rows)):
        raise DataError(
            f"{where}: features: only {matching[0]!r} fits {feature!r}, which is {others[matching[0]]}; "
            "name columns of features"
        )
    return found


def _columns_of_numbers(
    table: pd.DataFrame, where: object, others: Mapping[Any, str], is_number: Callable[[pd.Series], bool]
) -> set[Any]:
    """Return the columns of numbers that have no other role, and are neither ids nor row numbers."""
    columns = [(name, table.iloc[:, i]) for i, name in enumerate(table.columns) if name not in others]
    found = {name for name, column in columns if is_number(column) and not why_no_feature(column, name)}
    if not found:
        raise DataError(f"{where}: features: no column of numbers is left; name the columns of features")
    return found


def is_nameless(name: Any) -> bool:
    """Return whether a column has no name, such as an index that pandas wrote."""
    return NAMELESS.fullmatch(str(name)) is not None


def why_no_feature(column: pd.Series, name: Any) -> str:
    """Return why "number" skips a column of numbers; empty if it may be a feature."""
    if is_nameless(name):
        return "no name"
    if _are_row_numbers(column):
        return "row numbers"
    if ID.fullmatch(str(name)) is None:
        return ""
    numbers = pd.to_numeric(column, errors="coerce")
    whole = numbers.notna().all() and (numbers == numbers.round()).all() and numbers.is_unique
    return "an id" if whole else ""


def column_notes(
    table: pd.DataFrame,
    features: Sequence[str],
    names: Sequence[Any],
    *,
    others: Mapping[Any, str],
    is_number: Callable[[pd.Series], bool],
) -> list[TableNote]:
    """Return notes on the columns that "number" selected and skipped; empty if it was not used."""
    if NUMBER not in features:
        return []
    few = ", ".join(map(str, names[:4])) + (f", .., {names[-1]}" if len(names) > 4 else "")
    out: dict[str, list[str]] = {}
    for i, name in enumerate(table.columns):
        if name in names:
            continue
        column = table.iloc[:, i]
        why = others.get(name) or ("words" if not is_number(column) else why_no_feature(column, name))
        out.setdefault(why.removeprefix("the ").removeprefix("an "), []).append(repr(name))
    skipped = "; ".join(
        f"{why}: {', '.join(left[:4])}" + f" and {len(left) - 4} more" * (len(left) > 4)
        for why, left in out.items()
    )
    message = f"features: number took {len(names)} of {table.shape[1]} columns: {few}"
    notes = [TableNote("note", "features-taken", message + (f"; left out: {skipped}" if skipped else ""))]
    constant = [str(name) for name in names if table[name].dropna().nunique() < 2]
    if constant:
        few = ", ".join(constant[:4]) + f" and {len(constant) - 4} more" * (len(constant) > 4)
        message = f"features: {len(constant)} of these are constant or empty ({few}): a fit drops them"
        notes.append(TableNote("note", "features-constant", message))
    return notes


def _are_row_numbers(column: pd.Series) -> bool:
    """Return whether a column counts its rows, from 0 or 1."""
    if len(column) < MIN_ROWS or str(column.iloc[0]).partition(".")[0] not in ("0", "1"):
        return False
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float, na_value=float("nan"))
    return bool((numbers == np.arange(len(column)) + numbers[0]).all())


def _rule(feature: Any) -> Callable[[str], bool] | None:
    """Return the test of names for a pattern or regular expression; None for a plain name."""
    if not isinstance(feature, str):
        return None
    if feature.startswith(REGULAR):
        return lambda name: re.search(feature.removeprefix(REGULAR), name) is not None
    return (lambda name: fnmatchcase(name, feature)) if set(feature) & set("*?[") else None
