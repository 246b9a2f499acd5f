"""Text tables as strings: every cell is text, every row keeps its line number in the file."""

import codecs
import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pandas as pd

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


@dataclass(frozen=True)
class CellRules:
    """Rules for missing cells, and the encoding of a table; numbers match in any notation: -9999, -9999.0."""

    missing: Sequence[str | float] = ()  # besides `MISSING_WORDS`
    not_missing: Sequence[str | float] = ()  # overrides both
    encoding: str | None = None  # a byte-order mark takes precedence; the default is UTF-8

    def __post_init__(self) -> None:
        for name in ("missing", "not_missing"):
            given: Any = getattr(self, name)
            single = isinstance(given, str) or not isinstance(given, Iterable)
            words = () if given is None else (given,) if single else given
            object.__setattr__(self, name, tuple(str(word).strip() for word in words))
        if both := [word for word in self.missing if word in self.not_missing]:
            raise DataError(f"{both[0]!r} is named as missing and as not missing; leave one out")
        if self.encoding is not None:
            try:
                codecs.lookup(self.encoding)
            except LookupError:
                message = f"encoding: wanted one that Python knows, such as cp1252, got {self.encoding!r}"
                raise DataError(message) from None

    def are_missing(self, cells: "pd.Series[str]") -> "pd.Series[bool]":
        """Return a mask of the missing cells, with the same index."""
        gone = cells.isna() | cells.str.casefold().isin(MISSING_WORDS) | (cells == NONE)
        gone |= _among(cells, self.missing)
        return (gone & ~_among(cells, self.not_missing)) | cells.isna()

    def keeps(self, word: str) -> bool:
        """Return whether `not_missing` names a word."""
        return bool(_among(pd.Series([word], dtype=str), self.not_missing).iloc[0])


def _among(cells: "pd.Series[str]", words: Sequence[str | float]) -> "pd.Series[bool]":
    """Return which cells equal one of the words, or the same number in another notation."""
    found = cells.isin(words)
    numbers = pd.to_numeric(pd.Series(words, dtype=str), errors="coerce").dropna()
    if len(numbers):
        found |= pd.to_numeric(cells, errors="coerce").isin(numbers)
    return found


class TableNote(NamedTuple):
    """Note or warning on how a table was read: a code for programs and a message of one sentence."""

    level: Literal["warning", "note"]
    code: str
    message: str


class CellTable(NamedTuple):
    """Cells of a table, with notes on how it was read; the first note counts rows and lines."""

    cells: pd.DataFrame
    notes: list[TableNote]


def read_cells(path: Path, rules: CellRules | None = None) -> pd.DataFrame:
    """
    Read a text table (tabs, commas or semicolons) as strings, indexed by the line in which a row begins.

    Cells are stripped; an empty one or "n/a" is missing. Rows of empty cells are skipped. Between tabs, only
    quotes around a whole cell are removed.
    """
    return read_cell_table(path, rules).cells


def read_cell_table(path: Path, rules: CellRules | None = None) -> CellTable:
    """Read a table as `read_cells` does, with notes on how it was read."""
    rules = rules or CellRules()
    text, notes = _text(path, rules.encoding)
    rows, spans, delimiter = _rows(path, text)
    if not rows:
        wanted = "names of columns in the first line, then one row per sample"
        raise DataError(f"{path}: is empty; wanted {wanted}")
    names = _without_empty_ends(rows.pop(next(iter(rows))), 0)
    if (n := len(names)) > MOST_COLUMNS:
        raise DataError(f"{path}: wanted {MOST_COLUMNS} columns at most, got {n}; save it as an array (npy)")
    for line, cells in rows.items():
        rows[line] = _without_empty_ends(cells, n)
        if (got := len(rows[line])) != n:
            wanted = f"wanted {n} cells, one for each name in the first line"
            raise DataError(f"{path} line {line}: {wanted}, got {got}; fix that row")
    if not rows:
        raise DataError(f"{path}: wanted one row per sample below the names of the columns, found none")
    quoted = 0
    if delimiter == "\t":
        quoted = sum(_is_quoted(cell) for cells in rows.values() for cell in cells)
        names, *unquoted = [
            [cell[1:-1].replace('""', '"').strip() if _is_quoted(cell) else cell for cell in cells]
            for cells in (names, *rows.values())
        ]
        rows = dict(zip(rows, unquoted, strict=True))
    empty = {""} if rules.keeps(GAP) else {"", GAP}
    known = [[None if cell in empty else cell for cell in cells] for cells in rows.values()]
    table = pd.DataFrame(known, index=list(rows), columns=names, dtype=str)
    n_lines = len(_LINE_END.split(text)) - text.endswith(("\n", "\r"))
    notes = [_count(path, len(table), n_lines, spans), *_span_notes(path, spans, len(names)), *notes]
    if quoted:
        message = f"{path.name}: {quoted} cells between tabs stand in quotes, and are read without them"
        notes.append(TableNote("note", "quoted-cells", message))
    if delimiter == ";":
        table, assumed = _with_decimal_points(table, path, rules)
        notes += assumed
    return CellTable(table, notes)


