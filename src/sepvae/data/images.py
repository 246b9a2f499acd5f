"""Sources of images: folders, tables of files, CelebA, BraTS, arrays on disk."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sepvae.codes import Kind
from sepvae.data.arrays import ArraySource, StreamSource
from sepvae.data.columns import takes_group
from sepvae.data.formats.array import Array
from sepvae.data.formats.brats import BraTS, list_brats
from sepvae.data.formats.celeba import CelebA
from sepvae.data.formats.image_folder import ImageFolder, describe_skipped
from sepvae.data.formats.image_table import ImageTable
from sepvae.data.spec import MEMORY, Fit, read_spec
from sepvae.errors import PassedOverWarning
from sepvae.progress import Progress


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
        Method for images of another shape: "pad" adds black bars, "crop" cuts out the centre, "squash"
        distorts. Bars and distortion can reveal a label whose images have another shape.
    pattern : str or sequence of str, default=None
        Regular expressions with named groups, searched in the file name; the first match counts. The named
        group `subject` (or `group`) is the person, every other one becomes a column of `attributes`. A file
        without a match is its own group and has no attributes.
    limit : int, default=None
        Maximum number of images per label, the first by path.
    limit_by : str, default=None
        Attribute; `limit` then holds for each of its values within a label.
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


@takes_group
def read_image_table(
    path: str | Path,
    *,
    images: str,
    label: str,
    root: str | Path | None = None,
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
    images : str
        Column of image files, relative to `root`; or a template of columns, such as
        "{participant_id}/anat/{participant_id}_slice.png".
    label : str
        Column of labels.
    root : str or Path, default=None
        Folder that files are relative to and must lie in; by default the folder of the table.
    subject : str, default=None
        Column of persons; a split keeps each on one side. By default every row is one person.
    id : str, default=None
        Column of unique names; by default the file.
    attributes : mapping or sequence of str, default=()
        Columns of further variables. A mapping gives their kind: "continuous" (numbers), "categorical"
        (words), or None to infer it from the values.
    image_size, channels, fit, memory, progress : object
        As in `read_image_folder`.
    missing, not_missing : sequence of str, default=()
        Words and codes that are missing besides "NA", "n/a", "nan" and the like, such as -9999; and words
        that are not, such as a site named "NA". Labels and ids stay words.
    encoding : str or None, default=None
        Encoding of the table, such as "cp1252"; None for UTF-8, or the encoding of its byte-order mark.

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
    >>> source = read_image_table(
    ...     "participants.tsv",
    ...     images="slices/{participant_id}.png",
    ...     label="diagnosis",
    ...     attributes={"age": "continuous", "site": "categorical"},
    ... )  # doctest: +SKIP
    """
    columns: dict[str, Any] = {"images": images, "label": label, "root": root, "subject": subject, "id": id}
    rules: dict[str, Any] = {"missing": missing, "not_missing": not_missing, "encoding": encoding}
    look = {"image_size": image_size, "channels": channels, "fit": fit, "memory": memory}
    return ImageTable().load(path, progress, attributes=attributes, **columns, **rules, **look)


def read_celeba(
    path: str | Path,
    *,
    attributes: Sequence[str] = (),
    image_size: int | tuple[int, int] = 64,
    memory: float = MEMORY,
    progress: Progress | None = None,
) -> ArraySource | StreamSource:
    """
    Read CelebA as in the paper: faces with neither hat nor glasses, with glasses only, with a hat only.

    Parameters
    ----------
    path : str or Path
        Folder with `list_attr_celeba.txt` or `.csv`, and the images in `img_align_celeba`.
    attributes : sequence of str, default=()
        Attributes of CelebA to keep, such as "Male", with the values "yes" and "no".
    image_size, memory, progress : object
        As in `read_image_folder`.

    Returns
    -------
    ArraySource or StreamSource
        Colour images of the central square, 108 of 178 pixels wide; labels "neither" and "glasses or hat",
        attribute `accessory` ("glasses" or "hat", missing for the background).

    Raises
    ------
    DataError
        If the list does not have the format of CelebA, or images are missing or cannot be read.

    Examples
    --------
    >>> source = read_celeba("celeba", attributes=["Male", "Smiling"])  # doctest: +SKIP
    """
    look: dict[str, Any] = {"image_size": image_size, "fit": "crop", "memory": memory}
    return CelebA().load(path, progress, attributes=attributes, **look)


