"""Files appear whole or not at all, and damaged ones are named."""

import os
import re
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from sepvae.errors import RunFolderError

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")


def write_whole(path: Path, content: str | bytes) -> None:
    """
    Write a file aside, then move it into place, so that nobody ever reads half of it.

    Parameters
    ----------
    path : Path
        Where; an older file is replaced.
    content : str or bytes
        What; text is written as UTF-8.
    """
    data = content.encode() if isinstance(content, str) else content
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o666 & ~_umask())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """
    Make a folder aside, and move it into place when all is in it.

    Parameters
    ----------
    folder : Path
        Where; it must not exist.

    Yields
    ------
    Path
        The folder to write into. If that fails, nothing is left.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as beside:
        whole = Path(beside) / folder.name
        whole.mkdir()
        yield whole
        whole.rename(folder)


def read_file(path: Path, reader: Callable[[Path], T]) -> T | None:
    """
    Read a file of a run folder.

    Parameters
    ----------
    path : Path
        Which.
    reader : callable
        Takes the path and gives what the file holds.

    Returns
    -------
    object or None
        What the reader gave; None where there is no file.

    Raises
    ------
    RunFolderError
        If the file is damaged.
    """
    from zipfile import BadZipFile

    from yaml import YAMLError

    if not path.is_file():
        return None
    damage = (ValueError, TypeError, KeyError, OSError, EOFError, RecursionError, BadZipFile, YAMLError)
    try:
        return reader(path)
    except damage as error:
        reason = str(error).partition("\n")[0]
        raise RunFolderError(
            f"{path} is damaged ({reason}); delete it to leave it out, or make it again"
        ) from error


def read_table(path: Path, words: Iterable[str]) -> "pd.DataFrame":
    """
    Read a table of a run folder, in which only an empty cell is missing: a label may be called NA or None.

    Parameters
    ----------
    path : Path
        A CSV file.
    words : iterable of str
        Columns that hold text, whatever it looks like.

    Returns
    -------
    DataFrame
        All rows.
    """
    import pandas as pd

    return pd.read_csv(path, dtype=dict.fromkeys(words, str), keep_default_na=False, na_values=[""])


def plain_name(name: str) -> str:
    """
    Turn a name into part of a file's name.

    Parameters
    ----------
    name : str
        Of an attribute.

    Returns
    -------
    str
        Letters, digits, - and _.

    Examples
    --------
    >>> plain_name("age at scan")
    'age_at_scan'
    """
    return re.sub(r"[^\w-]", "_", name)


_UMASK_LOCK = threading.Lock()  # it can only be read by setting it, for all threads at once


def _umask() -> int:
    with _UMASK_LOCK:
        mask = os.umask(0)
        os.umask(mask)
    return mask
