"""Tables joined to DATA by participant and visit: FreeSurfer's, sessions.tsv, reports of CAT12."""

import glob
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from sepvae.batch import IntArray
from sepvae.data.cells import TableNote, read_cell_table
from sepvae.data.columns import PERSON, VISIT, feature_numbers, named_column, visit_names, whole_column
from sepvae.data.spec import DataSpec
from sepvae.errors import DataError, listed

# Name of the first column by aparcstats2table (lh.aparc.thickness) and by asegstats2table (Measure:volume).
FREESURFER = re.compile(r"(?P<hemisphere>[lr]h)\..+\.(?P<measure>[^.]+)|Measure:.+")
TOTALS = ("BrainSegVolNotVent", "eTIV", "EstimatedTotalIntraCranialVol")  # of the head, in several tables
# Weighted average of the ratings of quality, 1 the best and 6 the worst, and intracranial volume in ml.
CAT12 = {"IQR": ("qualityratings", "IQR"), "TIV": ("subjectmeasures", "vol_TIV")}
JOINING = "joining tables (--subject names another)"  # role of the column of persons
ROUNDED = 1e-5  # relative difference of one number that two tables write with other digits


class Joined(NamedTuple):
    """Rows of DATA with the columns of all tables."""

    table: pd.DataFrame  # of text, as from `read_cells`; the index has the lines in DATA
    notes: list[TableNote]
    regions: list[str]  # columns of FreeSurfer's tables but for `TOTALS`


class Name(NamedTuple):
    """Name of a row: of a person, and of a visit if it has one."""

    written: str  # with neither the folder nor the visit
    person: str  # in short: without sub- and leading zeros
    visit: str | None  # in short, too
    session: str | None  # the visit as written


class OtherTable(NamedTuple):
    """Table to join; its index has the names of the rows."""

    file: Path
    cells: pd.DataFrame
    is_freesurfer: bool
    notes: list[TableNote]


def read_joined(path: Path, spec: DataSpec) -> Joined:
    """
    Read DATA, and join the tables of a spec to its rows.

    A row of FreeSurfer's tables is of one row of DATA, and rows of DATA without one are left out. In other
    tables their cells are missing. A table of visits repeats the rows of DATA that name no visit.
    """
    table, notes = read_cell_table(path, spec)
    regions: list[str] = []
    complete, described = np.full(len(table), fill_value=True), defaultdict[str, list[str]](list)
    for given in spec.tables:
        other = _read(located(given, path), spec)
        data_names, other_names = _names(table, path, spec), [_name(str(word)) for word in other.cells.index]
        rows, other_rows = _pairs(data_names, other_names, other)
        described[_describe(path, data_names, other_names, rows, other_rows, other)].append(given.name)
        cells = other.cells.reset_index(drop=True).reindex(other_rows).set_axis(table.index[rows])
        if VISIT not in table and any(name.visit for name in other_names):
            cells.insert(0, VISIT, [other_names[j].session if j >= 0 else None for j in other_rows])
        complete, table = complete[rows], table.iloc[rows]
        if other.is_freesurfer:
            _refuse_repeated(table, other_rows, path, other)
            complete &= other_rows >= 0
            regions += [name for name in map(str, other.cells) if name not in (*TOTALS, *regions)]
        levels = [any(name.visit for name in names) for names in (data_names, other_names)]
        table, coarse = _with_columns(table, cells, path, other, levels)
        if coarse:
            text = f"{listed(coarse)} of visits and of persons differ; those of visits are taken"
            notes.append(TableNote("note", "columns-of-visits", f"{given.name}: {text}"))
        notes += other.notes
    notes += [TableNote("note", "joined", f"{', '.join(names)}: {text}") for text, names in described.items()]
    if not complete.all():
        notes.append(_left_out(table[~complete], len(table), path, spec))
    return Joined(table[complete], notes, regions)


def _left_out(gone: pd.DataFrame, n: int, path: Path, spec: DataSpec) -> TableNote:
    """Return a warning on rows of DATA without regions."""
    names = listed([name.written for name in _names(gone, path, spec)])
    message = f"{path.name}: {len(gone)} of {n} rows have no regions, and are left out: {names}"
    return TableNote("warning", "rows-left-out", message)


def located(given: Path, path: Path) -> Path:
    """Return the path of a table or pattern; beside DATA where nothing fits it as given."""
    beside = path.parent / given
    return beside if _files(beside) and not _files(given) else given


