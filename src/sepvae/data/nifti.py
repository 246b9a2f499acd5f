"""Volumes in NIfTI, Analyze and FreeSurfer files: read in RAS, written as NIfTI in any orientation."""

import gzip
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import permutations, product
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from sepvae.batch import AnyArray, IntArray
from sepvae.errors import DataError, reason_of
from sepvae.files import write_whole
from sepvae.grid import Grid, dims

Affine = npt.NDArray[np.float64]
ORIENTATIONS = {"".join(letters) for three in permutations(("LR", "PA", "IS")) for letters in product(*three)}
OTHER_FORMATS = (".mgz", ".img", ".hdr")  # FreeSurfer, and pairs of files of NIfTI or Analyze
NIFTI2 = 540  # first number in the header of a NIfTI-2 file
MOST_VOXELS = 2**28  # per volume: 645 x 645 x 645
GZIP, ZIPPED = b"\x1f\x8b", (".gz", ".mgz")  # first bytes of compressed files, and their suffixes
GZIP_AT_BEST = 1100  # highest compression ratio; deflate reaches 1032
MOST_AFTER, PIECE = 2**26, 2**20  # bytes accepted after the voxels, and bytes per read
APART = 0.01  # voxels by which sform and qform may differ
FLAT = 1e-6  # least volume of a voxel, as a share of its volume with edges at right angles
QUIET = logging.Logger("nibabel")  # its messages on headers repeat ours, or are of no use
QUIET.addHandler(logging.NullHandler())


@dataclass(frozen=True)
class Header:
    """Grid, type and orientation of a volume, as its header describes them."""

    grid: Grid  # turned to RAS; `axes` is the orientation of the file, such as "LAS"
    dtype: str  # of the values on disk
    orientation: str = "known"  # or "none", "assumed", "disagree": sform and qform do, the sform is used


class Volumes(Protocol):
    """Protocol of sources of volumes: NIfTI files or a packed store; worker processes get a copy."""

    def __len__(self) -> int: ...

    def __call__(self, i: int) -> AnyArray:
        """Read one volume (x, y, z) in RAS and its own type, or float32 if its header scales the values."""
        ...

    def header(self, i: int) -> Header:
        """Read the header of one volume, without its voxels."""
        ...

    def name(self, i: int) -> str:
        """Return the name of one volume for messages."""
        ...

    def select(self, rows: IntArray) -> Self:
        """Return these volumes, in that order."""
        ...


@dataclass(frozen=True)
class NiftiFiles:
    """Volumes in one file each: NIfTI, Analyze or FreeSurfer's `.mgz`."""

    files: Sequence[Path]  # of three axes; further axes have length 1
    assume: str | None = None  # orientation, such as "RAS", of files whose header has none
    like: Grid | None = None  # where these lie, if shape and voxel size agree; None centres them at 0 mm

    def __len__(self) -> int:
        return len(self.files)

    def __call__(self, i: int) -> AnyArray:
        """Read the voxels of one volume, turned to RAS."""
        file = self.files[i]
        header, affine, _ = _described(file, self.assume)
        is_other = file.name.lower().endswith(OTHER_FORMATS)
        try:
            with np.errstate(over="ignore", invalid="ignore"):  # scaled values that overflow become infinite
                voxels = _voxels_by_nibabel(file) if is_other else _voxels(file, header)
        except Exception as error:  # decoders raise errors of any type
            raise _unreadable(file, error) from error
        return turned(voxels.reshape(voxels.shape[:3]), _axes(affine), "RAS")

    def header(self, i: int) -> Header:
        """Read the header of one volume, without its voxels."""
        from nibabel.orientations import inv_ornt_aff

        header, affine, orientation = _described(self.files[i], self.assume)
        shape, axes = header.get_data_shape(), _axes(affine)
        turn = _turn(axes, "RAS")
        grid_affine = affine @ inv_ornt_aff(turn, shape[:3])
        a, b, c = (int(shape[i]) for i in np.argsort(turn[:, 0]))
        grid = Grid((a, b, c), grid_affine, axes=axes, oriented=orientation != "none")
        like = self.like if orientation == "assumed" else None
        if like and grid.shape == like.shape and np.allclose(grid.voxel_size, like.voxel_size, rtol=1e-3):
            grid = replace(grid, affine=like.affine)
        return Header(grid, header.get_data_dtype().name, orientation)

    def name(self, i: int) -> str:
        """Return the path of one file."""
        return str(self.files[i])

    def select(self, rows: IntArray) -> "NiftiFiles":
        """Return these volumes, in that order."""
        return replace(self, files=[self.files[i] for i in rows.tolist()])


def check_orientation(axes: str | None) -> None:
    """Raise unless `axes` is None or an orientation of three letters such as "RAS"."""
    if axes is not None and axes not in ORIENTATIONS:
        wanted = "three letters such as RAS or LAS, one of each of L/R, P/A and I/S"
        raise DataError(f"assume_orientation: wanted {wanted}, got {axes!r}")