def read_brats(
    path: str | Path,
    *,
    modality: str = "flair",
    step: int = 4,
    min_tumour: int = 50,
    image_size: int | tuple[int, int] = 64,
    memory: float = MEMORY,
    progress: Progress | None = None,
) -> ArraySource | StreamSource:
    """
    Read axial slices of BraTS with and without tumour.

    Slices with brain on less than a tenth of their area, at the ends of the head, are left out.

    Parameters
    ----------
    path : str or Path
        Folder with one folder of volumes per patient, such as `BraTS20_Training_001_flair.nii.gz` (2017 to
        2021) or `BraTS-GLI-00000-000-t2f.nii.gz` (2023), compressed or not, each with its segmentation.
    modality, step, min_tumour : object
        The modality is flair (t2f), t1 (t1n), t1ce (t1c) or t2 (t2w), by the name of either edition. One of
        every `step` slices is read, since neighbours are almost copies. A slice is "tumour" from `min_tumour`
        voxels of the segmentation on, "healthy" without any, and left out in between.
    image_size, memory, progress : object
        As in `read_image_folder`.

    Returns
    -------
    ArraySource or StreamSource
        Grey images, scaled per volume so that the percentiles 0.5 and 99.5 within the brain are black and
        white; labels "healthy" and "tumour", patients as groups. The attributes are `slice_position` (0 at
        the bottom of the volume, 1 at the top) and, for slices with a tumour, `tumour_voxels` and `grade`
        ("HGG" or "LGG", if folders have these names).

    Raises
    ------
    DataError
        If the folder has no such volumes, or one cannot be read or lacks a segmentation of its shape.

    Examples
    --------
    >>> source = read_brats("BraTS2020_TrainingData", modality="t1ce", image_size=128)  # doctest: +SKIP
    """
    manifest = list_brats(path, modality=modality, step=step, min_tumour=min_tumour)
    spec = read_spec({"image_size": image_size, "memory": memory})
    return BraTS().read(manifest, spec, progress=progress)[0]


@takes_group
def read_array(
    path: str | Path,
    *,
    table: str | Path,
    label: str,
    subject: str | None = None,
    id: str | None = None,  # noqa: A002
    attributes: Mapping[str, Kind | None] | Sequence[str] = (),
    missing: Sequence[str | float] = (),
    not_missing: Sequence[str | float] = (),
    encoding: str | None = None,
) -> ArraySource | StreamSource:
    """
    Read the rows of a `.npy` or `.npz` file on demand, with a table that describes them.

    Parameters
    ----------
    path : str or Path
        A `.npy` file, or an uncompressed `.npz` file with one array or one named `x`: images of shape (n,
        channels, h, w) or, if grey, (n, h, w), as uint8 or as floats in [0, 1]; or features of shape (n,
        features), which are read into memory.
    table : str or Path
        Text table as in `read_image_table`, with n rows in the same order.
    label : str
        Column of labels.
    subject, id, attributes : object
        As in `read_image_table`; by default ids are row numbers.
    missing, not_missing, encoding : object
        As in `read_image_table`.

    Returns
    -------
    ArraySource or StreamSource
        Images, streamed, or features, in memory.

    Raises
    ------
    DataError
        If the array, the table, a column or a cell is invalid, or the lengths differ.

    Examples
    --------
    >>> source = read_array("slices.npy", table="slices.csv", label="diagnosis")  # doctest: +SKIP
    """
    columns: dict[str, Any] = {"table": table, "label": label, "subject": subject, "id": id}
    rules: dict[str, Any] = {"missing": missing, "not_missing": not_missing, "encoding": encoding}
    return Array().load(path, attributes=attributes, **columns, **rules)
