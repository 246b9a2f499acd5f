"""Image folders: one subfolder per label, subject and attributes from patterns on file names."""

import os
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from sepvae.checks import check_attribute_names
from sepvae.data.arrays import ArraySource, StreamSource
from sepvae.data.cells import are_missing
from sepvae.data.formats import FOLDER, OF_VOLUMES, Format, Images
from sepvae.data.manifest import Manifest
from sepvae.data.spec import MEMORY, DataSpec, Fit, read_spec
from sepvae.data.splits import side_of
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
        """List the images by path; parts of a split (train, val, test) hold the subfolders of labels."""
        if not path.is_dir():
            found = f"one subfolder of images per label, found {'a file' if path.is_file() else 'nothing'}"
            raise DataError(f"{path}: wanted a folder with {found if labelled else 'images, found none'}")
        place = {file: file.relative_to(path).parts for file in _files(path, deep=True, by_label=labelled)}
        parts = _parts_of_split(
            path, {of[0] for file, of in place.items() if _is_image(file) and len(of) > 1}
        )
        depth = 1 if parts else 0  # of the folders of labels
        label = {file: of[depth] if len(of) > depth + 1 else "" for file, of in place.items()}
        files = _by_path((file for file in place if _is_image(file) and (label[file] or not labelled)), path)
        if labelled:
            files.sort(key=lambda file: place[file][: depth + 1])
        passed_over = _count_kinds({file: label[file] for file in sorted(place.keys() - set(files))})
        if not files and not labelled:
            raise DataError(f"{path}: wanted a folder with images, found none")
        if labelled and len(labels := dict.fromkeys(label[file] for file in files)) < 2:
            where = f" in {', '.join(parts)}" if parts else ""
            others = f" ({describe_skipped(passed_over)})" if passed_over else ""
            raise DataError(
                f"{path}: wanted two subfolders or more with images{where}, one per label, found "
                f"{', '.join(labels) or 'none'}; put the images of each label in a folder of its own{others}"
            )
        about = pd.DataFrame(
            {
                "id": [file.relative_to(path).as_posix() for file in files],
                "group": None,
                "label": [label[file] for file in files],
                "split": [place[file][0] if depth and labelled else None for file in files],
            },
            dtype=object,
        )
        manifest = Manifest(path, about, files, format=self, passed_over=passed_over)
        return typed_attributes(_named(manifest, spec.pattern or [], must_match=labelled), spec)

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

    A subfolder that holds images, at any depth, is a label; files are sorted by path. PNG, JPEG, BMP, TIFF,
    GIF and WebP are read (the first page or frame), turned by their EXIF orientation and converted to
    `channels`. 16 bits are scaled to 8 by their full range. Transparent parts are shown on black. A shrinking
    axis is averaged by area, a growing one interpolated linearly.

    Parameters
    ----------
    path : str or Path
        Folder with one subfolder per label.
    image_size : int or (int, int), default=64
        Side, or height and width, of the images in the source.
    channels : {1, 3}, default=1
        1 for grey, 3 for RGB.
    fit : {"pad", "crop", "squash"}, default="pad"
        Method for images of another shape: add black bars, cut out the centre, or distort.
    pattern : str or sequence of str, default=None
        Regular expressions with named groups, searched in the file name; the first match counts. The named
        group `subject` is the person, every other one an attribute. A file without a match is its own group.
    limit, limit_by : int or str, default=None
        Maximum number of images per label, the first by path, and for each value of an attribute.
    labelled : bool, default=True
        Whether two labels or more are required. False reads any folder of images: the label is then the name
        of the subfolder, or "" for images in the folder itself.
    memory : float, default=4.0
        Gigabytes of decoded images to cache; images beyond are decoded each time they are taken.
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
    >>> pattern = [r"(?P<subject>person\d+)_(?P<kind>virus|bacteria)", r"(?P<subject>(NORMAL2-)?IM-\d+)"]
    >>> read_image_folder("xrays", pattern=pattern, limit=1341, limit_by="kind")  # doctest: +SKIP
    """
    look: dict[str, Any] = {"image_size": image_size, "channels": channels, "fit": fit, "memory": memory}
    spec = read_spec(look | {"pattern": pattern, "limit": limit, "limit_by": limit_by})
    manifest = ImageFolder().list(Path(path), spec, labelled=labelled).limited(limit, limit_by)
    if said := describe_skipped(manifest.passed_over):
        warnings.warn(f"{path}: {said}", PassedOverWarning, stacklevel=2)
    return ImageFolder().read(manifest, spec, progress)[0]


def _parts_of_split(root: Path, folders: set[str]) -> list[str]:
    """Return the names of the folders with images if all are parts of a split; else they are labels."""
    parts = sorted(filter(side_of, folders))
    others = ", ".join(sorted(folders - set(parts)))
    if others and len(set(map(side_of, parts))) == 2:
        found = f"{', '.join(parts)} look like parts of a split, {others} does not"
        raise DataError(f"{root}: {found}; name one of these folders, or move the others away")
    return [] if others else parts


def images_in(folder: Path) -> list[Path]:
    """Return the images of a folder sorted by path, without hidden files such as the ._ copies of macOS."""
    return _by_path(filter(_is_image, _files(folder, deep=False)), folder)


def _by_path(files: Iterable[Path], folder: Path) -> list[Path]:
    """Return files sorted by path; raise if a name is not in UTF-8."""
    ordered = sorted(files, key=lambda file: file.relative_to(folder).as_posix())
    for file in ordered:
        try:
            str(file).encode()
        except UnicodeEncodeError:
            raise DataError(f"{os.fsencode(file)!r}: wanted a name in UTF-8; rename it") from None
    return ordered


def _is_image(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES


def _files(folder: Path, *, deep: bool, by_label: bool = False) -> Iterator[Path]:
    """Iterate over files that are not hidden; enter a folder once (in each label), as links may cycle."""
    seen = set()
    for parent, folders, names in os.walk(folder, onerror=_refuse, followlinks=True):
        within = Path(parent).relative_to(folder).parts
        label = within[: 1 + (side_of(within[0]) is not None)] if by_label and within else ()
        is_new = (place := (label, os.path.realpath(parent))) not in seen
        seen.add(place)
        folders[:] = sorted(name for name in folders if name[0] != ".") if deep and is_new else []
        for name in names if is_new else ():
            file = Path(parent, name)
            # Broken links are kept, so that reading them raises. Reading a pipe would block forever.
            if name[0] != "." and name.lower() not in LITTER and (file.is_file() or not file.exists()):
                yield file


def _count_kinds(label_of: Mapping[Path, str]) -> dict[str, dict[str, int]]:
    """Count files that are not read, by label ("" outside of all labels) and suffix."""
    found: dict[str, Counter[str]] = {}
    for file, label in label_of.items():
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
    """Format the numbers of files that are not read, and how to convert them."""
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


def _named(manifest: Manifest, patterns: list[str], *, must_match: bool) -> Manifest:
    """Add the group and attributes of each file, from the first pattern that its name matches."""
    names = [Path(id_).name for id_ in manifest.about["id"]]
    compiled = [_compiled(text, names, must_match) for text in patterns]
    matches = (next(filter(None, (regex.search(name) for regex in compiled)), None) for name in names)
    rows = [match.groupdict() if match else {} for match in matches]
    columns = dict.fromkeys(name for regex in compiled for name in regex.groupindex)
    table = pd.DataFrame(rows, columns=list(columns), index=range(len(names)))
    attributes = table.drop(columns=["subject", "group"], errors="ignore")
    check_attribute_names(attributes.columns)
    persons = [row.get("subject") or row.get("group") or None for row in rows]
    # A file without a subject in its name is its own group.
    groups = pd.Series(persons, dtype=object).fillna(manifest.about["id"])
    about = pd.concat([manifest.about.assign(group=groups), attributes], axis=1)
    return replace(manifest, about=about, grouped=any(person is not None for person in persons))


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
    for name, kind in spec.attributes.items():
        if name not in manifest.attributes:
            known = ", ".join(map(str, manifest.attributes)) or "none"
            raise DataError(f"attribute: wanted a named group of --pattern ({known}), got {name!r}")
        if not pd.api.types.is_numeric_dtype(about[name]):
            cells = about[name].astype(object).map(str, na_action="ignore").astype("str")
            gone = are_missing(cells, spec)
            written[name] = sorted(set(cells[gone].dropna()))
            about[name] = about[name].mask(gone)
        if kind == "continuous":
            numbers = pd.to_numeric(about[name], errors="coerce")
            if (wrong := about.loc[about[name].notna() & numbers.isna(), name]).size:
                remedy = f"correct the --pattern, or make it missing (--missing {wrong.iloc[0]})"
                if name == spec.target_severity:  # a severity that is missing is refused, too
                    remedy = "correct the --pattern, or take another attribute for --target-severity"
                raise DataError(f"attribute {name}: wanted a number, got {wrong.iloc[0]!r}; {remedy}")
            about[name] = numbers
    kinds = {name: kind for name, kind in spec.attributes.items() if kind}
    written = {name: words for name, words in written.items() if words}
    return replace(manifest, about=about, kinds={**manifest.kinds, **kinds}, written=written)