def write_volume(file: Path, voxels: AnyArray, grid: Grid, axes: str | None = None) -> None:
    """Write voxels along R, A, S atomically as float32 NIfTI, in orientation `axes` (default: the grid's)."""
    from nibabel.nifti1 import Nifti1Image
    from nibabel.orientations import inv_ornt_aff

    axes = axes or grid.axes
    affine = grid.affine @ inv_ornt_aff(_turn("RAS", axes), grid.shape)
    image = Nifti1Image(turned(voxels.astype(np.float32), "RAS", axes), affine)
    image.header.set_xyzt_units("mm")
    write_whole(file, compressed(image))


def compressed(image: Any) -> bytes:
    """Return the content of a `.nii.gz` file, the same at any time; compressed fast, as by nibabel."""
    return gzip.compress(image.to_bytes(), compresslevel=1, mtime=0)


def turned(voxels: AnyArray, now: str, wanted: str) -> AnyArray:
    """Return a view of a volume turned from one orientation, such as "LPS", to another, not interpolated."""
    from nibabel.orientations import apply_orientation

    return np.asanyarray(apply_orientation(voxels, _turn(now, wanted)))


def refuse_more(file: Path, shape: Sequence[int], dtype: np.dtype[Any]) -> None:
    """Raise if a header declares more than is read or its file can hold, before memory is allocated."""
    held = file.stat().st_size * (GZIP_AT_BEST if file.suffix.lower() in ZIPPED else 1)
    voxels = math.prod(map(int, shape))
    if voxels > MOST_VOXELS or voxels * dtype.itemsize > held:
        most = f"{MOST_VOXELS} voxels at most" if voxels > MOST_VOXELS else "no more than its file can hold"
        raise DataError(f"{file}: wanted {most}, its header tells of {dims(shape)}; copy or convert it again")


