"""Values of the vertices of a hemisphere: GIFTI, FreeSurfer's .mgh and its curv files (lh.thickness)."""

import gzip
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from sepvae.batch import AnyArray
from sepvae.errors import DataError, reason_of
from sepvae.files import write_whole
from sepvae.grid import dims
from sepvae.mesh import MESHES

MOST_BYTES = 2**23  # of a file: those of the largest mesh take less than one megabyte
TO_MESH = "FreeSurfer's mri_surf2surf does it"


class Surface(NamedTuple):
    """Files of the left and the right hemisphere of a scan."""

    left: Path
    right: Path

    def __str__(self) -> str:
        """Return the path of the right one if only that is missing, for messages."""
        return str(self.left if self.right.is_file() or not self.left.is_file() else self.right)


def read_surface(surface: Surface) -> npt.NDArray[np.float32]:
    """Return the values of both hemispheres, (2, vertices) of a mesh in MESHES, NaN where missing."""
    left, right = (read_hemisphere(file) for file in surface)
    if len(left) != len(right):
        raise DataError(
            f"{surface.right}: has {len(right)} vertices, its left hemisphere {len(left)}; bring both to one "
            f"mesh; {TO_MESH}"
        )
    for file, values in zip(surface, (left, right), strict=True):
        finite = values[np.isfinite(values)]
        if np.isinf(values).any():
            raise DataError(f"{file}: has infinite values; correct them, or leave this scan out")
        if not finite.size or np.ptp(finite) == 0:
            found = f"one value, {finite[0]:g}, in all vertices" if finite.size else "no number (all are NaN)"
            raise DataError(f"{file}: has {found}; leave this scan out")
    return np.stack([left, right])


def write_surface(files: tuple[Path, Path], values: AnyArray) -> None:
    """Write values (2, vertices) atomically as GIFTI files of the left and the right hemisphere."""
    from nibabel import gifti

    tools: Any = gifti  # it has no types
    for file, side, of_side in zip(files, ("CortexLeft", "CortexRight"), values, strict=True):
        meta = tools.GiftiMetaData({"AnatomicalStructurePrimary": side})
        array = tools.GiftiDataArray(
            of_side.astype(np.float32), intent="NIFTI_INTENT_SHAPE", datatype="NIFTI_TYPE_FLOAT32", meta=meta
        )
        write_whole(file, tools.GiftiImage(darrays=[array], meta=meta).to_bytes())


def read_hemisphere(file: Path) -> npt.NDArray[np.float32]:
    """Return the values of one hemisphere, (vertices,) of a mesh in MESHES."""
    if (size := file.stat().st_size) > MOST_BYTES:
        wanted = f"wanted one number for each vertex, {MOST_BYTES // 2**20} MiB at most"
        raise DataError(f"{file}: {wanted}, got {size / 2**20:.0f} MiB; is it a volume or a time series?")
    try:
        values = np.asarray(_loaded(file))
    except DataError:
        raise
    except Exception as error:  # decoders raise errors of any type
        remedy = "copy it again, or convert it to GIFTI or .mgh"
        raise DataError(f"{file}: cannot be read as a surface ({reason_of(error)}); {remedy}") from error
    if values.size not in MESHES.values() or values.size != max(values.shape):
        if sum(side > 1 for side in values.shape) > 1:
            raise DataError(
                f"{file}: wanted one number for each vertex of a hemisphere, got a volume or several maps "
                f"({dims(values.shape)}); name another file"
            )
        known = ", ".join(f"{name} {n}" for name, n in MESHES.items())
        raise DataError(
            f"{file}: wanted the vertices of a common mesh ({known}), got {values.size}, perhaps those of "
            f"the person's own surface; bring it to one; {TO_MESH}"
        )
    return values.astype(np.float32).ravel()


def _loaded(file: Path) -> Any:
    """Return the array of a file; its format is recognised by the name."""
    from nibabel import freesurfer, gifti

    tools: Any = freesurfer  # neither has types
    if not file.name.lower().endswith((".gii", ".mgh", ".mgz")):
        return tools.read_morph_data(file)
    with gzip.open(file) if file.suffix.lower() == ".mgz" else file.open("rb") as opened:
        content = opened.read(MOST_BYTES)
    if file.suffix.lower() != ".gii":
        return np.asanyarray(tools.MGHImage.from_bytes(content).dataobj)
    arrays = gifti.GiftiImage.from_bytes(content).darrays  # type: ignore[attr-defined]
    if len(arrays) != 1:
        raise DataError(f"{file}: wanted one map, got {len(arrays)} of them; write one file for each")
    return arrays[0].data
