"""Image folders: one subfolder per label, subject and attributes from patterns on file names."""

import os
import re
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from sepvae.checks import check_attribute_names
from sepvae.data.arrays import ArraySource, StreamSource
from sepvae.data.columns import rules_of
from sepvae.data.formats import FOLDER, OF_VOLUMES, Format, Images
from sepvae.data.manifest import Manifest
from sepvae.data.spec import MEMORY, DataSpec, Fit, read_spec
from sepvae.data.splits import SIDES
from sepvae.errors import DataError, PassedOverWarning
from sepvae.progress import Progress

SUFFIXES = {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib"}
SUFFIXES |= {".tif", ".tiff", ".gif", ".webp", ".apng"}
LITTER = {"thumbs.db", "desktop.ini"}
DICOM = "DICOM"


class ImageFolder(Images):
    """Folder of images; any folder that is of no other format."""

    name, kind, title = "folder", FOLDER, "a folder of images"
    refused = ("modality", *OF_VOLUMES)
    needs_label, subject_option = False, "--pattern"

    def list(self, path: Path, spec: DataSpec, *, labelled: bool = True) -> Manifest:
        manifest = list_image_folder(path, pattern=spec.pattern, labelled=labelled)
        return typed_attributes(manifest, spec)

    def reads(self, other: Format) -> bool:
        """Return whether the other is the same; Kermany's images are a folder like any other, too."""
        return other.name in (self.name, "kermany")


def read_image_folder(
    path: str | Path,
    *,
    image_size: int | tuple[int, int] = 64,
    channels: int = 1,
    fit: Fit = "pad",
    pattern: str | Sequence[str] | None = None,
    limit: int | None = None,
    limit_by: str | None = None,
    labelled: bool = True,
    memory: float = MEMORY,
    progress: Progress | None = None,
) -> ArraySource | StreamSource:
    r"""
    Read the images of a folder that has one subfolder per label.

    A subfolder that holds images, at any depth, is a label; files are sorted by path. Pillow reads PNG, JPEG,
    BMP, TIFF, GIF and WebP (the first page or frame), applies the EXIF orientation and converts any mode to
    `channels`. 16 bits are scaled to 8 by their full range; rescale images that use only 12 of them first.
    Transparent parts are shown on black. A shrinking axis is averaged by area, with each pixel weighted by
    its covered share; a growing axis is interpolated linearly.

    Parameters
    ----------
    path : str or Path
        Folder with one subfolder per label.
    image_size : int or (int, int), default=64
        Side, or height and width, of the images in the source.
    channels : {1, 3}, default=1
        1 for grey, 3 for RGB.
    fit : {"pad", "crop", "squash"}, default="pad"
        Method for images of another shape: add black bars, cut out the centre, or distort. Bars and
        distortion can reveal a label whose images have another shape.
    pattern : str or sequence of str, default=None
        Regular expressions with named groups, searched in the file name; the first match counts. The named
        group `subject` (or `group`) is the person, every other one becomes a column of `attributes`. A file
        without a match is its own group and has no attributes.
    limit, limit_by : int or str, default=None
        Maximum number of images per label, the first by path; with an attribute as `limit_by` for each of its
        values within a label.
    labelled : bool, default=True
        Whether two labels or more are required. False reads any folder of images, for a model that needs no
        labels: the label is then the name of the subfolder, or "" for images in the folder itself.
    memory : float, default=4.0
        Gigabytes of decoded images to cache. Images beyond are decoded each time they are taken, by worker
        processes while a model is fitted.
    progress : callable, default=None
        Called as `progress(done, total)` after every image.

    Returns
    -------
    ArraySource or StreamSource
        Images as uint8 of shape (channels, h, w), all of them in memory or not; `ids` are paths relative to
        the folder, `labels` the names of the subfolders.

    Raises
    ------
    DataError
        If the folder or a pattern is invalid, or a file cannot be read as an image.

    Warns
    -----
    PassedOverWarning
        If the folder has files that are not read, with their number by label and suffix.

    Examples
    --------
    >>> source = read_image_folder(
    ...     "chest_xray/train",
    ...     pattern=[r"(?P<subject>person\d+)_(?P<kind>virus|bacteria)", r"(?P<subject>(NORMAL2-)?IM-\d+)"],
    ...     limit=1341,
    ...     limit_by="kind",
    ... )  # doctest: +SKIP
    """
    look: dict[str, Any] = {"image_size": image_size, "channels": channels, "fit": fit, "memory": memory}
    spec = read_spec(look | {"pattern": pattern, "limit": limit, "limit_by": limit_by})
    manifest = ImageFolder().list(Path(path), spec, labelled=labelled).limited(limit, limit_by)
    if said := describe_skipped(manifest.passed_over):
        warnings.warn(f"{path}: {said}", PassedOverWarning, stacklevel=2)
    return ImageFolder().read(manifest, spec, progress=progress)[0]


def list_image_folder(
    path: str | Path, *, pattern: str | Sequence[str] | None = None, labelled: bool = True
) -> Manifest:
    """
    List the images of a folder that has one subfolder per label, sorted by path.

    A subfolder that holds images, at any depth, is a label. If all subfolders are parts of a split (train,
    val, test), the subfolders below them are the labels. If not `labelled`, images in the folder itself have
    the label "".
    """
    root = Path(path)
    files, labels, parts = _list_labelled(root) if labelled else _list_unlabelled(root)
    about = pd.DataFrame({"label": labels, "split": parts}, dtype=object)
    about.insert(0, "id", [file.relative_to(root).as_posix() for file in files])
    groups, attributes = _described([file.name for file in files], pattern, must_match=labelled)
    check_attribute_names(attributes.columns)
    # A file without a subject in its name is its own group.
    about.insert(1, "group", pd.Series(groups, dtype=object).fillna(about["id"]))
    about = pd.concat([about, attributes], axis=1)
    passed_over, grouped = _passed_over(root, labelled=labelled), any(group is not None for group in groups)
    return Manifest(root, about, files, format=ImageFolder(), grouped=grouped, passed_over=passed_over)


def images_in(folder: Path, *, deep: bool = True) -> list[Path]:
    """Return images sorted by path, without hidden files such as the ._ copies in archives of macOS."""
    found = filter(_is_image, _files(folder, deep))
    files = sorted(found, key=lambda file: file.relative_to(folder).as_posix())
    for file in files:
        try:
            str(file).encode()
        except UnicodeEncodeError:
            raise DataError(f"{os.fsencode(file)!r}: wanted a name in UTF-8; rename it") from None
    return files


def _is_image(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES


def _files(folder: Path, deep: bool) -> Iterator[Path]:
    """Iterate over files that are not hidden; enter each folder once, since links may form cycles."""
    seen = set()
    for parent, folders, names in os.walk(folder, onerror=_refuse, followlinks=True):
        is_new = (place := os.path.realpath(parent)) not in seen
        seen.add(place)
        folders[:] = sorted(name for name in folders if name[0] != ".") if deep and is_new else []
        for name in names if is_new else ():
            file = Path(parent, name)
            # Broken links are kept, so that reading them raises. Reading a pipe would block forever.
            if name[0] != "." and name.lower() not in LITTER and (file.is_file() or not file.exists()):
                yield file


def _passed_over(root: Path, *, labelled: bool) -> dict[str, dict[str, int]]:
    """Count the files that are not read, by label ("" outside of all labels) and suffix."""
    found: dict[str, Counter[str]] = {}
    depth = 1 if _split_folders(root) else 0
    for file in sorted(_files(root, deep=True)):
        place = file.relative_to(root).parts[depth:]
        label = place[0] if len(place) > 1 else ""
        if not _is_image(file) or (labelled and not label):
            found.setdefault(label, Counter())[_kind(file)] += 1
    return {label: dict(kinds.most_common()) for label, kinds in sorted(found.items())}


def _kind(file: Path) -> str:
    """Return the suffix of a file, or detect DICOM by content, since its names are often numbers."""
    suffix = ".nii.gz" if file.name.lower().endswith(".nii.gz") else file.suffix.lower()
    if suffix.lstrip(".").isalpha() or suffix == ".nii.gz":
        return suffix
    try:
        with file.open("rb") as opened:
            is_dicom = opened.read(132)[128:] == b"DICM"
    except OSError:
        is_dicom = False
    return f"{DICOM} without suffix" if is_dicom else suffix or "without suffix"


def describe_skipped(passed_over: Mapping[str, Mapping[str, int]]) -> str:
    """
    Format the numbers of files that are not read, and how to convert them.

    >>> describe_skipped({"covid": {".dcm": 6, ".txt": 1}})
    'passed over: covid: 6 .dcm, 1 .txt; DICOM is not read: convert it (dcm2niix, dcm2img)'
    """
    if not passed_over:
        return ""
    parts = [
        f"{label or 'outside of labels'}: " + ", ".join(f"{n} {kind}" for kind, n in kinds.items())
        for label, kinds in passed_over.items()
    ]
    kinds = {kind for of_label in passed_over.values() for kind in of_label}
    remedy = ""
    if kinds & {".dcm", ".dicom", ".ima"} or any(kind.startswith(DICOM) for kind in kinds):
        remedy += "; DICOM is not read: convert it (dcm2niix, dcm2img)"
    if kinds & {".nii", ".nii.gz", ".mgz", ".img"}:
        remedy += "; volumes need a table that names them (--images)"
    return f"passed over: {'; '.join(parts)}{remedy}"


def _refuse(error: OSError) -> None:
    raise DataError(f"{error.filename}: cannot be opened ({error.strerror}); see who may read it") from error


def _list_labelled(root: Path) -> tuple[list[Path], list[str], list[str | None]]:
    """Return all images, their labels and their parts of a split; raise for fewer than two labels."""
    if not root.is_dir():
        found = "a file" if root.is_file() else "nothing"
        raise DataError(f"{root}: wanted a folder with one subfolder of images per label, found {found}")
    parts, whole = _split_folders(root), [None]
    listed = [
        (file, folder.name, part and part.name)
        for part in parts or whole
        for folder in _subfolders(part or root)
        for file in images_in(folder)
    ]
    found_labels = dict.fromkeys(label for _, label, _ in listed)
    if len(found_labels) < 2:
        where = f" in {', '.join(part.name for part in parts)}" if parts else ""
        passed = describe_skipped(_passed_over(root, labelled=True))
        raise DataError(
            f"{root}: wanted two subfolders or more with images{where}, one per label, "
            f"found {', '.join(found_labels) or 'none'}; put the images of each label in a folder of its own"
            f"{passed and f' ({passed})'}"
        )
    files, labels, names = zip(*listed, strict=True)
    return list(files), list(labels), list(names)


def _list_unlabelled(root: Path) -> tuple[list[Path], list[str], list[None]]:
    """Return all images with the subfolder of each, or "", and no parts of a split."""
    if not root.is_dir() or not (files := images_in(root)):
        raise DataError(f"{root}: wanted a folder with images, found none")
    depth = 1 if _split_folders(root) else 0
    places = [file.relative_to(root).parts[depth:] for file in files]
    return files, [place[0] if len(place) > 1 else "" for place in places], [None] * len(files)


def _split_folders(root: Path) -> list[Path]:
    """Return the subfolders with images if all are parts of a split, else none, since they are labels."""
    folders = [folder for folder in _subfolders(root) if any(map(_is_image, _files(folder, deep=True)))]
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
    """Return the group and attributes of each file, from the first pattern that its name matches."""
    patterns = [pattern] if isinstance(pattern, str) else list(pattern or ())
    compiled = [_compiled(text, names, must_match) for text in patterns]
    columns = [name for regex in compiled for name in regex.groupindex]
    matches = (next(filter(None, (regex.search(name) for regex in compiled)), None) for name in names)
    rows = [match.groupdict() if match else {} for match in matches]
    table = pd.DataFrame(rows, columns=list(dict.fromkeys(columns)), index=range(len(names)))
    persons = [row.get("subject") or row.get("group") or None for row in rows]
    return persons, table.drop(columns=["subject", "group"], errors="ignore")


def _compiled(pattern: str, names: list[str], must_match: bool) -> re.Pattern[str]:
    """Compile a pattern; raise if it has no named group, or matches no name though it must."""
    example = f"file names look like {names[0]!r}"
    try:
        regex = re.compile(pattern)
    except re.error as error:
        raise DataError(f"pattern {pattern!r}: no regular expression ({error}); {example}") from error
    if not regex.groupindex:
        raise DataError(f"pattern {pattern!r}: wanted a named group, such as (?P<subject>...); {example}")
    if must_match and not any(map(regex.search, names)):
        raise DataError(f"pattern {pattern!r}: found in no file name; {example}")
    return regex


def typed_attributes(manifest: Manifest, spec: DataSpec) -> Manifest:
    """Mark missing values, and convert continuous attributes to numbers, since file names give text."""
    about, written = manifest.about.copy(), {}
    rules = rules_of(spec)
    for name, kind in spec.attributes.items():
        if name not in manifest.attributes:
            known = ", ".join(map(str, manifest.attributes)) or "none"
            raise DataError(f"attribute: wanted a named group of --pattern ({known}), got {name!r}")
        if not pd.api.types.is_numeric_dtype(about[name]):
            cells = about[name].astype(object).map(str, na_action="ignore").astype("str")
            written[name] = sorted(set(cells[rules.are_missing(cells)].dropna()))
            about[name] = about[name].mask(rules.are_missing(cells))
        if kind == "continuous":
            numbers = pd.to_numeric(about[name], errors="coerce")
            if (wrong := about.loc[about[name].notna() & numbers.isna(), name]).size:
                raise DataError(
                    f"attribute {name}: wanted a number, got {wrong.iloc[0]!r}; correct the --pattern, or "
                    f"make it missing (--missing {wrong.iloc[0]})"
                )
            about[name] = numbers
    kinds = {name: kind for name, kind in spec.attributes.items() if kind}
    written = {name: words for name, words in written.items() if words}
    return replace(manifest, about=about, kinds={**manifest.kinds, **kinds}, written=written)
