"""Text tables as strings: every cell is text, every row keeps its line number in the file."""

import codecs
import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import pandas as pd

from sepvae.data.spec import DataSpec
from sepvae.errors import DataError

GAP = "n/a"  # word of BIDS for a missing value
# Words for a missing value, in any case: those of pandas, and the point of SAS and SPSS.
MISSING_WORDS = {"", GAP, "na", "nan", "-nan", "null", "<na>", "#na", "#n/a", "#n/a n/a", "."}
MISSING_WORDS |= {"1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan"}
NONE = "None"  # word of Python, case-sensitive: "none" may be a class, such as no medication
MOST_COLUMNS, MOST_NOTES = 100_000, 5
BYTE_ORDER_MARKS = {codecs.BOM_UTF8: "utf-8-sig"}
BYTE_ORDER_MARKS |= dict.fromkeys((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE), "utf-32")
BYTE_ORDER_MARKS |= dict.fromkeys((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE), "utf-16")
_LINE_END = re.compile(r"\r\n|\r|\n")
_DECIMAL_COMMA = re.compile(r"[+-]?(\d+,\d*|,\d+)([eE][+-]?\d+)?")
_WHOLE = re.compile(r"[+-]?\d+")
Span = tuple[int, int, str]  # first and last line of a row of several, and words of its first cell of several


class TableNote(NamedTuple):
    """Note or warning on how a table was read: a code for programs and a message of one sentence."""

    level: Literal["warning", "note"]
    code: str
    message: str


def are_missing(cells: "pd.Series[str]", spec: DataSpec | None = None) -> "pd.Series[bool]":
    """Return a mask of missing cells: `MISSING_WORDS`, and `missing` but not `not_missing` of a spec."""
    spec = spec or DataSpec()
    gone = cells.isna() | cells.str.casefold().isin(MISSING_WORDS) | (cells == NONE)
    gone |= _among(cells, spec.missing or [])
    return (gone & ~_among(cells, spec.not_missing or [])) | cells.isna()


def is_value(word: str, spec: DataSpec) -> bool:
    """Return whether `not_missing` of a spec names a word."""
    return bool(_among(pd.Series([word], dtype=str), spec.not_missing or []).iloc[0])


def _among(cells: "pd.Series[str]", words: Sequence[str]) -> "pd.Series[bool]":
    """Return which cells equal one of the words, or the same number in any notation (-9999, -9999.0)."""
    found = cells.isin(words)
    numbers = pd.to_numeric(pd.Series(words, dtype=str), errors="coerce").dropna()
    if len(numbers):
        found |= pd.to_numeric(cells, errors="coerce").isin(numbers)
    return found


def read_cells(path: Path, spec: DataSpec | None = None) -> pd.DataFrame:
    """
    Read a text table (tabs, commas or semicolons) as strings, indexed by the line in which a row begins.

    Cells are stripped; an empty one or "n/a" is missing. Rows of empty cells are skipped. Between tabs, only
    quotes around a whole cell are removed.
    """
    return read_cell_table(path, spec)[0]


def read_cell_table(path: Path, spec: DataSpec | None = None) -> tuple[pd.DataFrame, list[TableNote]]:
    """Read a table as `read_cells` does; the first of the notes counts rows and lines."""
    spec = spec or DataSpec()
    lines, notes = _lines(path, spec.encoding)
    rows, spans, delimiter = _rows(path, lines)
    if not rows:
        wanted = "names of columns in the first line, then one row per sample"
        raise DataError(f"{path}: is empty; wanted {wanted}")
    names = _without_empty_ends(rows.pop(next(iter(rows))), 0)
    if (n := len(names)) > MOST_COLUMNS:
        raise DataError(f"{path}: wanted {MOST_COLUMNS} columns at most, got {n}; save it as an array (npy)")
    if not rows:
        raise DataError(f"{path}: wanted one row per sample below the names of the columns, found none")
    for line, cells in rows.items():
        rows[line] = _without_empty_ends(cells, n)
        if (got := len(rows[line])) != n:
            wanted = f"wanted {n} cells, one for each name in the first line"
            raise DataError(f"{path} line {line}: {wanted}, got {got}; fix that row")
    notes = [*_row_notes(path, lines, len(rows), spans, n, delimiter), *notes]
    if delimiter == "\t":
        if quoted := sum(_unquoted(cell) != cell for cells in rows.values() for cell in cells):
            message = f"{path.name}: {quoted} cells between tabs stand in quotes, and are read without them"
            notes.append(TableNote("note", "quoted-cells", message))
        names = [_unquoted(name) for name in names]
        rows = {line: [_unquoted(cell) for cell in cells] for line, cells in rows.items()}
    empty = {""} if is_value(GAP, spec) else {"", GAP}
    known = [[None if cell in empty else cell for cell in cells] for cells in rows.values()]
    table = pd.DataFrame(known, index=list(rows), columns=names, dtype=str)
    if delimiter == ";":
        table, assumed = _with_decimal_points(table, path, spec)
        notes += assumed
    return table, notes


