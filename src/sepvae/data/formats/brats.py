"""BraTS: axial slices with and without tumour, from brain volumes of one modality."""

import glob
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from sepvae.batch import AnyArray
from sepvae.checks import check_number
from sepvae.codes import Kind
from sepvae.data.arrays import ArraySource, StreamSource
from sepvae.data.formats import FOLDER, OF_VOLUMES, Images
from sepvae.data.formats.image_folder import typed_attributes
from sepvae.data.manifest import Manifest
from sepvae.data.nifti import NiftiFiles, turned
from sepvae.data.parallel import in_order
from sepvae.data.spec import MEMORY, DataSpec, read_spec
from sepvae.errors import DataError
from sepvae.progress import Progress

# Names in files until 2021, and since 2023.
MODALITIES = (("flair", "t2f"), ("t1", "t1n"), ("t1ce", "t1c"), ("t2", "t2w"))
GRADES = ("HGG", "LGG")  # folders of some editions: high- and low-grade gliomas
# Slices with less brain are at the ends of the head and show no tumour. As healthy samples they would let a
# model predict the label from the size of the brain.
LEAST_BRAIN = 0.1  # share of the slice's area
AMOUNTS = ("slice_position", "tumour_voxels")
SCALED_BY = (0.5, 99.5)  # percentiles within the brain that are scaled to 0 and 1
LARGEST = 1e38  # limit of voxel values, for float32
_KINDS = "|".join([*(name for names in MODALITIES for name in names), "seg"])
_VOLUME = re.compile(rf"(?P<scan>.+)[_-](?P<kind>{_KINDS})\.nii(\.gz)?")


@dataclass(frozen=True)
class Slice:
    """Axial slice z (from 0 at the bottom) of a volume, read on demand; low and high become 0 and 255."""

    volume: Path
    z: int
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.volume} slice {self.z}"

    def open(self) -> tuple[Image.Image, bytes]:
        """Return the 8-bit image and its bytes: anterior at the top, the patient's right on the left."""
        with np.errstate(over="ignore"):  # voxels that overflow are clipped to white
            voxels = np.asarray(_read_volume(self.volume)[:, :, self.z], dtype=np.float32)
        scaled = np.clip((voxels - self.low) / (self.high - self.low), 0, 1) * (voxels != 0)
        pixels = np.ascontiguousarray(np.rint(255 * scaled).astype(np.uint8).T)
        return Image.fromarray(pixels), pixels.tobytes()


