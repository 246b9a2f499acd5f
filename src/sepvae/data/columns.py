"""Columns of a table: label, subject, id and attributes of each row, and the choice of the features."""

import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np
import pandas as pd

from sepvae.checks import check_attribute_names
from sepvae.codes import MAX_LEVELS, Kind
from sepvae.data.cells import TableNote, are_missing
from sepvae.data.spec import DataSpec
from sepvae.errors import DataError, listed

P = ParamSpec("P")
T = TypeVar("T")
PERSON, VISIT = "participant_id", "session_id"  # names of BIDS
MIXED = 0.5  # least share of numbers for a note on the words among them
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
        hint = f"did you mean {near[0]!r}?" if near else f"it has {_few(table.columns) or 'none'}"
        raise DataError(f"{where}: no column {name!r} for {role}; {hint}")
    column = table[name]
    if not isinstance(column, pd.Series):
        raise DataError(
            f"{where}: several columns are named {name!r}, wanted one for {role}; rename the others"
        )
    return column


def about_rows(
    table: pd.DataFrame, notes: Sequence[TableNote], path: Path, spec: DataSpec, ids: Sequence[str]
) -> dict[str, Any]:
    """Return keywords of `Manifest` from rows of a table; `ids` are for a spec that names no column."""
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
    written, mixed = {}, []
    for name, kind in spec.attributes.items():
        role = "the severity" if name == spec.target_severity else "an attribute"
        cells = named_column(table, path, role, name)
        about[name], noted = _typed(cells, path, kind, spec)
        written[name] = words_of_missing(cells, spec)
        mixed += noted
    return {
        "about": about.reset_index(drop=True),
        "kinds": {name: kind for name, kind in spec.attributes.items() if kind},
        "notes": [*notes, *mixed],
        "written": written,
        "grouped": spec.subject is not None or spec.id == PERSON,  # one row per participant
        "label_name": spec.label or "kind",
    }


def words_of_missing(cells: "pd.Series[str]", spec: DataSpec) -> list[str]:
    """Return the words for missing values, the most frequent first; those that `read_cells` drops are one."""
    return cells[are_missing(cells, spec)].fillna("n/a or empty").value_counts().index.tolist()


def with_person(spec: DataSpec, table: pd.DataFrame, path: Path) -> tuple[DataSpec, list[str] | None]:
    """
    Return a spec whose ids are participant_id, if it names none and that column is no subject.

    With session_id, rows are visits: participant_id is the subject, and ids, returned too, are of both.
    """
    if PERSON not in table or spec.subject not in (None, PERSON):
        return spec, None
    if VISIT not in table:
        is_id = spec.id is None and spec.subject is None
        return (spec.model_copy(update={"id": PERSON}) if is_id else spec), None
    names = visit_names(table, whole_column(table, path, "the person", PERSON))
    if spec.id is None and (twice := names[names.duplicated()].tolist()):
        lines = names.index[names == twice[0]].tolist()
        remedy = "take one out, or name a column that tells them apart by --id"
        raise DataError(
            f"{path}: lines {lines[0]} and {lines[1]} are both of {twice[0]}, one visit; {remedy}"
        )
    return spec.model_copy(update={"subject": PERSON}), names.tolist()


def visit_names(table: pd.DataFrame, persons: "pd.Series[str]") -> "pd.Series[str]":
    """Return the name of each row: that of the person, with that of the visit where session_id gives it."""
    if VISIT not in table:
        return persons
    visits = named_column(table, "table", "the visit", VISIT)
    return persons.where(visits.isna(), persons + "_ses-" + visits.fillna("").str.removeprefix("ses-"))


def numbers_in(cells: "pd.Series[str]", spec: DataSpec) -> tuple["pd.Series[float]", "pd.Series[bool]"]:
    """Return cells as numbers (NaN if missing or text, perhaps infinite), and which of them hold text."""
    known = cells.mask(are_missing(cells, spec))
    numbers = pd.to_numeric(known, errors="coerce")
    return numbers, known.notna() & numbers.isna()


