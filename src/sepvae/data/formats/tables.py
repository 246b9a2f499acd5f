"""Tables that name image files or volumes, one per row, such as a participants.tsv, and packed stores."""

import glob
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain, zip_longest
from pathlib import Path

import numpy as np
import pandas as pd

from sepvae.codes import Kind
from sepvae.data.arrays import ArraySource, StreamSource
from sepvae.data.columns import PERSON, VISIT, about_rows, takes_group, whole_column, with_person
from sepvae.data.formats import OF_VOLUMES, STORE, TABLE, Images, Volumes
from sepvae.data.formats.image_folder import images_in
from sepvae.data.joining import Joined, read_joined
from sepvae.data.manifest import Manifest
from sepvae.data.nifti import OTHER_FORMATS, NiftiFiles, check_orientation
from sepvae.data.packed import open_packed
from sepvae.data.spec import MEMORY, DataSpec, Fit
from sepvae.errors import DataError, listed
from sepvae.grid import Shape
from sepvae.progress import Progress

COLUMN = re.compile(r"\{([^{}]+)\}")  # in a template
SUFFIXES = (".nii", ".nii.gz", *OTHER_FORMATS)


class ImageTable(Images):
    """Table of image files; any table that is of no other format."""

    name, kind, title = "table", TABLE, "a table of image files"
    refused = ("assume_orientation", *OF_VOLUMES)

    def list(self, path: Path, spec: DataSpec, *, labelled: bool = True) -> Manifest:
        joined = read_table(path, spec)
        if {PERSON, VISIT} <= {*joined.table} and spec.subject is None:  # several images of a person
            spec = spec.model_copy(update={"subject": PERSON})
        return list_files(path, spec, joined)


class VolumeTable(Volumes):
    """Table of volumes, which their suffixes tell from images."""

    name, kind, title = "volumes", TABLE, "a table of volumes"

    def detect(self, path: Path, spec: DataSpec) -> bool:
        names = names_of_images(path, spec)
        return any(name.lower().rstrip("*").endswith(SUFFIXES) for name in names)

    def list(self, path: Path, spec: DataSpec, *, labelled: bool = True) -> Manifest:
        check_orientation(spec.assume_orientation)
        joined = read_table(path, spec)
        spec, ids = with_person(spec, joined.table, path)
        manifest = list_files(path, spec, joined, ids)
        files = [Path(str(file)) for file in manifest.files]
        if others := [file for file in files if not file.name.lower().rstrip("*").endswith(SUFFIXES)]:
            wanted = "a volume (.nii, .nii.gz, .mgz, .img) like the others"
            raise DataError(f"{others[0]}: wanted {wanted}; convert it, or take it out")
        folder = folder_of_images(path, spec)
        like = not_named(files, images_of(path, spec), folder)
        unlisted = [file.relative_to(folder).as_posix() for file in like]
        volumes = NiftiFiles(files, spec.assume_orientation)
        return replace(manifest, format=self, files=(), volumes=volumes, unlisted=unlisted)


class PackedStore(Volumes):
    """Packed store, whose ids are participants or visits if these are unique, else files; never cached."""

    name, kind, title = "packed", STORE, "a packed store"

    def list(self, path: Path, spec: DataSpec, *, labelled: bool = True) -> Manifest:
        store = open_packed(path)
        if VISIT in store.cells:
            spec, ids = with_person(spec, store.cells, path)
        else:
            spec, ids = spec.model_copy(update={"id": spec.id or store.id_column}), None
        rows = about_rows(store.cells, [], path, spec, ids or store.volumes.files)
        return Manifest(path, **rows, format=self, volumes=store.volumes)


@takes_group
def read_image_table(
    path: str | Path,
    *,
    images: str,
    label: str,
    root: str | Path | None = None,
    tables: Sequence[str | Path] = (),
    subject: str | None = None,
    id: str | None = None,  # noqa: A002  (the word of this library)
    attributes: Mapping[str, Kind | None] | Sequence[str] = (),
    image_size: int | tuple[int, int] = 64,
    channels: int = 1,
    fit: Fit = "pad",
    memory: float = MEMORY,
    progress: Progress | None = None,
    missing: Sequence[str | float] = (),
    not_missing: Sequence[str | float] = (),
    encoding: str | None = None,
) -> ArraySource | StreamSource:
    """
    Read the images that a table names, such as a participants.tsv.

    Parameters
    ----------
    path : str or Path
        A text table with tabs, commas or semicolons between cells and column names in the first line. Empty
        cells, "n/a", "NA", "nan" and the like are missing values.
    images, label, root, tables : object
        As in `DataSpec`; files must lie in `root`.
    subject, id : str, default=None
        Columns of persons, whom a split keeps on one side (by default every row is one), and of unique names
        (by default the files).
    attributes : mapping or sequence of str, default=()
        Columns of further variables. A mapping gives their kind: "continuous" (numbers), "categorical"
        (words), or None to infer it from the values.
    image_size, channels, fit, memory, progress : object
        As in `read_image_folder`.
    missing, not_missing, encoding : object
        As in `DataSpec`; labels and ids stay words.

    Returns
    -------
    ArraySource or StreamSource
        Images as from `read_image_folder`.

    Raises
    ------
    DataError
        If the table, a column or a cell is invalid, a name is duplicated, or a file is missing, lies outside
        of `root` or cannot be read as an image.

    Examples
    --------
    >>> images = "slices/{participant_id}.png"
    >>> read_image_table("people.tsv", images=images, label="dx", attributes=["age"])  # doctest: +SKIP
    """
    return ImageTable().load(**locals())