def _text(path: Path, encoding: str | None) -> tuple[str, list[TableNote]]:
    """Return the text of a file, with a note on its encoding if that is not UTF-8."""
    if not path.is_file():
        raise DataError(f"{path}: wanted a table, found {'a folder' if path.is_dir() else 'nothing'}")
    content = path.read_bytes()
    marked = next((name for mark, name in BYTE_ORDER_MARKS.items() if content.startswith(mark)), None)
    used = marked or encoding or "utf-8"
    try:
        text = content.decode(used).removeprefix("\ufeff")
    except UnicodeError as error:
        reason = getattr(error, "reason", error)
        known = marked or encoding
        advice = "" if known else "name its encoding, such as --encoding cp1252 for Excel's, or "
        what = used if known else "UTF-8"
        raise DataError(
            f"{path}: is no text in {what} ({reason}); {advice}save it as CSV in UTF-8"
        ) from error
    if "\0" in text:
        raise DataError(f"{path}: is no text, it holds zero bytes; save it as CSV in UTF-8")
    if used in ("utf-8", "utf-8-sig"):
        return text, []
    return text, [TableNote("note", "encoding", f"{path.name}: read as {used}")]


class _Span(NamedTuple):
    """Row that spans several lines, with the words of its first cell of several lines."""

    first: int
    last: int
    separators: list[int]  # count in each line but the first
    words: str


def _rows(path: Path, text: str) -> tuple[dict[int, list[str]], list[_Span], str]:
    """Return the rows by the line in which they begin, the rows of several lines, and the delimiter."""
    lines = _LINE_END.split(text)
    first = next((i for i, line in enumerate(lines) if line.strip()), 0)
    named = re.fullmatch(r'"?sep=(.)"?[\s,;]*', lines[first].strip(" "), re.IGNORECASE)  # written by Excel
    if named:
        delimiter, start = named[1], first + 1
    else:
        outside = re.sub(r'"[^"]*"', "", lines[first])
        tabs = path.suffix.lower() in (".tsv", ".tab") and "\t" in outside
        delimiter, start = "\t" if tabs else max("\t,;", key=outside.count), 0
    if delimiter == "\t":  # BIDS: no quoting, one row per line
        rows = {
            number: cells
            for number, line in enumerate(lines[start:], start + 1)
            if any(cells := [cell.strip() for cell in line.split(delimiter)])
        }
        return rows, [], delimiter
    rows, spans = {}, []
    rest = io.StringIO("\n".join(lines[start:]), newline="")
    reader = csv.reader(rest, delimiter=delimiter, skipinitialspace=True, strict=True)
    line = start + 1
    try:
        for cells in reader:
            last = start + reader.line_num
            if any(stripped := [cell.strip() for cell in cells]):
                rows[line] = stripped
                if last > line:
                    inner = [text.count(delimiter) for text in lines[line:last]]
                    words = next(cell for cell in stripped if "\n" in cell)
                    spans.append(_Span(line, last, inner, " ".join(words.split())[:40]))
            line = last + 1
    except csv.Error as error:
        raise DataError(f"{path} line {line}: cannot be read as a table ({error}); fix that row") from error
    return rows, spans, delimiter


def _count(path: Path, n_rows: int, n_lines: int, spans: list[_Span]) -> TableNote:
    """Return a note with the numbers of rows and lines, and the kinds of the other lines."""
    within = sum(span.last - span.first for span in spans)
    others = {
        "of names": 1,
        "blank or of Excel's sep=": n_lines - n_rows - 1 - within,
        "within cells of several lines": within,
    }
    kinds = ", ".join(f"{n} {what}" for what, n in others.items() if n)
    return TableNote("note", "rows-read", f"{path.name}: read {n_rows} rows from {n_lines} lines ({kinds})")


def _span_notes(path: Path, spans: list[_Span], n_columns: int) -> list[TableNote]:
    """Return notes on cells that span lines; a stray quote may hide whole rows in such a cell."""
    notes = []
    for span in spans:
        swallowed = sum(n >= n_columns - 1 for n in span.separators) if n_columns > 1 else 0
        where = f"{path.name} lines {span.first} to {span.last}: one row, for a cell in quotes spans lines"
        where += f" ({span.words!r} ..)"
        if swallowed:
            where += f"; {swallowed} of its lines look like rows of their own, which are not read"
            notes.append(TableNote("warning", "swallowed-rows", f"{where}: see the quotes there"))
        else:
            notes.append(TableNote("note", "cell-of-lines", where))
    if more := notes[MOST_NOTES:]:
        rest = sum(note.level == "warning" for note in more)
        message = f"{path.name}: {len(more)} more rows span lines, {rest} of which hide other rows"
        notes[MOST_NOTES:] = [TableNote("warning" if rest else "note", "cell-of-lines", message)]
    return notes


def _with_decimal_points(
    table: pd.DataFrame, path: Path, rules: CellRules
) -> tuple[pd.DataFrame, list[TableNote]]:
    """Replace decimal commas, as European Excel writes between semicolons, with points."""
    changed, columns = table.copy(), []
    for i in range(table.shape[1]):  # by position, since names may stand twice
        cells = table.iloc[:, i]
        known = cells[~rules.are_missing(cells)]
        commas = known.str.fullmatch(_DECIMAL_COMMA)
        if commas.any() and (commas | known.str.fullmatch(_WHOLE)).all():
            columns.append(i)
            changed.isetitem(i, cells.str.replace(",", ".").array)
    if not columns:
        return table, []
    few = ", ".join(str(table.columns[i]) for i in columns[:3]) + ", .." * (len(columns) > 3)
    message = f"{path.name}: commas in {len(columns)} columns ({few}) are read as decimal points"
    return changed, [TableNote("note", "decimal-commas", message)]


def _is_quoted(cell: str) -> bool:
    return len(cell) > 1 and cell[0] == cell[-1] == '"' and '"' not in cell[1:-1].replace('""', "")


def _without_empty_ends(cells: list[str], least: int) -> list[str]:
    """Drop empty cells beyond the first `least`; spreadsheets leave separators at the end of rows."""
    while len(cells) > least and not cells[-1]:
        cells = cells[:-1]
    return cells
