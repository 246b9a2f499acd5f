"""NIfTI files: read as voxels turned to RAS, written back in any orientation."""

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from sepvae.batch import AnyArray, IntArray
from sepvae.errors import DataError
from sepvae.grid import Grid, told

Affine = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Header:  # numpydoc ignore=PR02
    """
    What a file says of its volume.

    Parameters
    ----------
    grid : Grid
        Of its voxels, turned to RAS; `axes` is the orientation of the file, such as "LAS".
    dtype : str
        Of its values on disk.
    """

    grid: Grid
    dtype: str


class Volumes(Protocol):
    """Where volumes come from: NIfTI files, or a packed store. Worker processes get a copy."""

    def __len__(self) -> int: ...

    def __call__(self, i: int) -> AnyArray:
        """
        Read the voxels of one, turned to RAS.

        Parameters
        ----------
        i : int
            Which.

        Returns
        -------
        ndarray of shape (x, y, z)
            In the file's own type, unless its header scales the values: then float32.
        """
        ...

    def header(self, i: int) -> Header:
        """
        Read what the file says of one, but not its voxels.

        Parameters
        ----------
        i : int
            Which.

        Returns
        -------
        Header
            Grid and type.
        """
        ...

    def name(self, i: int) -> str:
        """
        Name one for a message.

        Parameters
        ----------
        i : int
            Which.

        Returns
        -------
        str
            The file.
        """
        ...

    def select(self, rows: IntArray) -> Self:
        """
        Take some.

        Parameters
        ----------
        rows : ndarray of int
            Which.

        Returns
        -------
        Volumes
            Those, in that order.
        """
        ...


@dataclass(frozen=True)
class NiftiFiles:  # numpydoc ignore=PR02
    """
    Volumes in files of their own.

    Parameters
    ----------
    files : sequence of Path
        NIfTI, `.nii` or `.nii.gz`, of three axes, or of four of which the last has one volume.
    """

    files: Sequence[Path]

    def __len__(self) -> int:
        return len(self.files)

    def __call__(self, i: int) -> AnyArray:
        """Read the voxels of one, turned to RAS."""
        image = _opened(self.files[i])
        try:
            scaled = image.dataobj.slope != 1 or image.dataobj.inter != 0
            voxels = np.asanyarray(image.dataobj) if not scaled else image.get_fdata(dtype=np.float32)
        except Exception as error:  # decoders raise whatever they stumble on
            raise _unreadable(self.files[i], error) from error
        return turned(voxels.reshape(voxels.shape[:3]), _axes(image.affine), "RAS")

    def header(self, i: int) -> Header:  # numpydoc ignore=PR01,RT01
        """Read what the file says of one, but not its voxels."""
        image, file = _opened(self.files[i]), self.files[i]
        shape, affine = image.shape, np.asarray(image.affine, dtype=np.float64)
        if len(shape) not in (3, 4) or any(n != 1 for n in shape[3:]) or min(shape) < 1:
            raise DataError(f"{file}: wanted one volume of three axes, got shape {told(shape)}; take one out")
        edges = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
        zooms = np.asarray(image.header.get_zooms()[:3])
        if not np.isfinite(affine).all() or min(*edges, *zooms) <= 0 or not np.linalg.det(affine):
            raise DataError(
                f"{file}: wanted voxels with three edges above 0 mm, got {told(np.minimum(edges, zooms))}; "
                "mend its header, or convert the scan again"
            )
        from nibabel.orientations import inv_ornt_aff

        axes = _axes(affine)
        turn = _turn(axes, "RAS")
        grid_affine = affine @ inv_ornt_aff(turn, shape[:3])
        a, b, c = (int(shape[i]) for i in np.argsort(turn[:, 0]))
        return Header(Grid((a, b, c), grid_affine, axes=axes), str(image.get_data_dtype()))

    def name(self, i: int) -> str:  # numpydoc ignore=PR01,RT01
        """Name the file of one."""
        return str(self.files[i])

    def select(self, rows: IntArray) -> "NiftiFiles":  # numpydoc ignore=PR01,RT01
        """Take some."""
        return NiftiFiles([self.files[i] for i in rows.tolist()])


def write_volume(file: Path, voxels: AnyArray, grid: Grid, axes: str | None = None) -> None:
    """
    Write a volume as NIfTI, whole or not at all.

    Parameters
    ----------
    file : Path
        Where; `.nii.gz`.
    voxels : ndarray of shape `grid.shape`
        Along R, A, S; written as float32.
    grid : Grid
        Where they are.
    axes : str, default=grid.axes
        Orientation of the file, such as "LAS".
    """
    from nibabel.nifti1 import Nifti1Image
    from nibabel.orientations import inv_ornt_aff

    axes = axes or grid.axes
    affine = grid.affine @ inv_ornt_aff(_turn("RAS", axes), grid.shape)
    image = Nifti1Image(turned(voxels.astype(np.float32), "RAS", axes), affine)
    image.header.set_xyzt_units("mm")
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.", suffix=".nii.gz")
    os.close(handle)
    try:
        image.to_filename(name)
        Path(name).chmod(0o644)
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def turned(voxels: AnyArray, now: str, wanted: str) -> AnyArray:
    """
    Turn a volume from one orientation to another, without interpolation.

    Parameters
    ----------
    voxels : ndarray of three axes
        The volume.
    now, wanted : str
        Orientations, such as "LPS" and "RAS".

    Returns
    -------
    ndarray
        A view.
    """
    from nibabel.orientations import apply_orientation

    result: AnyArray = apply_orientation(voxels, _turn(now, wanted))
    return result


def _opened(file: Path) -> Any:
    """A NIfTI image, of which only the header is read."""
    from nibabel.filebasedimages import ImageFileError
    from nibabel.nifti1 import Nifti1Image

    try:
        return Nifti1Image.from_filename(file)
    except ImageFileError as error:
        raise DataError(
            f"{file}: is no NIfTI volume ({_reason(error)}); convert or download it again"
        ) from error
    except Exception as error:  # decoders raise whatever they stumble on
        raise _unreadable(file, error) from error


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
