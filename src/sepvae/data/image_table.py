"""Tables that describe samples: participants.tsv, lists of image files, tables of arrays."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np
import pandas as pd

from sepvae.checks import check_attribute_names, check_choice
from sepvae.codes import MAX_LEVELS, Kind
from sepvae.data.cells import CellRules, CellTable, TableNote, read_cell_table
from sepvae.data.columns import named_column, takes_group
from sepvae.data.folders import images_in
from sepvae.data.manifest import Manifest
from sepvae.data.mapped import map_array
from sepvae.errors import DataError

PERSON = "participant_id"  # BIDS name of the column of unique names
MIXED = 0.5  # least share of numbers for a note on the words among them


@takes_group
def list_image_table(
    path: str | Path,
    *,
    images: str,
    label: str | None,
    root: str | Path | None = None,
    subject: str | None = None,
    id: str | None = None,  # noqa: A002  (the word of this library)
    attributes: Mapping[str, Kind | None] | Sequence[str] = (),
    rules: CellRules | None = None,
) -> Manifest:
    """
    List the images that a table names, one per row.

    `images` is a column of paths relative to `root` (default: the folder of the table), in which they must
    lie, or a template of columns such as "{participant_id}/anat/{participant_id}_slice.png".
    """
    path = Path(path)
    folder = path.parent if root is None else Path(root)
    if not folder.is_dir():
        raise DataError(f"{folder}: wanted the folder of the images, found no folder; name it by --root")
    table = read_cell_table(path, rules)
    names = _names(table.cells, path, images)
    files = [_inside(path, line, folder, name) for line, name in names.items()]
    relative = [file.relative_to(folder).as_posix() for file in files]
    rows = about_rows(
        table, path, label=label, subject=subject, id=id, attributes=attributes, ids=relative, rules=rules
    )
    # os.path returns False for words that cannot be the name of a file.
    there = [os.path.isfile(file) for file in files]  # noqa: PTH113
    known = set(files)
    unlisted = [
        file.relative_to(folder).as_posix()
        for parent in sorted({file.parent for file in files})
        if os.path.isdir(parent)  # noqa: PTH112
        for file in images_in(parent, deep=False)
        if file not in known
    ]
    return Manifest(
        path,
        rows.about,
        files,
        kinds=rows.kinds,
        grouped=subject is not None,
        label_name=label or "kind",
        missing=rows.about.loc[~np.array(there), "id"].tolist(),
        unlisted=unlisted,
        notes=rows.notes,
        written=rows.written,
    )


@takes_group
def list_array(
    path: str | Path,
    *,
    table: str | Path,
    label: str | None,
    subject: str | None = None,
    id: str | None = None,  # noqa: A002
    attributes: Mapping[str, Kind | None] | Sequence[str] = (),
    rules: CellRules | None = None,
) -> Manifest:
    """
    List the rows of an array, with the table of its samples in the same order.

    The array holds images (n, channels, h, w), grey images (n, h, w) or features (n, features).
    """
    path, beside = Path(path), Path(table)
    array = map_array(path)
    given = read_cell_table(beside, rules)
    frame = given.cells
    if len(frame) != array.shape[0]:
        raise DataError(
            f"{beside}: wanted one row for each of the {array.shape[0]} samples in {path.name}, "
            f"got {len(frame)}"
        )
    ids = [str(i) for i in range(len(frame))]
    rows = about_rows(
        given, beside, label=label, subject=subject, id=id, attributes=attributes, ids=ids, rules=rules
    )
    return Manifest(
        path,
        rows.about,
        array=array,
        kinds=rows.kinds,
        grouped=subject is not None,
        label_name=label or "kind",
        notes=rows.notes,
        written=rows.written,
    )


class Rows(NamedTuple):
    """Labels, attributes and notes of the rows of a table."""

    about: pd.DataFrame  # as in `Manifest`; attributes named as continuous are floats
    kinds: dict[str, Kind]  # those that were named
    notes: list[TableNote]  # how the table was read
    written: dict[str, list[str]]  # words for missing values of each attribute, the most frequent first


def about_rows(
    given: CellTable | pd.DataFrame,
    path: Path,
    *,
    label: str | None,
    subject: str | None,
    id: str | None,  # noqa: A002
    attributes: Mapping[str, Kind | None] | Sequence[str],
    ids: Sequence[str],
    rules: CellRules | None = None,
) -> Rows:
    """Return id, group, label and attributes of each row of a table; `ids` is used if `id` is None."""
    rules = rules or CellRules()
    table, notes = (given.cells, [*given.notes]) if isinstance(given, CellTable) else (given, [])
    wanted = attributes if isinstance(attributes, Mapping) else dict.fromkeys(attributes)
    check_attribute_names(wanted)
    for name, kind in wanted.items():
        if kind is not None:
            check_choice(f"attribute {name}", kind, get_args(Kind))
    names = pd.Series(ids, index=table.index) if id is None else _whole(table, path, "id", id)
    if twice := names[names.duplicated()].tolist():
        lines = names.index[names == twice[0]].tolist()
        raise DataError(
            f"{path}: {twice[0]!r} stands in lines {lines[0]} and {lines[1]}; "
            "every sample needs a name of its own: name another --id column, or fix the table"
        )
    about = pd.DataFrame(
        {
            "id": names,
            "group": names if subject is None else _whole(table, path, "subject", subject),
            "label": "" if label is None else _whole(table, path, "label", label),
            "split": None,
        }
    )
    written = {}
    for name, kind in wanted.items():
        cells = named_column(table, path, "an attribute", name)
        about[name], mixed = _typed(cells, path, kind, rules)
        written[name] = words_of_missing(cells, rules)
        notes += [mixed] if mixed else []
    kinds = {name: kind for name, kind in wanted.items() if kind}
    return Rows(about.reset_index(drop=True), kinds, notes, written)


def words_of_missing(cells: "pd.Series[str]", rules: CellRules) -> list[str]:
    """
    Return the words for missing values, the most frequent first; "n/a or empty" if `read_cells` drops it.

    >>> words_of_missing(pd.Series(["1", "NA", None, "NA"], dtype=str), CellRules())
    ['NA', 'n/a or empty']
    """
    return cells[rules.are_missing(cells)].fillna("n/a or empty").value_counts().index.tolist()


def id_column(table: pd.DataFrame, id: str | None, subject: str | None) -> str | None:  # noqa: A002
    """
    Return the column of ids: `id`, else participant_id if the table has it and it does not name subjects.

    >>> id_column(pd.DataFrame({"participant_id": ["sub-1"]}), None, None)
    'participant_id'
    """
    return PERSON if id is None and subject != PERSON and PERSON in table else id


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


def _whole(table: pd.DataFrame, path: Path, role: str, name: str) -> pd.Series:
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


def _names(table: pd.DataFrame, path: Path, images: str) -> pd.Series:
    """Return the file name of each row, from a column or a template."""
    columns = re.findall(r"\{([^{}]+)\}", images)
    if not columns:
        return _whole(table, path, "images", images)
    cells = [_whole(table, path, "images", column) for column in columns]
    words = [word.replace("{", "{{").replace("}", "}}") for word in re.split(r"\{[^{}]+\}", images)]
    template = "{}".join(words)
    return pd.Series([template.format(*row) for row in zip(*cells, strict=True)], index=table.index)


def _inside(path: Path, line: object, folder: Path, name: str) -> Path:
    """Return the path of a file; raise if its name leads out of `folder`. Symbolic links are not resolved."""
    root = os.path.normpath(Path.cwd() / folder)
    file = Path(os.path.normpath(root / Path(name.replace("\\", "/"))))  # tables may come from Windows
    if not file.is_relative_to(root):
        raise DataError(
            f"{path} line {line}: {name!r} leads out of {folder}; fix it, or name a folder that all images "
            "lie in (--root)"
        )
    return folder / file.relative_to(root)
