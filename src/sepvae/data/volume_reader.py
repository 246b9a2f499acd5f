"""Listed volumes as a source: on one grid, normalised, cached up to `memory` GB, streamed beyond."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from sepvae.data.arrays import ArraySource, StreamSource
from sepvae.data.manifest import Manifest
from sepvae.data.nifti import Header, NiftiFiles, Volumes
from sepvae.data.packed import PackedVolumes
from sepvae.data.parallel import PART, in_order
from sepvae.data.quality_metrics import measure_volume
from sepvae.data.spec import DataSpec
from sepvae.data.volumes import VolumeReader, common_grid, read_mask, settled, with_window
from sepvae.errors import DataError
from sepvae.grid import Grid
from sepvae.progress import Progress


def read_volume_files(
    manifest: Manifest, spec: DataSpec, *, grid: Grid | None = None, progress: Progress | None = None
) -> tuple[ArraySource | StreamSource, pd.DataFrame]:
    """
    Read every listed volume once, so that unreadable ones raise here; return the source and quality metrics.

    The `grid` of a fitted model replaces size and mask of the spec. Packed volumes are never cached.
    """
    volumes, n = settled(all_there(manifest), grid), len(manifest)
    headers = list(in_order(volumes.header, n))
    place = _place(volumes, headers, spec, grid)
    reader = VolumeReader(volumes, place, spec.resample)
    n_fitting = int(spec.memory * 1e9 / (4 * np.prod(place.size)))
    kept = 0 if isinstance(volumes, PackedVolumes) else min(n, n_fitting)
    reader.kept = np.empty((kept, 1, *place.size), dtype=np.float32)

    def read(i: int) -> tuple[dict[str, Any], Any, float, float] | DataError:
        """Return quality metrics, the volume if it is cached, its mean and sd; or the error."""
        try:
            voxels = volumes(i)
            window, mean, sd = reader.normalised(i, voxels)
        except DataError as error:
            return error
        except MemoryError:
            return DataError(
                f"{volumes.name(i)}: takes more memory than there is; free some, or leave it out"
            )
        valid_mask = place.mask if headers[i].grid.same_place(place) else None
        return measure_volume(voxels, headers[i], valid_mask), window if i < kept else None, mean, sd

    quality_metrics, native = [], []
    # Workers return results in parts; parts of several cached volumes would take gigabytes on many cores.
    for i, found in enumerate(in_order(read, n, part=1 if kept else PART)):
        if isinstance(found, DataError):
            raise found
        measured, window, mean, sd = found
        quality_metrics.append(measured)
        native.append((mean, sd, headers[i].grid.axes))
        if window is not None:
            reader.kept[i, 0] = window
        if progress:
            progress(i + 1, n)
    about = manifest.described | {"grid": place}
    about["native"] = pd.DataFrame(native, columns=["mean", "sd", "axes"])
    if kept == n:
        return ArraySource(reader.kept, **about), pd.DataFrame(quality_metrics)
    return StreamSource(reader, (1, *place.size), **about), pd.DataFrame(quality_metrics)


def _place(volumes: Volumes, headers: Sequence[Header], spec: DataSpec, grid: Grid | None) -> Grid:
    """Return the grid of all volumes, with the window and the mask of the spec unless `grid` is given."""
    if spec.mask is None and spec.mask_threshold is not None:
        raise DataError("mask_threshold has no meaning without a mask; name one (--mask), or leave it out")
    place = common_grid(headers, volumes, resample=spec.resample, grid=grid)
    if grid is not None:
        return place
    place = with_window(place, spec.image_size)
    if spec.mask is None:
        return place
    assume = volumes.assume if isinstance(volumes, NiftiFiles) else None
    of_mask: dict[str, Any] = {"threshold": spec.mask_threshold, "assume_orientation": assume}
    return replace(place, mask=read_mask(spec.mask, place, resample=spec.resample, **of_mask))


def all_there(manifest: Manifest) -> Volumes:
    """Return the listed volumes; raise if a file does not exist."""
    volumes = all_listed(manifest)
    manifest.refuse_missing("volumes")
    return volumes


def all_listed(manifest: Manifest) -> Volumes:
    """Return the listed volumes; raise if the samples are no volumes."""
    if manifest.volumes is None:
        raise DataError(f"{manifest.data}: wanted volumes, found other samples")
    return manifest.volumes
