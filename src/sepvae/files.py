"""Atomic writes of files and folders, and readers that report damaged files."""

import csv
import io
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any, TypeVar
from unicodedata import normalize

from sepvae.errors import RunFolderError

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")
MOST_BYTES = 100  # of a part of a file name: file systems take 255, and words come before and after it
ASIDE = re.compile(r"\..+\.[a-z0-9_]{8}")  # temporary names of what is not yet complete


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file atomically; text is written as UTF-8, and an older file is replaced."""
    data = content.encode() if isinstance(content, str) else content
    with naming(path):
        aside = path.with_name(f".{path.name}.{token_hex(4)}")
        try:
            with aside.open("xb") as file:
                file.write(data)
            settle(aside, path)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise


def write_table(path: Path, table: "pd.DataFrame") -> None:
    """Write a table as CSV, without its index."""
    text = table.to_csv(index=False, lineterminator="\n")
    if "\r" in text:  # Python does not quote it, and readers take it for the end of a row
        text = table.to_csv(index=False, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    write_whole(path, text)


def write_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write arrays as compressed `.npz`."""
    import numpy as np

    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    write_whole(path, buffer.getvalue())


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Put `path` into an `OSError` of the operating system, such as a full disk or a missing permission."""
    try:
        yield
    except OSError as error:
        if error.errno is None:  # raised by this package
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def settle(aside: Path, path: Path) -> None:
    """Flush a temporary file to the disk, then move it to `path`, in the same folder."""
    _to_disk(aside)
    aside.replace(path)
    _to_disk(path.parent)


def remove_asides(folder: Path) -> None:
    """Delete temporary files of killed processes; no other process may be writing to `folder`."""
    for path in folder.rglob(".*"):
        if not ASIDE.fullmatch(path.name):
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


@contextmanager
def whole_folder(folder: Path, *, replace: bool = False) -> Iterator[Path]:
    """
    Yield a temporary folder, and move it to `folder` at the end; on error, nothing is left of it.

    `folder` must not exist, unless `replace` is True. No call replaces a folder that has files: a process
    that is killed between the moves of the old and the new one leaves both in a hidden folder beside it.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with naming(folder), tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as beside:
        whole = Path(beside) / folder.name
        whole.mkdir()
        yield whole
        old = Path(beside) / "old"
        try:
            if replace and folder.exists():
                folder.rename(old)
            whole.rename(folder)
        except BaseException:  # Ctrl-C, too, else the old folder would be deleted with `beside`
            if old.exists() and not folder.exists():
                old.rename(folder)
            raise
        _to_disk(folder.parent)


def check_new(path: Path, what: str, hint: str = "") -> None:
    """Raise RunFolderError if an output, such as a "file", exists; `hint` is one more thing to do."""
    if path.exists():
        raise RunFolderError(
            f"{path}: wanted a new {what}, but it exists; choose another --out, or remove it{hint}"
        )


def read_file(path: Path, reader: Callable[[Path], T]) -> T | None:
    """Return what `reader` makes of a file of a run folder, None if it is absent; raise if it is damaged."""
    from zipfile import BadZipFile

    from yaml import YAMLError

    if not path.is_file():
        return None
    damage = (ValueError, TypeError, KeyError, OSError, EOFError, RecursionError, BadZipFile, YAMLError)
    try:
        return reader(path)
    except RunFolderError:  # says already what is wrong
        raise
    except damage as error:
        reason = str(error).partition("\n")[0]
        raise RunFolderError(
            f"{path} is damaged ({reason}); delete it to leave it out, or make it again"
        ) from error


def read_table(path: Path, words: Iterable[str]) -> "pd.DataFrame":
    """Read a CSV file, with `words` as text; only empty cells are missing, as a label may be NA or None."""
    import pandas as pd

    return pd.read_csv(path, dtype=dict.fromkeys(words, str), keep_default_na=False, na_values=[""])


def read_cells(file: Path | io.StringIO) -> "pd.DataFrame":
    """Read a CSV file with all cells as text, as they stand in it."""
    import pandas as pd

    return pd.read_csv(file, dtype=str, keep_default_na=False)


def plain_name(name: str) -> str:
    """
    Return a name for use in file names: all but letters, digits, - and _ become _.

    >>> plain_name("age at scan")
    'age_at_scan'
    """
    return re.sub(r"[^\w-]", "_", name)


def names_apart(words: Iterable[str]) -> list[str]:
    """
    Return distinct parts of file names; names that some file system takes for the same are numbered.

    >>> names_apart(["sub-1", "a b", "A_b", "../b"])
    ['1', 'a_b', 'A_b-2', '___b']
    """
    plain = [
        plain_name(word.removeprefix("sub-")).encode()[:MOST_BYTES].decode(errors="ignore") for word in words
    ]
    taken, last = set(map(_alike, plain)), dict[str, int]()  # last number given, by normalised name
    names = []
    for name in plain:
        one, number = name, last.get(_alike(name), 0) + 1
        while number > 1 and _alike(one := f"{name}-{number}") in taken:
            number += 1
        last[_alike(name)] = number
        taken.add(_alike(one))
        names.append(one)
    return names


def _alike(name: str) -> str:
    """Normalise case and accents, which some file systems do not distinguish."""
    return normalize("NFKC", normalize("NFKC", name).casefold())


def _to_disk(path: Path) -> None:
    """Flush a file, or the names in a folder, so that they survive a loss of power."""
    if os.name == "nt" and path.is_dir():
        return  # Windows cannot open folders
    handle = os.open(path, os.O_RDWR if path.is_file() else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
