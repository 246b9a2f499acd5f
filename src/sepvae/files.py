"""Files appear whole or not at all, and damaged ones are named."""

import os
import re
import shutil
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
ASIDE = re.compile(r"\..+\.[a-z0-9_]{8}")  # as `tempfile` names what is not yet whole


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file aside, then move it into place, so that nobody ever reads half of it."""
    data = content.encode() if isinstance(content, str) else content
    with naming(path):
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        aside = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            aside.chmod(0o666 & ~_umask())
            settle(aside, path)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Name a file in what the system says, when the disk is full or may not be written."""
    try:
        yield
    except OSError as error:
        if error.errno is None:  # one of ours
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def settle(aside: Path, path: Path) -> None:
    """Move a file that was written aside into its place, once all of it is on the disk."""
    _to_disk(aside)
    aside.replace(path)
    _to_disk(path.parent)


def remove_asides(folder: Path) -> None:
    """Remove what a process that was killed had written aside."""
    for path in folder.rglob(".*"):
        if not ASIDE.fullmatch(path.name):
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


@contextmanager
def whole_folder(folder: Path, *, replace: bool = False) -> Iterator[Path]:
    """Make a folder aside, and move it into place when all is in it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with naming(folder), tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as beside:
        whole = Path(beside) / folder.name
        whole.mkdir()
        yield whole
        old = Path(beside) / "old"
        if replace and folder.exists():
            folder.rename(old)
        try:
            whole.rename(folder)
        except OSError:
            if old.exists():
                old.rename(folder)
            raise
        _to_disk(folder.parent)


def read_file(path: Path, reader: Callable[[Path], T]) -> T | None:
    """Read a file of a run folder."""
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
    """
    import pandas as pd

    return pd.read_csv(path, dtype=dict.fromkeys(words, str), keep_default_na=False, na_values=[""])


def plain_name(name: str) -> str:
    """
    Turn a name into part of a file's name.

    Examples
    --------
    >>> plain_name("age at scan")
    'age_at_scan'
    """
    return re.sub(r"[^\w-]", "_", name)


def _to_disk(path: Path) -> None:
    """Wait until a file, or the names in a folder, would outlast a loss of power."""
    if os.name == "nt" and path.is_dir():
        return  # Windows opens no folders
    handle = os.open(path, os.O_RDWR if path.is_file() else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


_UMASK_LOCK = threading.Lock()  # it can only be read by setting it, for all threads at once


def _umask() -> int:
    with _UMASK_LOCK:
        mask = os.umask(0)
        os.umask(mask)
    return mask