def _files(given: Path) -> list[Path]:
    """Return a table, or all that fit a pattern."""
    return [given] if given.exists() else [Path(name) for name in sorted(glob.glob(str(given)))]  # noqa: PTH207


def _read(given: Path, spec: DataSpec) -> OtherTable:
    """Read a table, or all tables that fit a pattern, one below the other."""
    parts = [_read_one(file, spec) for file in _files(given)]
    if not parts:
        raise DataError(f"{given}: wanted a table to join, found nothing; name it by --table")
    notes = [note for part in parts for note in part.notes]
    return OtherTable(given, pd.concat([part.cells for part in parts]), parts[0].is_freesurfer, notes)


def _read_one(file: Path, spec: DataSpec) -> OtherTable:
    """Read a table of FreeSurfer, a table with a column of participants, or one of the person in its name."""
    if file.suffix.lower() == ".xml":
        return _report_of_cat12(file)
    table, notes = read_cell_table(file, spec)
    notes = [note for note in notes if note.code != "rows-read"]
    first = str(table.columns[0])
    if found := FREESURFER.fullmatch(first):
        names, cells = whole_column(table, file, "the rows", first), table.drop(columns=first)
        feature_numbers(cells, file, spec)  # raises if they are none
        if hemisphere := found["hemisphere"]:  # columns are named by region alone after --parcid-only
            short = {name for name in map(str, cells) if not name.startswith(f"{hemisphere}_")}
            whole = {name: f"{hemisphere}_{name}_{found['measure']}" for name in short.difference(TOTALS)}
            cells = cells.rename(columns=whole)
        return OtherTable(file, cells.set_axis(names), True, notes)
    person = _column_of_persons(table, spec)
    if person not in table and "sub-" in file.name:  # such as sub-01_sessions.tsv
        table = table.assign(**{person: _name(file.stem).written})
    names = visit_names(table, whole_column(table, file, JOINING, person))
    return OtherTable(
        file, table.drop(columns=[person, VISIT], errors="ignore").set_axis(names), False, notes
    )


def _report_of_cat12(file: Path) -> OtherTable:
    """Read what CAT12 writes on the scan of a person in report/cat_NAME.xml."""
    text, name = file.read_text(encoding="utf-8", errors="replace"), file.stem.removeprefix("cat_")
    found = {measure: _within(_within(text, block), tag) for measure, (block, tag) in CAT12.items()}
    if not found["IQR"]:
        raise DataError(
            f"{file}: wanted a report of CAT12, found no IQR among its qualityratings; take it out"
        )
    cells = {measure: word or None for measure, word in found.items()}
    return OtherTable(file, pd.DataFrame(cells, index=[name], dtype=str), False, [])


def _within(text: str, tag: str) -> str:
    """Return the content of the first element of a name; empty if there is none."""
    return text.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0].strip()


def _column_of_persons(table: pd.DataFrame, spec: DataSpec) -> str:
    """Return participant_id, or the column that names persons where that does not exist."""
    return next((name for name in (PERSON, spec.subject, spec.id) if name and name in table), PERSON)


def _names(table: pd.DataFrame, path: Path, spec: DataSpec) -> list[Name]:
    """Return the names of the rows of DATA."""
    persons = whole_column(table, path, JOINING, _column_of_persons(table, spec))
    return [_name(name) for name in visit_names(table, persons)]


def _name(word: str) -> Name:
    """
    Take a name apart.

    >>> _name("/data/fs/sub-007_ses-01.long.sub-007/")
    Name(written='sub-007', person='7', visit='1', session='ses-01')
    """
    word = re.sub(r"\.long\..*", "", word.strip().replace("\\", "/").rstrip("/"))  # FreeSurfer's visits
    visit = re.search(r"(?:^|[/_])(ses-([^/_]+))", word)
    written = (word[: visit.start()] if visit else word).rpartition("/")[2]
    if person := re.match(r"sub-[^/_]+", written):
        written = person[0]
    short = _without_zeros(written.removeprefix("sub-"))
    return Name(written, short, *((_without_zeros(visit[2]), visit[1]) if visit else (None, None)))


def _without_zeros(label: str) -> str:
    """Return a label, if it is a number without leading zeros, which spreadsheets drop."""
    return re.sub(r"^0+(?=\d+$)", "", label)


