"""The viewer of a map: a page within the page, which sees nothing of the outer one and asks for nothing."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from sepvae.errors import DataError
from sepvae.files import read_file

if TYPE_CHECKING:
    from sepvae.batch import AnyArray
    from sepvae.grid import Grid

EFFECT, IMAGE = "desc-salient_stat-d_map", "desc-input_stat-mean_map"  # files, without their ending


def effect_viewer(run: Path) -> str | None:
    """Make the viewer of Cohen's d from the maps of a run folder."""
    effect, image = (read_file(run / "maps" / f"{name}.nii.gz", _volume) for name in (EFFECT, IMAGE))
    if effect is None or image is None or effect[0].shape != image[0].shape:
        return None
    from sepvae.plotting.volumes import map_viewer

    return map_viewer(effect[0], image[0], effect[1])


def scripts_within(page: str | None) -> list[str]:
    """
    Take the scripts out of a page that this program made, for the policy of the page around it to allow.

    Examples
    --------
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
