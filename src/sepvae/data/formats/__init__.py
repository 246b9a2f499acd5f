"""`Format`: one kind of data, with how it is detected, listed and read."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import pandas as pd

from sepvae.data.arrays import ArraySource, StreamSource
from sepvae.data.images import measure_images, read_images
from sepvae.data.manifest import Manifest
from sepvae.data.packed import is_packed
from sepvae.data.quality_metrics import measure_source
from sepvae.data.spec import DataSpec, option_name, read_spec
from sepvae.data.volumes import measure_volumes, read_volume_files
from sepvae.errors import DataError
from sepvae.progress import Progress

TABLES, ARRAYS, H5AD = {".csv", ".tsv", ".tab", ".txt"}, {".npy", ".npz"}, ".h5ad"
Read = tuple[ArraySource | StreamSource, pd.DataFrame | None]  # quality metrics only of images and volumes
Measured = tuple[pd.DataFrame, dict[str, str]]  # quality metrics, and why samples cannot be read, by id
OF_VOLUMES = ("mask", "mask_threshold", "resample")
OF_TABLES = ("assume_orientation", "images", "features", "root")


class Kind(NamedTuple):
    """What a path is, before its content is known."""

    title: str
    refused: tuple[str, ...]  # fields of `DataSpec` that have no meaning for it


STORE = Kind("a packed store", (*OF_TABLES, "tables", "pattern", "modality"))
FOLDER = Kind("a folder", (*OF_TABLES, "tables", "label", "subject", "id", "encoding"))
ARRAY = Kind("an array", (*OF_TABLES, "pattern", "modality"))
TABLE = Kind("a table", ("pattern", "modality"))
ANNDATA = Kind(
    "an AnnData file",
    ("assume_orientation", "images", "root", "tables", "pattern", "modality", "encoding"),
)


def kind_of(path: Path) -> Kind:
    """Return what a path is, or would be by its suffix; a file of any other suffix may be a table."""
    suffix = path.suffix.lower()
    if is_packed(path):
        return STORE
    if path.is_dir() or not (path.is_file() or suffix in {*TABLES, *ARRAYS, H5AD}):
        return FOLDER
    if suffix == H5AD:
        return ANNDATA
    return ARRAY if suffix in ARRAYS else TABLE


class Format(ABC):
    """Kind of data; instances have no state, and `name` stands as `reader` in recipe.yaml of a run."""

    name: ClassVar[str]
    kind: ClassVar[Kind]
    title: ClassVar[str]  # for messages
    refused: ClassVar[tuple[str, ...]] = OF_VOLUMES  # fields without meaning, besides those of the kind
    sample: ClassVar[str] = "image"
    note: ClassVar[str | None] = None  # on choices that published data imply
    needs_label: ClassVar[bool] = True
    labelled_only: ClassVar[bool] = False  # without labels, another format reads it
    channels: ClassVar[int] = 1  # by default
    subject_option: ClassVar[str | None] = "--subject"  # names subjects with several samples

    def detect(self, path: Path, spec: DataSpec) -> bool:
        """Return whether an existing path of this kind, read as `spec` says, has this format."""
        return True

    @abstractmethod
    def list(self, path: Path, spec: DataSpec, *, labelled: bool = True) -> Manifest:
        """List the samples, without reading them."""

    @abstractmethod
    def read(self, manifest: Manifest, spec: DataSpec, progress: Progress | None = None) -> Read:
        """Read every listed sample once; return the source and quality metrics."""

    def measure(self, manifest: Manifest, progress: Progress | None = None) -> Measured:
        """Return quality metrics, missing for samples that cannot be read, and the reasons for that by id."""
        return measure_source(self.read(manifest, DataSpec(), progress)[0]), {}

    def load(
        self, path: str | Path, progress: Progress | None = None, **fields: Any
    ) -> ArraySource | StreamSource:
        """List and read all samples, with all their labels; `fields` are those of a spec."""
        spec = spec_of(fields)
        manifest = self.list(Path(path), spec).limited(spec.limit, spec.limit_by)
        return self.read(manifest, spec, progress)[0]

    def recorded(self, spec: DataSpec) -> dict[str, Any]:
        """Return how samples are brought to one shape, as recipe.yaml of a run records it."""
        size, channels = spec.image_size or 64, spec.channels or self.channels
        return {"image_size": size, "channels": channels, "fit": spec.fit}

    def check(self, path: Path, spec: DataSpec, *, labelled: bool) -> None:
        """Raise if a field of the spec has no meaning, or the column of labels is not named."""
        _refuse(path, self.kind.title, spec, self.kind.refused)
        if labelled and self.needs_label:
            need_label(path, spec)
        _refuse(path, self.title, spec, self.refused)

    def reads(self, other: "Format") -> bool:
        """Return whether data of another format can be read as this one."""
        return other.name == self.name


def spec_of(fields: dict[str, Any]) -> DataSpec:
    """Return the spec of keywords of a reader; attributes may be a sequence of names."""
    named = fields.pop("attributes", {})
    fields["attributes"] = named if isinstance(named, Mapping) else dict.fromkeys(named)
    return read_spec({name: value for name, value in fields.items() if value is not None})


def need_label(path: Path, spec: DataSpec) -> None:
    """Raise unless the column of labels is named."""
    if spec.label is None:
        raise DataError(f"{path}: name the column of labels, such as --label diagnosis")


def _refuse(path: Path, title: str, spec: DataSpec, names: tuple[str, ...]) -> None:
    """Raise if a field is set that has no meaning for this kind of data."""
    fields = DataSpec.model_fields
    if given := [n for n in names if getattr(spec, n) != fields[n].get_default(call_default_factory=True)]:
        option = option_name(given[0]).replace("_", "-")
        raise DataError(f"{path} is {title}, for which --{option} has no meaning; leave it out")


class Images(Format):
    """Format whose samples are image files, or slices that are read as images."""

    def read(self, manifest: Manifest, spec: DataSpec, progress: Progress | None = None) -> Read:
        return read_images(manifest, spec, spec.channels or self.channels, progress)

    def measure(self, manifest: Manifest, progress: Progress | None = None) -> Measured:
        return measure_images(manifest, progress)


class Volumes(Format):
    """Format whose samples are brain volumes."""

    refused, sample = ("channels", "fit"), "volume"

    def read(self, manifest: Manifest, spec: DataSpec, progress: Progress | None = None) -> Read:
        return read_volume_files(manifest, spec, progress)

    def measure(self, manifest: Manifest, progress: Progress | None = None) -> Measured:
        return measure_volumes(manifest, progress)

    def recorded(self, spec: DataSpec) -> dict[str, Any]:
        """Return the size and the mask, by its name alone: the model file holds the mask itself."""
        mask = None if spec.mask is None else spec.mask.name
        how = {"resample": spec.resample, "mask_threshold": spec.mask_threshold}
        return {"image_size": spec.image_size, "mask": mask, **how}
