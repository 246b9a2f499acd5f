"""Formats of data, in the order in which they are tried; one file each."""

from pathlib import Path

from sepvae.checks import check_choice
from sepvae.data.formats.array import Array
from sepvae.data.formats.base import TABLE, TABLES, Format, kind_of
from sepvae.data.formats.brats import BraTS
from sepvae.data.formats.celeba import CelebA
from sepvae.data.formats.image_folder import ImageFolder
from sepvae.data.formats.image_table import ImageTable
from sepvae.data.formats.kermany import Kermany
from sepvae.data.formats.packed_store import PackedStore
from sepvae.data.formats.regions import Regions
from sepvae.data.formats.volume_table import VolumeTable
from sepvae.data.spec import DataSpec
from sepvae.errors import DataError

__all__ = ["FORMATS", "Format", "find_format", "format_named"]
FORMATS: list[Format] = [
    PackedStore(),
    Array(),
    CelebA(),
    BraTS(),
    Kermany(),
    ImageFolder(),
    Regions(),
    VolumeTable(),
    ImageTable(),
]


def find_format(path: str | Path, spec: DataSpec, *, labelled: bool = True) -> Format:
    """Return the first format that detects a path, read as a spec says; raise if the path does not exist."""
    path = Path(path)
    kind = kind_of(path)
    if not path.exists():
        raise DataError(f"{path}: wanted {kind.wanted}, found nothing; check the path")
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
