"""Class-per-folder trees: one subfolder per label, and what file names say by a pattern."""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from sepvae.checks import check_attribute_names
from sepvae.data.listing import Listing
from sepvae.data.splits import SIDES
from sepvae.errors import DataError

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".gif", ".webp"}


def list_image_folder(
    path: str | Path, *, pattern: str | Sequence[str] | None = None, labelled: bool = True
) -> Listing:
    """
    List the images of a folder that has one subfolder per label.

    Every subfolder that holds images, at any depth, is a label. Where all subfolders are parts of a split
    (train, val, test), those below them are the labels. Files come in the order of their paths.

    Parameters
    ----------
    path : str or Path
        The folder.
    pattern : str or sequence of str, default=None
        Regular expressions with named groups, searched in the file name; the first that is found counts. The
        group named `group` is the sample's group (the patient), every other one becomes an attribute. A file
        without a match is its own group and has no attributes.
    labelled : bool, default=True
        Whether there must be two labels or more. False lists any folder of images, for a model that needs no
        labels: those of subfolders where there are some, "" for images that lie in the folder itself.

    Returns
    -------
    Listing
        Ids are paths relative to the folder.

    Raises
    ------
    DataError
        If the folder or a pattern is of no use.
    """
    root = Path(path)
    files, labels, parts = _list_parts(root) if labelled else _list_any(root)
    about = pd.DataFrame({"label": labels, "split": parts}, dtype=object)
    about.insert(0, "id", [file.relative_to(root).as_posix() for file in files])
    groups, attributes = _described([file.name for file in files], pattern, must_match=labelled)
    check_attribute_names(attributes.columns)
    # What the pattern does not name a patient for stands alone, under its own name.
    about.insert(1, "group", pd.Series(groups, dtype=object).fillna(about["id"]))
    grouped = any(group is not None for group in groups)
    return Listing(root, pd.concat([about, attributes], axis=1), files, grouped=grouped)


def images_in(folder: Path, *, deep: bool = True) -> list[Path]:
    """
    Find images; hidden files, such as the ._ twins that macOS leaves in archives, are none.

    Parameters
    ----------
    folder : Path
        Where.
    deep : bool, default=True
        Whether to look into its subfolders.

    Returns
    -------
    list of Path
        In the order of their paths.
    """
    files = sorted(_walk(folder, deep), key=lambda file: file.relative_to(folder).as_posix())
    for file in files:
        try:
            str(file).encode()
        except UnicodeEncodeError:
            raise DataError(f"{os.fsencode(file)!r}: wanted a name in UTF-8; rename it") from None
    return files


def _walk(folder: Path, deep: bool) -> Iterator[Path]:
    """Images of a folder and of those below it, each of which is entered once: links may run in rings."""
    seen = set()
    for parent, folders, names in os.walk(folder, onerror=_refuse, followlinks=True):
        is_new = (place := os.path.realpath(parent)) not in seen
        seen.add(place)
        folders[:] = sorted(name for name in folders if name[0] != ".") if deep and is_new else []
        for name in names if is_new else ():
            file = Path(parent, name)
            # A link that leads nowhere is taken: to read it will tell. One to a pipe would never end.
            if file.suffix.lower() in SUFFIXES and name[0] != "." and (file.is_file() or not file.exists()):
                yield file


def _refuse(error: OSError) -> None:
    raise DataError(f"{error.filename}: cannot be opened ({error.strerror}); see who may read it") from error


def _list_parts(root: Path) -> tuple[list[Path], list[str], list[str | None]]:
    """All images, their labels, and the parts of a split that they lie in."""
    if not root.is_dir():
        found = "a file" if root.is_file() else "nothing"
        raise DataError(f"{root}: wanted a folder with one subfolder of images per label, found {found}")
    parts, whole = _parts(root), [None]
    listed = [
        (file, folder.name, part and part.name)
        for part in parts or whole
        for folder in _subfolders(part or root)
        for file in images_in(folder)
    ]
    found_labels = dict.fromkeys(label for _, label, _ in listed)
    if len(found_labels) < 2:
        where = f" in {', '.join(part.name for part in parts)}" if parts else ""
        raise DataError(
            f"{root}: wanted two subfolders or more with images{where}, one per label, "
            f"found {', '.join(found_labels) or 'none'}; put the images of each label in a folder of its own"
        )
    files, labels, names = zip(*listed, strict=True)
    return list(files), list(labels), list(names)


def _list_any(root: Path) -> tuple[list[Path], list[str], list[None]]:
    """All images, each with the name of the subfolder that it lies in, if any."""
    if not root.is_dir() or not (files := images_in(root)):
        raise DataError(f"{root}: wanted a folder with images, found none")
    depth = 1 if _parts(root) else 0
    places = [file.relative_to(root).parts[depth:] for file in files]
    return files, [place[0] if len(place) > 1 else "" for place in places], [None] * len(files)


def _parts(root: Path) -> list[Path]:
    """The parts of a split, where all subfolders with images are such; none where they are labels."""
    folders = [folder for folder in _subfolders(root) if any(_walk(folder, deep=True))]
    parts = [folder for folder in folders if folder.name.lower() in SIDES]
    others = ", ".join(folder.name for folder in folders if folder not in parts)
    if others and len({SIDES[part.name.lower()] for part in parts}) == 2:
        names = ", ".join(part.name for part in parts)
        raise DataError(
            f"{root}: {names} look like parts of a split, {others} does not; "
            "name one of these folders, or move the others away"
        )
    return [] if others else parts


def _subfolders(root: Path) -> list[Path]:
    try:
        return sorted(f for f in root.iterdir() if f.is_dir() and not f.name.startswith("."))
    except OSError as error:
        _refuse(error)
        raise


def _described(
    names: list[str], pattern: str | Sequence[str] | None, *, must_match: bool
) -> tuple[list[str | None], pd.DataFrame]:
    """Group and attributes of each file, as far as its name says them."""
    patterns = [pattern] if isinstance(pattern, str) else list(pattern or ())
    compiled = [_compiled(text, names, must_match) for text in patterns]
    columns = [name for regex in compiled for name in regex.groupindex]
    matches = (next(filter(None, (regex.search(name) for regex in compiled)), None) for name in names)
    rows = [match.groupdict() if match else {} for match in matches]
    table = pd.DataFrame(rows, columns=list(dict.fromkeys(columns)), index=range(len(names)))
    return [row.get("group") or None for row in rows], table.drop(columns="group", errors="ignore")


def _compiled(pattern: str, names: list[str], must_match: bool) -> re.Pattern[str]:
    """A regular expression that says something about these names."""
    example = f"file names look like {names[0]!r}"
    try:
        regex = re.compile(pattern)
    except re.error as error:
        raise DataError(f"pattern {pattern!r}: no regular expression ({error}); {example}") from error
    if not regex.groupindex:
        raise DataError(f"pattern {pattern!r}: wanted a named group, such as (?P<group>...); {example}")
    if must_match and not any(map(regex.search, names)):
        raise DataError(f"pattern {pattern!r}: found in no file name; {example}")
    return regex