@takes_group
def read_volumes(
    path: str | Path,
    *,
    images: str,
    label: str,
    root: str | Path | None = None,
    tables: Sequence[str | Path] = (),
    subject: str | None = None,
    id: str | None = None,  # noqa: A002  (the word of this library)
    attributes: Mapping[str, Kind | None] | Sequence[str] = (),
    size: int | Shape | None = None,
    mask: str | Path | None = None,
    mask_threshold: float | None = None,
    resample: bool = False,
    assume_orientation: str | None = None,
    memory: float = MEMORY,
    progress: Progress | None = None,
    missing: Sequence[str | float] = (),
    not_missing: Sequence[str | float] = (),
    encoding: str | None = None,
) -> ArraySource | StreamSource:
    """
    Read the NIfTI volumes that a table names, such as a participants.tsv.

    Volumes of any orientation are turned to RAS; all must then lie on one grid. Each is cropped or padded to
    `size` and normalised to mean 0 and standard deviation 1 over the voxels of the mask (App. E.3). Voxels
    outside the mask are 0.

    Parameters
    ----------
    path, label, root, tables, subject, id, attributes, missing, not_missing, encoding : object
        As in `read_image_table`; ids are "participant_id", with "session_id" if that column exists.
    images : str
        Column of volumes, relative to `root`, or a template of columns. A volume has three axes, or four with
        a last axis of length 1.
    size : int, tuple of three int or None, default=None
        Input size of the network in voxels along R, A, S, cropped or padded about the centre. None for all.
    mask, mask_threshold, resample : object
        As in `DataSpec`; a mask has two values, 0 (or NaN) outside and another inside, or a threshold.
    assume_orientation : str or None, default=None
        Orientation, such as "RAS", of files whose header has none (sform_code = qform_code = 0). They get the
        position of the other files if shape and voxel size agree. None raises if other files have one.
    memory, progress : float and callable, default=4.0 and None
        As in `read_image_folder`, of volumes as float32.

    Returns
    -------
    ArraySource or StreamSource
        Volumes as float32 of shape (1, x, y, z), all of them in memory or not, with their `grid`; `native`
        has the mean, sd and orientation of each before normalisation.

    Raises
    ------
    DataError
        If the table or a cell is invalid, grids differ, or a volume cannot be read, has NaN inside the mask,
        or has one value only.

    Examples
    --------
    >>> images = "{participant_id}/anat/{participant_id}_GM.nii.gz"
    >>> read_volumes("people.tsv", images=images, label="group", mask="mask.nii.gz")  # doctest: +SKIP
    """
    fields = locals()
    return VolumeTable().load(image_size=fields.pop("size"), **fields)


def names_of_images(path: Path, spec: DataSpec) -> Iterable[str]:
    """Return the names of images, if any: the template, or the cells of the column."""
    if spec.images is None:
        return []
    if "{" not in spec.images and spec.images in (cells := read_joined(path, spec).table):
        return cells[spec.images].dropna()
    return [spec.images]


def images_of(path: Path, spec: DataSpec) -> str:
    """Return the column or template of images; raise unless either that or features are named."""
    if spec.images is None or spec.features is not None:
        raise DataError(
            f"{path}: name the column of image files or volumes (--images path), or the columns of features "
            f"(--features 'lh_*'){', but not both' * (spec.images is not None)}"
        )
    return spec.images


def read_table(path: Path, spec: DataSpec) -> Joined:
    """Read DATA with its tables, rows repeated for visits on disk."""
    joined, images = read_joined(path, spec), images_of(path, spec)
    return joined._replace(table=_with_visits(joined.table, path, images, folder_of_images(path, spec)))


def folder_of_images(path: Path, spec: DataSpec) -> Path:
    """Return the folder of the images."""
    folder = path.parent if spec.root is None else spec.root
    if not folder.is_dir():
        raise DataError(f"{folder}: wanted the folder of the images, found no folder; name it by --root")
    return folder