def _lines(path: Path, encoding: str | None) -> tuple[list[str], list[TableNote]]:
    """Return the lines of a file, with a note on its encoding if that is not UTF-8."""
    if not path.is_file():
        raise DataError(f"{path}: wanted a table, found {'a folder' if path.is_dir() else 'nothing'}")
    content = path.read_bytes()
    marked = next((name for mark, name in BYTE_ORDER_MARKS.items() if content.startswith(mark)), None)
    known = marked or encoding
    try:
        text = content.decode(known or "utf-8").removeprefix("\ufeff")
    except UnicodeError as error:
        advice = "" if known else "name its encoding, such as --encoding cp1252 for Excel's, or "
        reason = f"is no text in {known or 'UTF-8'} ({getattr(error, 'reason', error)})"
        raise DataError(f"{path}: {reason}; {advice}save it as CSV in UTF-8") from error
    if "\0" in text:
        raise DataError(f"{path}: is no text, it holds zero bytes; save it as CSV in UTF-8")
    is_utf8 = known in (None, "utf-8", "utf-8-sig")
    notes = [] if is_utf8 else [TableNote("note", "encoding", f"{path.name}: read as {known}")]
    return _LINE_END.split(text), notes


def _rows(path: Path, lines: list[str]) -> tuple[dict[int, list[str]], list[Span], str]:
    """Return the rows by the line in which they begin, the rows of several lines, and the delimiter."""
    first = next((i for i, line in enumerate(lines) if line.strip()), 0)
    named = re.fullmatch(r'"?sep=(.)"?[\s,;]*', lines[first].strip(" "), re.IGNORECASE)  # written by Excel
    if named:
        delimiter, start = named[1], first + 1
    else:
        outside = re.sub(r'"[^"]*"', "", lines[first])
        tabs = path.suffix.lower() in (".tsv", ".tab") and "\t" in outside
        delimiter, start = "\t" if tabs else max("\t,;", key=outside.count), 0
    rows: dict[int, list[str]] = {}
    spans = []
    if delimiter == "\t":  # BIDS: no quoting, one row per line
        for number, line in enumerate(lines[start:], start + 1):
            if any(cells := [cell.strip() for cell in line.split(delimiter)]):
                rows[number] = cells
        return rows, [], delimiter
    rest = io.StringIO("\n".join(lines[start:]), newline="")
    reader = csv.reader(rest, delimiter=delimiter, skipinitialspace=True, strict=True)
    number = start + 1
    try:
        for row in reader:
            last = start + reader.line_num
            if any(cells := [cell.strip() for cell in row]):
                rows[number] = cells
                if last > number:
                    words = next(cell for cell in cells if "\n" in cell)
                    spans.append((number, last, " ".join(words.split())[:40]))
            number = last + 1
    except csv.Error as error:
        raise DataError(f"{path} line {number}: cannot be read as a table ({error}); fix that row") from error
    return rows, spans, delimiter


def _row_notes(
    path: Path, lines: list[str], n_rows: int, spans: list[Span], n_columns: int, delimiter: str
) -> list[TableNote]:
    """Return a count of rows and lines, and notes on rows of several lines, where a quote may hide others."""
    n_lines = len(lines) - (not lines[-1])
    within = sum(last - first for first, last, _ in spans)
    blank = n_lines - n_rows - 1 - within
    others = {"of names": 1, "blank or of Excel's sep=": blank, "within cells of several lines": within}
    kinds = ", ".join(f"{n} {what}" for what, n in others.items() if n)
    read = f"{path.name}: read {n_rows} rows from {n_lines} lines ({kinds})"
    notes = []
    for first, last, words in spans:
        where = (
            f"{path.name} lines {first} to {last}: one row, for a cell in quotes spans lines ({words!r} ..)"
        )
        alike = sum(line.count(delimiter) >= n_columns - 1 for line in lines[first:last])
        if alike and n_columns > 1:
            hidden = f"{alike} of its lines look like rows of their own, which are not read"
            notes.append(TableNote("warning", "swallowed-rows", f"{where}; {hidden}: see the quotes there"))
        else:
            notes.append(TableNote("note", "cell-of-lines", where))
    if more := notes[MOST_NOTES:]:
        rest = sum(note.level == "warning" for note in more)
        message = f"{path.name}: {len(more)} more rows span lines, {rest} of which hide other rows"
        notes[MOST_NOTES:] = [TableNote("warning" if rest else "note", "cell-of-lines", message)]
    return [TableNote("note", "rows-read", read), *notes]


def _with_decimal_points(
    table: pd.DataFrame, path: Path, spec: DataSpec
) -> tuple[pd.DataFrame, list[TableNote]]:
    """Replace decimal commas, as European Excel writes between semicolons, with points."""
    changed, names = table.copy(), []
    for i, name in enumerate(table.columns):  # by position, since names may stand twice
        cells = table.iloc[:, i]
        known = cells[~are_missing(cells, spec)]
        commas = known.str.fullmatch(_DECIMAL_COMMA)
        if commas.any() and (commas | known.str.fullmatch(_WHOLE)).all():
            names.append(str(name))
            changed.isetitem(i, cells.str.replace(",", ".").array)
    if not names:
        return table, []
    few = ", ".join(names[:3]) + ", .." * (len(names) > 3)
    message = f"{path.name}: commas in {len(names)} columns ({few}) are read as decimal points"
    return changed, [TableNote("note", "decimal-commas", message)]


def _unquoted(cell: str) -> str:
    """Return a cell without quotes around the whole of it."""
    is_quoted = len(cell) > 1 and cell[0] == cell[-1] == '"' and '"' not in cell[1:-1].replace('""', "")
    return cell[1:-1].replace('""', '"').strip() if is_quoted else cell


def _without_empty_ends(cells: list[str], least: int) -> list[str]:
    """Drop empty cells beyond the first `least`; spreadsheets leave separators at the end of rows."""
    while len(cells) > least and not cells[-1]:
        cells = cells[:-1]
    return cells
