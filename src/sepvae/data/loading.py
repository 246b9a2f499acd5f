"""`load`: detect the format of DATA, list its samples and read them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sepvae.checks import check_choice, guess_background
from sepvae.data.arrays import ArraySource, StreamSource
from sepvae.data.columns import takes_group
from sepvae.data.formats import FOLDER, TABLE, TABLES, Format, Read, kind_of
from sepvae.data.formats.array import Array
from sepvae.data.formats.brats import BraTS
from sepvae.data.formats.h5ad import AnnDataFile
from sepvae.data.formats.image_folder import ImageFolder
from sepvae.data.formats.published import CelebA, Kermany
from sepvae.data.formats.regions import Regions
from sepvae.data.formats.surfaces import SurfaceTable
from sepvae.data.formats.tables import ImageTable, PackedStore, VolumeTable
from sepvae.data.manifest import Manifest
from sepvae.data.spec import DataSpec, read_spec
from sepvae.errors import DataError
from sepvae.progress import Progress

FORMATS: list[Format] = [  # in the order in which they are tried
    *(PackedStore(), Array(), AnnDataFile(), CelebA(), BraTS(), Kermany(), ImageFolder()),
    *(Regions(), SurfaceTable(), VolumeTable(), ImageTable()),
]


def load(
    data: str | Path, spec: DataSpec | None = None, *, progress: Progress | None = None, **fields: Any
) -> ArraySource | StreamSource:
    """
    Read data of any format, as `sepvae fit` does.

    Parameters
    ----------
    data : str or Path
        A table (csv, tsv) of volumes, surfaces, image files or features; a packed store (zarr); a folder with
        one subfolder of images per label; an array (npy, npz) with a table beside it; AnnData (h5ad);
        CelebA, Kermany's chest X-rays or BraTS as downloaded.
    spec : DataSpec, default=None
        How the data are read, where `fields` do not say it.
    progress : callable, default=None
        Called as `progress(done, total)` after every sample.
    **fields : object
        Fields of `DataSpec`, such as `label="diagnosis"`.

    Returns
    -------
    ArraySource or StreamSource
        Samples of background and target, cached up to `memory` GB, else streamed.

    Raises
    ------
    DataError
        If the data or a field is invalid, or a field has no meaning for the data.

    Examples
    --------
    >>> load("people.tsv", images="path", label="dx", attributes=["age"], mask="mask.nii")  # doctest: +SKIP
    """
    spec = read_spec(fields, spec)
    return read_manifest(list_data(data, spec), spec, progress=progress)[0]


@takes_group
def list_data(
    data: str | Path,
    spec: DataSpec | None = None,
    *,
    labelled: bool = True,
    roles: bool = True,
    label_names: Mapping[str, str] | None = None,
    **fields: Any,
) -> Manifest:
    """
    Detect the format of DATA, and list its samples; the spec may be given as its fields.

    `labelled=False` lists data without labels. `roles=False` keeps the labels as they are if nothing is named
    and they do not show the background. Keys of `label_names` that do not occur are ignored.
    """
    path, spec = Path(data), read_spec(fields, spec)
    format_ = find_format(path, spec, labelled=labelled)
    format_.check(path, spec, labelled=labelled)
    manifest = format_.list(path, spec, labelled=labelled).named(label_names or {})
    named = spec.background is not None or spec.targets
    labels = manifest.about["label"].unique()
    guessed = len(labels) == 2 and (manifest.background or guess_background(labels).why != "number")
    if labelled and (roles or named or guessed):
        manifest = manifest.with_roles(spec.background, spec.targets)
    if spec.target_severity is not None and manifest.background is not None:
        manifest = manifest.without_severity_of_background(spec.target_severity)
    return manifest.limited(spec.limit, spec.limit_by)


def read_manifest(
    manifest: Manifest, spec: DataSpec | None = None, progress: Progress | None = None, **fields: Any
) -> Read:
    """Return listed samples as a source, and quality metrics of images or volumes (None for other data)."""
    return manifest.format.read(manifest, read_spec(fields, spec), progress)


def find_format(path: Path, spec: DataSpec, *, labelled: bool = True) -> Format:
    """Return the first format that detects a path, read as a spec says; raise if the path does not exist."""
    kind = kind_of(path)
    if not path.exists():
        wanted = kind.title + " with one subfolder of images per label" * (kind is FOLDER)
        raise DataError(f"{path}: wanted {wanted}, found nothing; check the path")
    if kind is TABLE and path.suffix.lower() not in TABLES and spec.images is None and spec.features is None:
        raise DataError(
            f"{path}: wanted a folder of images, a table (csv, tsv), an array (npy, npz) or a packed "
            "store (zarr); unpack it, or save it as one of these"
        )
    formats = (one for one in FORMATS if one.kind is kind and (labelled or not one.labelled_only))
    return next(one for one in formats if one.detect(path, spec))


def format_named(name: str) -> Format:
    """Return the format that has this name as `reader` in recipes and in recipe.yaml of a run."""
    found = {one.name: one for one in FORMATS}
    check_choice("reader", name, list(found))
    return found[name]


def describe_roles(manifest: Manifest, spec: DataSpec) -> str:
    """Return a line with the background, the target, their counts, and how the background was chosen."""
    if spec.background is not None or manifest.background is None or manifest.format.note is not None:
        return manifest.roles()
    why = guess_background(manifest.about["label"]).why
    reason = {"alphabet": "the first by alphabet; ", "word": "by its name; "}.get(why, "")
    return f"{manifest.roles()} ({reason}--background names another)"