def list_files(path: Path, spec: DataSpec, joined: Joined, ids: Sequence[str] | None = None) -> Manifest:
    """List the files that a table names; by default their names are the ids."""
    folder, images = folder_of_images(path, spec), images_of(path, spec)
    names = _names(joined.table, path, images)
    if _is_pattern(images):
        names = pd.Series(_found(names, folder, path), index=names.index)
    files = [_inside(path, line, folder, name) for line, name in names.items()]
    ids = ids or [file.relative_to(folder).as_posix() for file in files]
    rows = about_rows(joined.table, joined.notes, path, spec, ids)
    # os.path returns False for words that cannot be the name of a file.
    there = [os.path.isfile(file) for file in files]  # noqa: PTH113
    missing = rows["about"].loc[~np.array(there), "id"].tolist()
    known, parents = set(files), sorted({file.parent for file in files})
    beside = [file for parent in parents if os.path.isdir(parent) for file in images_in(parent)]  # noqa: PTH112
    unlisted = [file.relative_to(folder).as_posix() for file in beside if file not in known]
    return Manifest(path, **rows, format=ImageTable(), files=files, missing=missing, unlisted=unlisted)


def _with_visits(table: pd.DataFrame, path: Path, images: str, folder: Path) -> pd.DataFrame:
    """Repeat rows for visits whose files exist, if a template has session_id and the table does not."""
    if VISIT in table or VISIT not in COLUMN.findall(images):
        return table
    patterns = _names(table, path, images.replace(f"{{{VISIT}}}", "*"))
    found = [glob.glob(pattern, root_dir=folder) for pattern in patterns]  # noqa: PTH207
    visits = [
        sorted({visit for file in files for visit in re.findall("ses-([^/_.]+)", file)}) for files in found
    ]
    rows = [i for i, of_row in enumerate(visits) for _ in of_row or [""]]
    named = [visit for of_row in visits for visit in of_row or ["*"]]  # no file is called so
    prefix = "" if f"ses-{{{VISIT}}}" in images else "ses-"
    return table.iloc[rows].assign(**{VISIT: [f"{prefix}{visit}" for visit in named]})


def _names(table: pd.DataFrame, path: Path, images: str) -> pd.Series:
    """Return the file name, or pattern, of each row, from a column or a template."""
    columns = COLUMN.findall(images)
    if not columns:
        return whole_column(table, path, "images", images)
    cells = [whole_column(table, path, "images", column) for column in columns]
    words = COLUMN.split(images)[::2]  # between the columns
    if _is_pattern(images):
        cells = [column.map(glob.escape) for column in cells]
        words = [word.replace("[", "[[]") for word in words]
    names = ["".join(chain(*zip_longest(words, row, fillvalue=""))) for row in zip(*cells, strict=True)]
    return pd.Series(names, index=table.index)


def _is_pattern(images: str) -> bool:
    """Return whether a template has * or ?."""
    return bool(COLUMN.search(images) and set(images) & set("*?"))


def _found(patterns: "pd.Series[str]", folder: Path, path: Path) -> list[str]:
    """Return the file that fits each pattern, or the pattern itself; raise if several files do."""
    found = [sorted(glob.glob(pattern, root_dir=folder)) for pattern in patterns]  # noqa: PTH207
    if several := [
        (line, files) for line, files in zip(patterns.index, found, strict=True) if len(files) > 1
    ]:
        (line, files), n = several[0], len(several)
        more = f", and so have {n - 1} other rows" if n > 1 else ""
        remedy = "narrow the template, or name the visit in it by {session_id}"
        raise DataError(
            f"{path} line {line}: wanted one file, {len(files)} fit ({listed(files)}){more}; {remedy}"
        )
    return [files[0] if files else pattern for files, pattern in zip(found, patterns, strict=True)]


def _inside(path: Path, line: object, folder: Path, name: str) -> Path:
    """Return the path of a file; raise if its name leads out of `folder`. Symbolic links are not resolved."""
    root = os.path.normpath(Path.cwd() / folder)
    file = Path(os.path.normpath(root / Path(name.replace("\\", "/"))))  # tables may come from Windows
    if not file.is_relative_to(root):
        remedy = "fix it, or name a folder that all images lie in (--root)"
        raise DataError(f"{path} line {line}: {name!r} leads out of {folder}; {remedy}")
    return folder / file.relative_to(root)


def not_named(files: Sequence[Path], images: str, folder: Path) -> list[Path]:
    """Return volumes that no row names: of the same template, or in a folder with several of the others."""
    if COLUMN.search(images):
        pattern = COLUMN.sub("*", images.replace("[", "[[]"))
        found = [folder / name for name in glob.glob(pattern, root_dir=folder)]  # noqa: PTH207
    else:
        parents = pd.Series([file.parent for file in files]).value_counts()
        several = [parent for parent in parents.index[parents > 1] if parent.is_dir()]
        beside = [file for parent in several for file in parent.iterdir() if not file.name.startswith(".")]
        found = [file for file in beside if file.name.lower().endswith((".nii", ".nii.gz", ".mgz"))]
    return sorted(set(found) - set(files))