def feature_numbers(cells: pd.DataFrame, path: Path, spec: DataSpec) -> pd.DataFrame:
    """Return columns of finite numbers, NaN for gaps; converted at once, since pandas is slow per column."""
    words = pd.Series(cells.to_numpy().ravel("F"), dtype=str)
    numbers, text = numbers_in(words, spec)
    if wrong := np.flatnonzero(text | np.isinf(numbers)).tolist():
        column, row = divmod(wrong[0], len(cells))
        word, name = words[wrong[0]], cells.columns[column]
        raise DataError(
            f"{path} line {cells.index[row]}: wanted a number as feature {name!r}, got {word!r}; correct it "
            f"(decimals have a point), make it missing (empty, or --missing {word}), or leave that column out"
        )
    x = numbers.to_numpy(dtype=np.float64).reshape(cells.shape, order="F")
    return pd.DataFrame(x, columns=cells.columns)


def whole_column(table: pd.DataFrame, path: Path, role: str, name: str) -> pd.Series:
    """Return a column; raise if it has gaps."""
    cells = named_column(table, path, role, name)
    if gaps := cells.index[cells.isna()].tolist():
        lacking = f"{len(gaps)} of {len(cells)} rows have no {name!r} for {role}, the first in line {gaps[0]}"
        raise DataError(f"{path}: {lacking}; fill them in, or drop those rows")
    return cells


def _typed(
    cells: "pd.Series[str]", path: Path, kind: Kind | None, spec: DataSpec
) -> "tuple[pd.Series[Any], list[TableNote]]":
    """Return an attribute as words or numbers (the kind None is detected), and a note on mixed cells."""
    words = cells.mask(are_missing(cells, spec))
    if kind == "categorical":
        return words, []
    numbers, text = numbers_in(cells, spec)
    wrong = cells[text | np.isinf(numbers)]
    if wrong.empty:
        return numbers.astype(np.float64) if kind == "continuous" else numbers, []
    comma = wrong.str.fullmatch(r"[+-]?\d+,\d+").all()
    if kind is not None or comma:
        remedy = f"correct the table, make it missing (--missing {wrong.iloc[0]})"
        remedy = "write decimals with a point" if comma else remedy
        got = f"wanted a number as {cells.name!r}, got {wrong.iloc[0]!r}"
        other = f"name the attribute {cells.name}:categorical"
        if cells.name == spec.target_severity:  # a severity that is missing is refused, too
            remedy = remedy if comma else "write severities as numbers above 0"
            other = "take another column for --target-severity"
        raise DataError(f"{path} line {wrong.index[0]}: {got}; {remedy}, or {other}")
    n_numbers, n_known = int(numbers.notna().sum()), int(words.notna().sum())
    if n_numbers < MIXED * n_known or numbers.nunique() <= MAX_LEVELS:
        return words, []
    word = words[text].value_counts().index[0]
    message = (
        f"{cells.name}: {n_numbers} of {n_known} cells are numbers, but {n_known - n_numbers} are words "
        f"({word!r}), so all are read as classes: --missing {word} makes it missing"
    )
    return words, [TableNote("warning", "words-among-numbers", message)]


def other_columns(attributes: Iterable[str], **roles: str | None) -> dict[Any, str]:
    """Return the role, in words, of each column that is no feature: an attribute, or label, subject, id."""
    named = {name: f"the {role}" for role, name in roles.items() if name is not None}
    return dict.fromkeys(attributes, "an attribute") | named