def _pairs(
    data_names: Sequence[Name], other_names: Sequence[Name], other: OtherTable
) -> tuple[IntArray, IntArray]:
    """Return positions of rows that belong together: of DATA, and of a table, -1 where it has no such row."""
    as_written, in_short = defaultdict[str, list[int]](list), defaultdict[str, list[int]](list)
    for j, name in enumerate(other_names):
        as_written[name.written].append(j)
        in_short[name.person].append(j)
    pairs: list[tuple[int, int]] = []
    for i, name in enumerate(data_names):
        person = as_written.get(name.written) or in_short.get(name.person, [])
        found = [j for j in person if other_names[j].visit == name.visit]
        if not found:  # one of both names no visit
            found = [j for j in person if name.visit is None or other_names[j].visit is None]
        if len(found) > len({other_names[j].visit for j in found}):
            rows = [str(other.cells.index[j]) for j in found]
            raise DataError(
                f"{other.file}: {len(rows)} rows ({listed(rows)}) are of {name.written}, wanted one a visit; "
                "name the visits (session_id), or take the others out"
            )
        pairs += [(i, j) for j in found or [-1]]
    rows, other_rows = np.array(pairs, dtype=np.intp).T
    if not (other_rows >= 0).any():
        there = listed([name.written for name in data_names])
        few = f"they are {listed(list(other.cells.index))}, there {there}"
        raise DataError(f"{other.file}: no row is of a person in DATA: {few}; correct the names")
    return rows, other_rows


def _describe(
    path: Path,
    data_names: Sequence[Name],
    other_names: Sequence[Name],
    rows: IntArray,
    other_rows: IntArray,
    other: OtherTable,
) -> str:
    """Return in words how many rows were joined, which were not, and what was assumed."""
    there = other_rows >= 0
    several = len(rows) > len(data_names)
    text = f"{len(set(rows[there]))} of {len(data_names)} rows of {path.name} have "
    text += f"rows, {there.sum()} visits" if several else "a row"
    if left := sorted(set(range(len(other_names))) - set(other_rows.tolist())):
        text += f"; left out there: {len(left)}, such as {other.cells.index[left[0]]}"
    pairs = zip(rows[there].tolist(), other_rows[there].tolist(), strict=True)
    if renamed := [(i, j) for i, j in pairs if other_names[j].written != data_names[i].written]:
        i, j = renamed[0]
        example = f"{other_names[j].written} for {data_names[i].written}"
        text += f"; {len(renamed)} names are taken for the same, such as {example}"
    return text


def _refuse_repeated(table: pd.DataFrame, other_rows: IntArray, path: Path, other: OtherTable) -> None:
    """Raise if one row of FreeSurfer's table would be of two rows of DATA."""
    known = pd.Series(other_rows, index=table.index)
    known = known[known >= 0]
    if len(twice := known[known.duplicated()]):
        lines = known.index[known == twice.iloc[0]].tolist()
        raise DataError(
            f"{path}: lines {lines[0]} and {lines[1]} are both of {other.cells.index[twice.iloc[0]]!r} in "
            f"{other.file.name}, wanted one; name the visits of both (session_id), or take one out"
        )


def _with_columns(
    table: pd.DataFrame, cells: pd.DataFrame, path: Path, other: OtherTable, of_visits: Sequence[bool]
) -> tuple[pd.DataFrame, list[str]]:
    """
    Add columns; one that is there is taken once if its cells agree, as text or numbers, with gaps filled.

    If they differ, that of visits replaces that of persons, gaps too, and is returned by name; others raise.
    """
    table, cells = table.copy(), cells.copy()
    common, coarse = cells.columns.intersection(table.columns), []
    for name in common:
        here, there = named_column(table, path, "joining", name), named_column(cells, other.file, "it", name)
        a, b = (pd.to_numeric(column, errors="coerce").to_numpy(dtype=float) for column in (here, there))
        missing = (there.isna() | here.isna()).to_numpy()
        same = (here == there).to_numpy(dtype=bool, na_value=False) | missing
        same |= np.isclose(a, b, rtol=ROUNDED, atol=0)
        if not same.all():
            if len(set(of_visits)) == 1:
                i = int(np.argmin(same))
                got = f"{there.iloc[i]!r}, but {here.iloc[i]!r} before it"
                got += f", for line {table.index[i]} of {path.name}"
                raise DataError(
                    f"{other.file}: column {name!r} has {got}; rename one of both, or take it out"
                )
            coarse.append(name)
        else:
            table[name] = cells[name] = here.where(here.notna(), there)
    kept = table.drop(columns=common if of_visits[1] else [])
    return pd.concat([kept, cells.drop(columns=[] if of_visits[1] else common)], axis=1), coarse
