"""NIfTI files: read as voxels turned to RAS, written back in any orientation."""

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
from sepvae.errors import DataError
from sepvae.files import write_whole
from sepvae.grid import Grid, told

Affine = npt.NDArray[np.float64]
ORIENTATIONS = {"".join(letters) for three in permutations(("LR", "PA", "IS")) for letters in product(*three)}
OTHER_FORMATS = (".mgz", ".img", ".hdr")  # FreeSurfer, and pairs of NIfTI or Analyze
NIFTI2 = 540  # the first number of its header
MOST_VOXELS = 2**28  # of one volume: 645 x 645 x 645
GZIP_AT_BEST = 1100  # bytes from one; deflate makes 1032
MOST_AFTER, PIECE = 2**26, 2**20  # bytes after the voxels, and those that are read at once
APART = 0.01  # of a voxel, by which sform and qform may differ
FLAT = 1e-6  # volume of a voxel, as a share of what it would be if its edges were at right angles
QUIET = logging.Logger("nibabel")  # what it says of a header is said by us, or of no use
QUIET.addHandler(logging.NullHandler())


@dataclass(frozen=True)
class Header:  # numpydoc ignore=PR02
    """What a file says of its volume."""

    grid: Grid
    dtype: str
    orientation: str = "known"


class Volumes(Protocol):
    """Where volumes come from: NIfTI files, or a packed store. Worker processes get a copy."""

    def __len__(self) -> int: ...

    def __call__(self, i: int) -> AnyArray:
        """
        Read the voxels of one, turned to RAS.

        Shapes: returns (x, y, z).
        """
        ...

    def header(self, i: int) -> Header:
        """Read what the file says of one, but not its voxels."""
        ...

    def name(self, i: int) -> str:
        """Name one for a message."""
        ...

    def select(self, rows: IntArray) -> Self:
        """Take some."""
        ...


@dataclass(frozen=True)
class NiftiFiles:  # numpydoc ignore=PR02
    """Volumes in files of their own."""

    files: Sequence[Path]
    assume: str | None = None
    like: Grid | None = None

    def __len__(self) -> int:
        return len(self.files)

    def __call__(self, i: int) -> AnyArray:
        """Read the voxels of one, turned to RAS."""
        from nibabel.arrayproxy import ArrayProxy
        from nibabel.openers import ImageOpener

        file = self.files[i]
        header, affine, _ = _described(file, self.assume)
        if file.name.lower().endswith(OTHER_FORMATS):
            return turned(_voxels_by_nibabel(file), _axes(affine), "RAS")
        try:
            # Values that a scale makes too large are infinite.
            with ImageOpener(str(file)) as opened, np.errstate(over="ignore", invalid="ignore"):
                proxy = ArrayProxy(opened, header)
                scaled = proxy.slope != 1 or proxy.inter != 0
                voxels = np.asarray(proxy, dtype=np.float32) if scaled else np.asanyarray(proxy)
                _read_to_end(opened)  # where gzip compares the checksum
        except Exception as error:  # decoders raise whatever they stumble on
            raise _unreadable(file, error) from error
        return turned(voxels.reshape(voxels.shape[:3]), _axes(affine), "RAS")

    def header(self, i: int) -> Header:  # numpydoc ignore=PR01,RT01
        """Read what the file says of one, but not its voxels."""
        from nibabel.orientations import inv_ornt_aff

        header, affine, orientation = _described(self.files[i], self.assume)
        shape, axes = header.get_data_shape(), _axes(affine)
        turn = _turn(axes, "RAS")
        grid_affine = affine @ inv_ornt_aff(turn, shape[:3])
        a, b, c = (int(shape[i]) for i in np.argsort(turn[:, 0]))
        grid = Grid((a, b, c), grid_affine, axes=axes, oriented=orientation != "none")
        if orientation == "assumed" and self.like is not None and _alike(grid, self.like):
            grid = replace(grid, affine=self.like.affine)
        return Header(grid, header.get_data_dtype().name, orientation)

    def name(self, i: int) -> str:  # numpydoc ignore=PR01,RT01
        """Name the file of one."""
        return str(self.files[i])

    def select(self, rows: IntArray) -> "NiftiFiles":  # numpydoc ignore=PR01,RT01
        """Take some."""
        return replace(self, files=[self.files[i] for i in rows.tolist()])


def check_orientation(axes: str | None) -> None:
    """Refuse an orientation that is none."""
    if axes is not None and axes not in ORIENTATIONS:
        raise DataError(
            f"assume_orientation: wanted three letters such as RAS or LAS, one of each of "
            f"L/R, P/A and I/S, got {axes!r}"
        )