def _voxels(file: Path, header: Any) -> AnyArray:
    """Read the voxels of a NIfTI file, and the file to its end, where gzip compares the checksum."""
    from nibabel.arrayproxy import ArrayProxy
    from nibabel.openers import ImageOpener

    with ImageOpener(str(file)) as opened:
        # numpy unpacks a compressed file to the end before it finds that it cannot be mapped.
        proxy = ArrayProxy(opened, header, mmap=file.suffix.lower() == ".nii")
        scaled = proxy.slope != 1 or proxy.inter != 0
        voxels = np.asarray(proxy, dtype=np.float32) if scaled else np.asanyarray(proxy)
        for _ in range(MOST_AFTER // PIECE):  # gzip may expand to more than memory holds
            if not opened.read(PIECE):
                return voxels
    raise ValueError(f"more than {MOST_AFTER // PIECE} MiB come after its voxels")


def _described(file: Path, assume: str | None) -> tuple[Any, Affine, str]:
    """Return header, affine and orientation (as in `Header`) of a NIfTI file of one volume, validated."""
    from nibabel.filebasedimages import ImageFileError
    from nibabel.nifti1 import Nifti1Header, Nifti1Image
    from nibabel.nifti2 import Nifti2Header
    from nibabel.openers import ImageOpener

    if file.name.lower().endswith(OTHER_FORMATS):
        return _described_by_nibabel(file, assume)
    try:
        Nifti1Image.filespec_to_file_map(file)  # raises if the suffix is unknown
        with ImageOpener(str(file)) as opened:
            start = opened.read(Nifti1Header.sizeof_hdr)
            is_second = NIFTI2 in (int.from_bytes(start[:4], "little"), int.from_bytes(start[:4], "big"))
            kind: Any = Nifti2Header if is_second else Nifti1Header
            header = kind(start + opened.read(kind.sizeof_hdr - len(start)), check=False)
        edges = np.abs(header["pixdim"][1:4].astype(np.float64))
        header.check_fix(logger=QUIET)  # replaces an edge of 0 by 1 mm
        affine, orientation = np.full((4, 4), np.nan), "known"
        if np.isfinite(edges).all():
            affine = np.asarray(header.get_best_affine(), dtype=np.float64)
            orientation = _orientation(header)
            if orientation == "none" and assume is not None:
                orientation, affine = "assumed", _centred(header, assume)
            edges = np.minimum(edges, np.sqrt((affine[:3, :3] ** 2).sum(axis=0)))
    except ImageFileError as error:
        reason = f"is no NIfTI volume ({reason_of(error)})"
        raise DataError(f"{file}: {reason}; convert or download it again") from error
    except Exception as error:  # decoders raise errors of any type
        raise _unreadable(file, error) from error
    _check(file, header, affine, edges)
    return header, affine, orientation


def _voxels_by_nibabel(file: Path) -> AnyArray:
    """Read the voxels of a FreeSurfer volume or a pair of files."""
    import nibabel

    image: Any = nibabel.load(file, mmap=False)
    voxels: AnyArray = np.asanyarray(image.dataobj)
    return voxels.astype(np.float32) if voxels.dtype != image.get_data_dtype() else voxels


def _described_by_nibabel(file: Path, assume: str | None) -> tuple[Any, Affine, str]:
    """Do as `_described`, for a FreeSurfer volume or a pair of files."""
    import nibabel
    from nibabel.openers import ImageOpener

    try:
        image: Any = nibabel.load(file)
        header, affine = image.header, np.asarray(image.affine, dtype=np.float64)
        edges = np.abs(np.array(header.get_zooms()[:3], dtype=np.float64))
        with ImageOpener(str(file)) as opened:  # nibabel itself replaces a flag of 0
            flag = opened.read(30)[28:30]
    except Exception as error:  # decoders raise errors of any type
        raise _unreadable(file, error) from error
    if "goodRASFlag" in header:
        orientation = "known" if any(flag) else "none"
    elif "sform_code" in header:
        orientation = _orientation(header)
    else:  # Analyze has an orientation only in a .mat file, if at all
        orientation = "known" if file.with_suffix(".mat").is_file() else "none"
    if orientation == "none" and assume is not None:
        orientation, affine = "assumed", _centred(header, assume)
    _check(Path(image.file_map["image"].filename), header, affine, edges)
    return header, affine, orientation


def _orientation(header: Any) -> str:
    """Return "known", "none", or "disagree" if sform and qform differ by over a hundredth of a voxel."""
    codes = int(header["sform_code"]), int(header["qform_code"])
    if not any(code > 0 for code in codes):
        return "none"
    if min(codes) < 1:
        return "known"
    try:
        moved = np.abs(header.get_sform() - header.get_qform())
    except Exception:  # an invalid quaternion
        return "disagree"
    far = moved[:3, :3] @ np.array(header.get_data_shape()[:3], dtype=float) + moved[:3, 3]
    edges = np.abs(header["pixdim"][1:4].astype(np.float64))
    return "known" if far.max() <= APART * edges.min() else "disagree"


def _centred(header: Any, axes: str) -> Affine:
    """Return the affine of an orientation, with the centre of the volume at 0 mm."""
    from nibabel.orientations import axcodes2ornt

    shape = np.array((*header.get_data_shape(), 1, 1, 1)[:3])
    affine = np.diag([0.0, 0.0, 0.0, 1.0])
    for i, (axis, sign) in enumerate(axcodes2ornt(tuple(axes))):
        affine[int(axis), i] = sign * abs(float(header.get_zooms()[i]))
    affine[:3, 3] = -affine[:3, :3] @ (shape - 1) / 2
    return affine


def _check(file: Path, header: Any, affine: Affine, edges: Affine) -> None:
    """Raise unless the header describes one volume of numbers that fits in the file; voxels have a size."""
    from nibabel.orientations import aff2axcodes

    shape, dtype = header.get_data_shape(), header.get_data_dtype()
    if len(shape) < 3 or any(n != 1 for n in shape[3:]) or min(shape) < 1:
        what = "take one out" if len(shape) > 3 else "convert the scan again"
        raise DataError(f"{file}: wanted one volume of three axes, got shape {dims(shape)}; {what}")
    if dtype.kind not in "iuf":
        found = "colours" if dtype.names else dtype.name
        raise DataError(f"{file}: wanted a number in each voxel, got {found}; convert it")
    refuse_more(file, shape, dtype)
    if not (np.isfinite(affine).all() and edges.all()):
        got = f"wanted voxels with three edges above 0 mm, got {dims(edges)}"
        raise DataError(f"{file}: {got}; fix its header, or convert the scan again")
    with np.errstate(all="ignore"):
        flat = not np.abs(np.linalg.det(affine[:3, :3])) >= FLAT * edges.prod()
    if flat or None in aff2axcodes(affine):
        raise DataError(f"{file}: its three axes lie in one plane; fix its header, or convert the scan again")


def _unreadable(file: Path, error: Exception) -> DataError:
    """Return an error with what the decoder says, or that the name is wrong about gzip."""
    suffix, start = file.suffix.lower(), b""
    if file.is_file():
        with file.open("rb") as opened:
            start = opened.read(len(GZIP))
    if start and (start == GZIP) != (suffix in ZIPPED):
        wrong = f"is called {suffix}, but not compressed by gzip; compress it"
        if start == GZIP:
            wrong = "is compressed by gzip, but not called so; call it .nii.gz"
        return DataError(f"{file}: {wrong}, or copy or download it again")
    return DataError(f"{file}: cannot be read as a volume ({reason_of(error)}); copy or download it again")


def _axes(affine: Affine) -> str:
    from nibabel.orientations import aff2axcodes

    return "".join(str(code) for code in aff2axcodes(affine))


def _turn(now: str, wanted: str) -> AnyArray:
    from nibabel.orientations import axcodes2ornt, ornt_transform

    return np.asarray(ornt_transform(axcodes2ornt(tuple(now)), axcodes2ornt(tuple(wanted))))