def choose_columns(
    table: pd.DataFrame,
    features: Sequence[str] | None,
    where: object,
    others: Mapping[Any, str],
    is_number: Callable[[pd.Series], bool],
) -> list[Any]:
    """
    Return the names of the feature columns, in the order of the table.

    A feature is a name, a pattern ("lh_*"), a regular expression ("re:^(lh|rh)_") or "number", the default.
    Patterns and "number" skip row numbers; "number" also skips numeric ids.
    """
    place = f"{where}: features"
    asked = [features] if isinstance(features, str) else [NUMBER] if features is None else list(features)
    if not asked:
        raise DataError(f"{place}: wanted names of columns or patterns, got none")
    if twice := [feature for feature, n in Counter(asked).items() if n > 1]:
        raise DataError(f"{place}: {twice[0]!r} is named twice; leave one out")
    if features is not None and NUMBER in asked and NUMBER in table:
        clash = f"{NUMBER!r} is the name of a column, and asks for all that hold numbers"
        raise DataError(f"{place}: {clash}; rename the column")
    chosen: set[Any] = set()
    for feature in asked:
        fits = _rule(feature)
        if feature == NUMBER:
            free = [(name, column) for name, column in table.items() if name not in others]
            found = {name for name, column in free if is_number(column) and not why_no_feature(column, name)}
            if not found:
                raise DataError(f"{place}: no column of numbers is left; name the columns of features")
            chosen |= found
        elif fits is None or feature in table:
            chosen.add(_named(table, feature, where, others))
        else:
            chosen |= _fitting(table, feature, fits, place, others)
    names = [name for name in table.columns if name in chosen]
    for name in names:
        named_column(table, where, "features", name)  # raises if the name is not unique
    return names


def _named(table: pd.DataFrame, feature: Any, where: object, others: Mapping[Any, str]) -> Any:
    """Return the name of one feature column; raise if it cannot be one."""
    if feature in table and is_nameless(feature):
        what = "a column without a name, such as an index that pandas wrote"
        raise DataError(f"{where}: features: {feature!r} is {what}; name it in the table, or leave it out")
    if feature in others:
        what = f"{others[feature]}, and cannot be both"
        raise DataError(f"{where}: features: {feature!r} is {what}; leave one out")
    return named_column(table, where, "features", feature).name


def _fitting(
    table: pd.DataFrame, feature: str, fits: Callable[[str], bool], where: str, others: Mapping[Any, str]
) -> set[Any]:
    """Return the columns that fit a pattern or regular expression."""
    try:
        matching = {name: column for name, column in table.items() if fits(str(name))}
    except re.error as error:
        raise DataError(f"{where}: {feature!r} is no regular expression ({error})") from error
    if not matching:
        raise DataError(f"{where}: no column fits {feature!r}; it has {_few(table.columns.map(str))}")
    first = next(iter(matching))
    rows = {name for name, column in matching.items() if is_nameless(name) or _are_row_numbers(column)}
    if len(rows) == len(matching):
        raise DataError(f"{where}: only row numbers ({first!r}) fit {feature!r}; name features")
    if not (found := set(matching).difference(others, rows)):
        only = f"only {first!r} fits {feature!r}, which is {others[first]}"
        raise DataError(f"{where}: {only}; name columns of features")
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
    names: Sequence[Any],
    others: Mapping[Any, str],
    is_number: Callable[[pd.Series], bool],
) -> list[TableNote]:
    """Return notes on the columns that "number" took and skipped."""
    few = ", ".join(map(str, names[:4])) + (f", .., {names[-1]}" if len(names) > 4 else "")
    out: dict[str, list[str]] = {}
    for name, column in table.items():
        if name not in names:
            why = others.get(name) or ("words" if not is_number(column) else why_no_feature(column, name))
            out.setdefault(why.removeprefix("the ").removeprefix("an "), []).append(repr(name))
    skipped = "; ".join(f"{why}: {listed(left, 4)}" for why, left in out.items())
    message = f"features: number took {len(names)} of {table.shape[1]} columns: {few}"
    notes = [TableNote("note", "features-taken", message + (f"; left out: {skipped}" if skipped else ""))]
    if constant := [str(name) for name in names if table[name].dropna().nunique() < 2]:
        few = listed(constant, 4)
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


def _few(names: Iterable[Any]) -> str:
    """Format the first twelve names of columns; those that are not text as Python writes them."""
    names = [name if isinstance(name, str) else repr(name) for name in names]
    return ", ".join(names[:12]) + ", .." * (len(names) > 12)