def _alike(grid: Grid, other: Grid) -> bool:
    return grid.shape == other.shape and np.allclose(grid.voxel_size, other.voxel_size, rtol=1e-3)


def write_volume(file: Path, voxels: AnyArray, grid: Grid, axes: str | None = None) -> None:
    """Write a volume as NIfTI, whole or not at all."""
    from nibabel.nifti1 import Nifti1Image
    from nibabel.orientations import inv_ornt_aff

    axes = axes or grid.axes
    affine = grid.affine @ inv_ornt_aff(_turn("RAS", axes), grid.shape)
    image = Nifti1Image(turned(voxels.astype(np.float32), "RAS", axes), affine)
    image.header.set_xyzt_units("mm")
    write_whole(file, compressed(image))


def compressed(image: Any) -> bytes:
    """Give what a `.nii.gz` file of an image holds, the same at any time."""
    return gzip.compress(image.to_bytes(), compresslevel=1, mtime=0)


def turned(voxels: AnyArray, now: str, wanted: str) -> AnyArray:
    """Turn a volume from one orientation to another, without interpolation."""
    from nibabel.orientations import apply_orientation

    result: AnyArray = apply_orientation(voxels, _turn(now, wanted))
    return result


def refuse_more(file: Path, shape: Sequence[int], dtype: np.dtype[Any]) -> None:
    """See that a file may hold what its header declares, before memory is taken."""
    held = file.stat().st_size * (GZIP_AT_BEST if file.suffix.lower() in (".gz", ".mgz") else 1)
    voxels = math.prod(map(int, shape))
    if voxels > MOST_VOXELS or voxels * dtype.itemsize > held:
        most = f"{MOST_VOXELS} voxels at most" if voxels > MOST_VOXELS else "no more than its file can hold"
        raise DataError(f"{file}: wanted {most}, its header tells of {told(shape)}; copy or convert it again")