class BraTS(Images):
    """BraTS as the paper uses it: axial slices of one modality."""

    name, kind, title = "brats", FOLDER, "BraTS"
    refused = ("pattern", *OF_VOLUMES)
    note = (
        "read as BraTS: every fourth axial slice with brain on a tenth of it or more; tumour from 50 voxels "
        "on, fewer are left out"
    )
    needs_label = False

    def detect(self, path: Path, spec: DataSpec) -> bool:
        return any(_VOLUME.fullmatch(file.name) for file in _volumes_below(path))

    def list(self, path: Path, spec: DataSpec, *, labelled: bool = True) -> Manifest:
        manifest = list_brats(path, modality=spec.modality or "flair", labelled=labelled)
        if unknown := [name for name in spec.attributes if name not in manifest.attributes]:
            known = ", ".join(map(str, manifest.attributes))
            raise DataError(f"attribute: BraTS has no {unknown[0]!r}; it has {known}")
        return typed_attributes(manifest, spec)


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
    Read axial slices of BraTS with and without tumour, and with brain on a tenth of their area or more.

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
        the bottom, 1 at the top) and, of tumours, `tumour_voxels` and `grade` (HGG or LGG, as folders say).

    Raises
    ------
    DataError
        If the folder has no such volumes, or one cannot be read or lacks a segmentation of its shape.
    """
    manifest = list_brats(path, modality=modality, step=step, min_tumour=min_tumour)
    spec = read_spec({"image_size": image_size, "memory": memory})
    return BraTS().read(manifest, spec, progress)[0]


def list_brats(
    path: str | Path, *, modality: str = "flair", step: int = 4, min_tumour: int = 50, labelled: bool = True
) -> Manifest:
    """List slices with the options of `read_brats`; every volume is read once, to locate brain and tumour."""
    check_number("step", step, least=1, whole=True)
    check_number("min_tumour", min_tumour, least=1, whole=True)
    root = Path(path)
    scans = _scans(root)
    pairs = _pairs(root, scans, modality, labelled)
    found = in_order(lambda i: _slices(*pairs[i]), len(pairs))
    table = pd.concat([slices.assign(scan=scan) for scan, slices in zip(scans, found, strict=True)])
    taken = (table["z"] % step == 0) & (table["brain"] >= LEAST_BRAIN)
    if labelled:
        taken &= ~table["tumour"].between(1, min_tumour - 1)
    table = table[taken].reset_index(drop=True)
    files = [Slice(*row) for row in table[["file", "z", "low", "high"]].itertuples(index=False, name=None)]
    about = _about(table, root, labelled)
    kinds: dict[str, Kind] = {name: "continuous" for name in AMOUNTS if name in about}
    return Manifest(root, about, files, format=BraTS(), kinds=kinds, background="healthy", grouped=True)


def _read_volume(file: Path) -> AnyArray:
    """Read a volume of shape (x, y, z), with its axes turned to LPS as in BraTS."""
    return _turned(file, file.stat().st_mtime_ns)


@lru_cache(1)  # slices of a volume are read in a row
def _turned(file: Path, changed: int) -> AnyArray:  # noqa: ARG001  (a file that changed is read again)
    return turned(NiftiFiles([file])(0), "RAS", "LPS")


def _volumes_below(root: Path) -> Iterator[Path]:
    """Iterate over files named like volumes; unlike Path.rglob, follow links to folders."""
    return (root / name for name in glob.iglob("**/*.nii*", root_dir=root, recursive=True))  # noqa: PTH207


def _scans(root: Path) -> dict[str, dict[str, Path]]:
    """Return the volumes with names of BraTS by scan and kind; raise if there are none."""
    scans: dict[str, dict[str, Path]] = {}
    for file in sorted(_volumes_below(root)):
        if (match := _VOLUME.fullmatch(file.name)) and file.is_file():
            other = scans.setdefault(match["scan"], {}).setdefault(match["kind"], file)
            if other.parent != file.parent:  # a folder may hold .nii and .nii.gz of one volume
                places = " and ".join(str(one.parent.relative_to(root)) for one in (other, file))
                raise DataError(f"{root}: {file.name} lies in both {places}; take one away")
    if not scans:
        volumes = "BraTS20_Training_001_flair.nii.gz or BraTS-GLI-00000-000-t2f.nii.gz"
        wanted = f"wanted one folder per patient, with volumes such as {volumes}"
        raise DataError(f"{root}: {wanted}, found none; check the path, or unpack the archive")
    return scans


def _pairs(
    root: Path, scans: dict[str, dict[str, Path]], modality: str, labelled: bool
) -> list[tuple[Path, Path | None]]:
    """Return the volume of each scan, and its segmentation if labels are needed."""
    there = {kind for files in scans.values() for kind in files}
    names = next((names for names in MODALITIES if modality in names), ())
    if not there & set(names):
        known = ", ".join(name for names in MODALITIES for name in names if name in there) or "none"
        raise DataError(f"modality: wanted one that {root} has ({known}), got {modality!r}")
    pairs = []
    for scan, files in scans.items():
        volume = next((files[name] for name in names if name in files), None)
        if volume is None:
            found = ", ".join(file.name for file in files.values())
            wanted = f"wanted a volume {' or '.join(names)} of {scan}, found {found}"
            raise DataError(f"{root}: {wanted}; copy it there, or take that patient away")
        if labelled and "seg" not in files:
            wanted = f"a segmentation {volume.name[: len(scan) + 1]}seg.nii(.gz) beside {volume.name}"
            raise DataError(
                f"{root}: wanted {wanted}, found none; copy or rename it, or take that patient away"
            )
        pairs.append((volume, files["seg"] if labelled else None))
    return pairs


def _slices(file: Path, segmentation: Path | None) -> pd.DataFrame:
    """Return one row per slice, from the bottom: share of brain, tumour voxels and intensity range."""
    voxels = _read_volume(file)
    brain = voxels != 0
    if not np.isfinite(voxels).all():
        raise DataError(f"{file}: holds voxels that are no finite numbers; save it with 0 for them")
    low, high = np.percentile(voxels[brain], SCALED_BY) if brain.any() else (0, 0)
    if not low < high:
        raise DataError(f"{file}: wanted a brain with zeros around it, found one value; download it again")
    if not max(float(high), -float(low)) < LARGEST:
        raise DataError(f"{file}: wanted a brain, found values from {low:g} to {high:g}; download it again")
    tumour = np.zeros(voxels.shape, dtype=bool) if segmentation is None else _read_volume(segmentation) > 0
    if tumour.shape != brain.shape:
        shapes = " and ".join(" x ".join(map(str, of.shape)) for of in (brain, tumour))
        found = f"wanted the shape of its segmentation {segmentation}, found {shapes} voxels"
        raise DataError(f"{file}: {found}; take both of one registration")
    of_volume = {"file": file, "low": float(low), "high": float(high), "height": brain.shape[2]}
    of_slices = {"brain": brain.mean(axis=(0, 1)), "tumour": tumour.sum(axis=(0, 1))}
    return pd.DataFrame(of_slices | of_volume | {"z": np.arange(brain.shape[2])})


def _about(table: pd.DataFrame, root: Path, labelled: bool) -> pd.DataFrame:
    """Return `Manifest.about` of the slices."""
    # Since 2023 names end in the scan number (BraTS-GLI-00000-000); scans of a patient form one group.
    patient = table["scan"].str.replace(r"(-\d{5})-\d{3}$", r"\1", regex=True)
    about = pd.DataFrame({"id": table["scan"] + table["z"].map("#{:03d}".format), "group": patient})
    about["label"] = np.where(table["tumour"] > 0, "tumour", "healthy") if labelled else ""
    about["split"] = None
    about["slice_position"] = table["z"] / (table["height"] - 1).clip(lower=1)
    if labelled:
        has_tumour = table["tumour"] > 0
        about["tumour_voxels"] = table["tumour"].where(has_tumour)
        folders = table["file"].map(lambda file: file.relative_to(root).parts)
        grade = folders.map(lambda parts: next((grade for grade in GRADES if grade in parts), None))
        if grade.notna().any():
            about["grade"] = grade.where(has_tumour, None)
    return about
