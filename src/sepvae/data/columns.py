"""Columns of a table: one that is named, and those that are taken as features."""

import re
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import pandas as pd

from sepvae.errors import DataError

P = ParamSpec("P")
T = TypeVar("T")
NUMBER, REGULAR = "number", "re:"  # how features are asked for, besides names and patterns


def takes_group(function: Callable[P, T]) -> Callable[P, T]:
    """
    Let a reader take `group`, as `subject` was called before.

    Parameters
    ----------
    function : callable
        With a keyword `subject`.

    Returns
    -------
    callable
        The same, which warns where `group` is given.
    """

    @wraps(function)
    def reader(*args: P.args, **keywords: P.kwargs) -> T:  # numpydoc ignore=GL08
        if "group" in keywords:
            if keywords.get("subject") is not None:
                raise DataError("group: is called subject now; give one of both")
            message = "group= is called subject= now; the next version does not know the old name"
            warnings.warn(message, FutureWarning, stacklevel=2)
            keywords["subject"] = keywords.pop("group")
        return function(*args, **keywords)

    return reader


def named_column(table: pd.DataFrame, where: object, role: str, name: Any) -> pd.Series:
    """
    Give a column, or one line on what there is instead.

    Parameters
    ----------
    table : DataFrame
        Any.
    where : object
        The table's file, for the message.
    role : str
        What the column is wanted for, for the message.
    name : str
        Of the column.

    Returns
    -------
    Series
        The column.

    Raises
    ------
    DataError
        If there is none of this name, or more than one.
    """
    if name not in table:
        names = [str(column) for column in table.columns]
        near = get_close_matches(str(name), names, 1)
        known = ", ".join(names[:12] or ["none"]) + (", .." if len(names) > 12 else "")
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
    """
    Say what columns are that are no features.

    Parameters
    ----------
    label, subject, id : str or None
        Names of columns; None where there is none.
    attributes : iterable of str
        Names of columns.

    Returns
    -------
    dict of str to str
        From each name to what it is, in words.
    """
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
    Choose the columns that are features.

    Parameters
    ----------
    table : DataFrame
        One row per sample.
    features : sequence of str or None
        Each the name of a column, a pattern ("lh_*" is a prefix), a regular expression that is searched in
        names ("re:^(lh|rh)_"), or "number", which is every column of numbers, as is None.
    where : object
        The table's file, for messages.
    others : mapping of str to str
        Columns that are no features, and what they are; patterns pass over them.
    is_number : callable
        Whether a column holds numbers, for "number".

    Returns
    -------
    list of str
        Names, in the table's order.

    Raises
    ------
    DataError
        If a name or pattern fits no column, a name is one of `others`, or a column stands twice.

    Examples
    --------
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
        named_column(table, where, "features", name)  # refuses one that stands twice
    return names


def _fitting(
    table: pd.DataFrame,
    feature: Any,
    where: object,
    others: Mapping[Any, str],
    is_number: Callable[[pd.Series], bool],
) -> set[Any]:
    """The columns that one name or pattern asks for."""
    fits = _rule(feature)
    if feature != NUMBER and (feature in table or fits is None):
        if feature in others:
            raise DataError(
                f"{where}: features: {feature!r} is {others[feature]}, and cannot be both; leave one out"
            )
        return {named_column(table, where, "features", feature).name}
    if feature == NUMBER:
        columns = enumerate(table.columns)
        found = {c for i, c in columns if c not in others and is_number(table.iloc[:, i])}
        if not found:
            raise DataError(f"{where}: features: no column of numbers is left; name the columns of measures")
        return found
    try:
        matching = [column for column in table.columns if fits is not None and fits(str(column))]
    except re.error as error:
        raise DataError(f"{where}: features: {feature!r} is no regular expression ({error})") from error
    if not matching:
        names = ", ".join(map(str, table.columns[:12])) + (", .." if table.shape[1] > 12 else "")
        raise DataError(f"{where}: features: no column fits {feature!r}; it has {names}")
    if not (found := set(matching).difference(others)):
        raise DataError(
            f"{where}: features: only {matching[0]!r} fits {feature!r}, which is {others[matching[0]]}; "
            "name columns of measures"
        )
    return found


def _rule(feature: Any) -> Callable[[str], bool] | None:
    """What names a pattern fits; None for what is no pattern."""
    if not isinstance(feature, str):
        return None
    if feature.startswith(REGULAR):
        return lambda name: re.search(feature.removeprefix(REGULAR), name) is not None
    return (lambda name: fnmatchcase(name, feature)) if set(feature) & set("*?[") else None