def _read_to_end(opened: Any) -> None:
    """What comes after the voxels is little; a few bytes of gzip may stand for more than memory holds."""
    for _ in range(MOST_AFTER // PIECE):
        if not opened.read(PIECE):
            return
    raise ValueError(f"more than {MOST_AFTER // PIECE} MiB come after its voxels")


def _described(file: Path, assume: str | None) -> tuple[Any, Affine, str]:
    """Header, affine and orientation (as in `Header`) of a NIfTI file of one volume, which makes sense."""
    from nibabel.filebasedimages import ImageFileError
    from nibabel.nifti1 import Nifti1Header, Nifti1Image
    from nibabel.nifti2 import Nifti2Header
    from nibabel.openers import ImageOpener

    if file.name.lower().endswith(OTHER_FORMATS):
        return _described_by_nibabel(file, assume)
    try:
        Nifti1Image.filespec_to_file_map(file)  # knows the ending
        with ImageOpener(str(file)) as opened:
            start = opened.read(Nifti1Header.sizeof_hdr)
            is_second = NIFTI2 in (int.from_bytes(start[:4], "little"), int.from_bytes(start[:4], "big"))
            kind: Any = Nifti2Header if is_second else Nifti1Header
            header = kind(start + opened.read(kind.sizeof_hdr - len(start)), check=False)
        edges = np.abs(header["pixdim"][1:4].astype(np.float64))
        header.check_fix(logger=QUIET)  # makes 1 mm of an edge of 0
        affine, orientation = np.full((4, 4), np.nan), "known"
        if np.isfinite(edges).all():
            affine = np.asarray(header.get_best_affine(), dtype=np.float64)
            orientation = _orientation(header)
            if orientation == "none" and assume is not None:
                orientation, affine = "assumed", _centred(header, assume)
            edges = np.minimum(edges, np.sqrt((affine[:3, :3] ** 2).sum(axis=0)))
    except ImageFileError as error:
        raise DataError(
            f"{file}: is no NIfTI volume ({_reason(error)}); convert or download it again"
        ) from error
    except Exception as error:  # decoders raise whatever they stumble on
        raise _unreadable(file, error) from error
    _check(file, header, affine, edges)
    return header, affine, orientation


def _voxels_by_nibabel(file: Path) -> AnyArray:
    """Voxels of a FreeSurfer volume or a pair of files."""
    import nibabel

    try:
        image: Any = nibabel.load(file, mmap=False)
        with np.errstate(over="ignore", invalid="ignore"):
            voxels = np.asanyarray(image.dataobj)
    except Exception as error:  # decoders raise whatever they stumble on
        raise _unreadable(file, error) from error
    scaled = voxels.dtype != image.get_data_dtype()
    voxels = voxels.astype(np.float32) if scaled else voxels
    volume: AnyArray = voxels.reshape(voxels.shape[:3])
    return volume


def _described_by_nibabel(file: Path, assume: str | None) -> tuple[Any, Affine, str]:
    """As `_described`, of a FreeSurfer volume or a pair of files."""
    import nibabel
    from nibabel.openers import ImageOpener

    try:
        image: Any = nibabel.load(file)
        header, affine = image.header, np.asarray(image.affine, dtype=np.float64)
        edges = np.abs(np.array(header.get_zooms()[:3], dtype=np.float64))
        with ImageOpener(str(file)) as opened:  # nibabel sets the flag where it is 0
            flag = opened.read(30)[28:30]
    except Exception as error:  # decoders raise whatever they stumble on
        raise _unreadable(file, error) from error
    if "goodRASFlag" in header:
        orientation = "known" if any(flag) else "none"
    elif "sform_code" in header:
        orientation = _orientation(header)
    else:  # Analyze has one in a file beside it at most
        orientation = "known" if file.with_suffix(".mat").is_file() else "none"
    if orientation == "none" and assume is not None:
        orientation, affine = "assumed", _centred(header, assume)
    _check(Path(image.file_map["image"].filename), header, affine, edges)
    return header, affine, orientation


def _orientation(header: Any) -> str:
    """Whether sform or qform say where a volume lies, and agree to a hundredth of a voxel."""
    codes = int(header["sform_code"]), int(header["qform_code"])
    if not any(code > 0 for code in codes):
        return "none"
    if min(codes) < 1:
        return "known"
    try:
        moved = np.abs(header.get_sform() - header.get_qform())
    except Exception:  # a quaternion that is none
        return "disagree"
    far = moved[:3, :3] @ np.array(header.get_data_shape()[:3], dtype=float) + moved[:3, 3]
    edges = np.abs(header["pixdim"][1:4].astype(np.float64))
    return "known" if far.max() <= APART * edges.min() else "disagree"


def _centred(header: Any, axes: str) -> Affine:
    """Affine of an orientation, with the centre of the volume at 0 mm."""
    from nibabel.orientations import axcodes2ornt

    shape = np.array((*header.get_data_shape(), 1, 1, 1)[:3])
    affine = np.eye(4)
    affine[:3, :3] = 0
    for i, (axis, sign) in enumerate(axcodes2ornt(tuple(axes))):
        affine[int(axis), i] = sign * abs(float(header.get_zooms()[i]))
    affine[:3, 3] = -affine[:3, :3] @ (shape - 1) / 2
    return affine


def _check(file: Path, header: Any, affine: Affine, edges: Affine) -> None:
    """One volume of numbers, of which the file may hold as many, whose voxels have a size."""
    from nibabel.orientations import aff2axcodes

    shape, dtype = header.get_data_shape(), header.get_data_dtype()
    if len(shape) < 3 or any(n != 1 for n in shape[3:]) or min(shape) < 1:
        what = "take one out" if len(shape) > 3 else "convert the scan again"
        raise DataError(f"{file}: wanted one volume of three axes, got shape {told(shape)}; {what}")
    if dtype.kind not in "iuf":
        found = "colours" if dtype.names else dtype.name
        raise DataError(f"{file}: wanted a number in each voxel, got {found}; convert it")
    refuse_more(file, shape, dtype)
    if not (np.isfinite(affine).all() and edges.all()):
        raise DataError(
            f"{file}: wanted voxels with three edges above 0 mm, got {told(edges)}; "
            "mend its header, or convert the scan again"
        )
    with np.errstate(all="ignore"):
        flat = not np.abs(np.linalg.det(affine[:3, :3])) >= FLAT * edges.prod()
    if flat or None in aff2axcodes(affine):
        raise DataError(
            f"{file}: its three axes lie in one plane; mend its header, or convert the scan again"
        )


def _unreadable(file: Path, error: Exception) -> DataError:
    return DataError(f"{file}: cannot be read as a volume ({_reason(error)}); copy or download it again")


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]


def _axes(affine: Affine) -> str:
    from nibabel.orientations import aff2axcodes

    return "".join(str(code) for code in aff2axcodes(affine))


def _turn(now: str, wanted: str) -> AnyArray:
    from nibabel.orientations import axcodes2ornt, ornt_transform

    turn: AnyArray = ornt_transform(axcodes2ornt(tuple(now)), axcodes2ornt(tuple(wanted)))
    return turn
