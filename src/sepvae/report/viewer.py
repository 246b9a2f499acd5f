"""Viewer of a map: an HTML page for an inner frame, isolated from the outer page, without requests."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from sepvae.errors import DataError
from sepvae.files import read_file
from sepvae.run_folder import EFFECT, IMAGE, MapFolder

if TYPE_CHECKING:
    from sepvae.batch import AnyArray
    from sepvae.grid import Grid


def effect_viewer(maps: MapFolder) -> str | None:
    """Return an HTML viewer of Cohen's d over the mean image; None if there are no such maps of volumes."""
    effect, image = (read_file(maps.volume(name), _volume) for name in (EFFECT, IMAGE))
    if effect is None or image is None or effect[0].shape != image[0].shape:
        return None
    from sepvae.plotting.maps import map_viewer

    return map_viewer(effect[0], image[0], effect[1])


def scripts_within(page: str | None) -> list[str]:
    """
    Return the scripts of a page that sepvae made, so that the policy of the outer page can allow them.

    >>> scripts_within("<p>a</p><script>let a = 1</script>")
    ['let a = 1']
    """
    return re.findall(r"<script>(.*?)</script>", page or "", re.DOTALL)


def _volume(path: Path) -> "tuple[AnyArray, Grid]":
    import numpy as np

    from sepvae.data.nifti import NiftiFiles

    file = NiftiFiles([path])
    try:
        grid, voxels = file.header(0).grid, file(0)
    except DataError as error:
        raise ValueError(str(error)) from error
    if not np.isfinite(voxels).all():
        raise ValueError("a voxel is no finite number")
    return voxels, grid
