"""Text tables as they lie on disk: every cell a word, every row with its line in the file."""

import csv
import io
from pathlib import Path

import pandas as pd

from sepvae.errors import DataError

MISSING = ("", "n/a")  # an empty cell, and what BIDS writes for it
MOST_COLUMNS = 100_000


def read_cells(path: Path) -> pd.DataFrame:
    """
    Read a table without guessing what its cells mean.

    Parameters
    ----------
    path : Path
        A text table in UTF-8: tabs, commas or semicolons between the cells, names of columns in the first
        line. Rows without a word in them are passed over.

    Returns
    -------
    DataFrame of str
        Cells without the blanks around them; an empty one or "n/a" is missing. The index is the line in which
        a row begins.

    Raises
    ------
    DataError
        If it is no such table, a row has too many or too few cells, or there is none.
    """
    if not path.is_file():
        raise DataError(f"{path}: wanted a table, found {'a folder' if path.is_dir() else 'nothing'}")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is no text in UTF-8 ({error.reason}); save it as CSV in UTF-8") from error
    if "\0" in text:
        raise DataError(f"{path}: is no text, it holds zero bytes; save it as CSV in UTF-8")
    rows = _rows(path, text)
    if not rows:
        raise DataError(
            f"{path}: is empty; wanted names of columns in the first line, then one row per sample"
        )
    names = _without_empty_ends(rows.pop(next(iter(rows))), 0)
    if len(names) > MOST_COLUMNS:
        raise DataError(
            f"{path}: wanted {MOST_COLUMNS} columns at most, got {len(names)}; save it as an array (npy)"
        )
    for line, cells in rows.items():
        rows[line] = _without_empty_ends(cells, len(names))
        if len(rows[line]) != len(names):
            raise DataError(
                f"{path} line {line}: wanted {len(names)} cells, one for each name in the first line, "
                f"got {len(rows[line])}; mend that row"
            )
    if not rows:
        raise DataError(f"{path}: wanted one row per sample below the names of the columns, found none")
    known = [[None if cell in MISSING else cell for cell in cells] for cells in rows.values()]
    return pd.DataFrame(known, index=list(rows), columns=names, dtype=str)


def _rows(path: Path, text: str) -> dict[int, list[str]]:
    """Rows by the line in which they begin."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=max("\t,;", key=first.count),
        skipinitialspace=True,
        strict=True,
    )
    rows, line = {}, 1
    try:
        for cells in reader:
            if any(stripped := [cell.strip() for cell in cells]):
                rows[line] = stripped
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path} line {line}: cannot be read as a table ({error}); mend that row") from error
    return rows


def _without_empty_ends(cells: list[str], least: int) -> list[str]:
    """Spreadsheets leave separators at the end of rows."""
    while len(cells) > least and not cells[-1]:
        cells = cells[:-1]
    return cells
