"""`write_maps`: maps of what the salient part adds to each sample and group, as files."""

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sepvae.batch import AnyArray, IntArray, Source, chunk_rows, chunks, in_unit_range
from sepvae.errors import DataError
from sepvae.files import check_new, whole_folder
from sepvae.grid import Grid
from sepvae.interpretation.map_files import (
    Statistics,
    regions,
    write_group_volumes,
    write_pictures,
    write_window,
)
from sepvae.interpretation.maps import SalientMaps, axial, grey_levels, members, spread
from sepvae.interpretation.moments import Moments, effect_size
from sepvae.methods.base import ContrastiveEstimator
from sepvae.progress import Progress
from sepvae.report.file_names import names_apart
from sepvae.run_folder import IMAGE, MapFolder

IN_FIGURE = 3  # samples of each group in a figure
PICTURES = 12  # samples of each group with a picture of their own
IN_MEAN = 64  # samples in the mean image below the maps


def write_maps(
    model: ContrastiveEstimator,
    source: Source,
    folder: Path,
    *,
    progress: Progress | None = None,
) -> Path:
    """
    Write maps of each sample and group into a new folder, which appears only when complete.

    A map is the sample decoded with its own salient code, minus the sample decoded without one, in the units
    of the input. Labels do not affect it.
    """
    check_new(folder, "folder for maps")
    if not model.capabilities.decoder:
        raise DataError(f"maps: wanted a method with a decoder, got {type(model).__name__}")
    if not can_map(model, source):
        raise DataError(
            "maps: wanted volumes with a grid, for a map lies somewhere; got an array of voxels only"
        )
    with whole_folder(folder) as whole:
        _write(MapFolder(whole), model, source, progress)
    return folder


def can_map(model: ContrastiveEstimator, source: Source) -> bool:
    """Return whether maps of these samples can be written: by a decoder, and volumes on a grid."""
    return model.capabilities.decoder and (len(source.sample_shape) < 4 or source.grid is not None)


def _write(
    folder: MapFolder,
    model: ContrastiveEstimator,
    source: Source,
    progress: Progress | None,
) -> None:
    """Write the maps of samples chunk by chunk, then those of groups."""
    maps, groups = SalientMaps(model, source), members(model, source)
    ids = [str(id_) for id_ in source.ids]
    names = [f"sub-{name}_desc-salient_map" for name in names_apart(ids)]
    moments, strength = (Moments(), Moments()), np.zeros(len(source))
    kept = np.concatenate([spread(group, PICTURES) for group in groups]) if maps.is_image else np.arange(0)
    pictures: dict[int, AnyArray] = {}
    for part, (_, added, sizes) in maps:
        strength[part] = sizes
        for group, of_group in zip(groups, moments, strict=True):
            of_group.add(added[np.isin(part, group)])
        for i, one in zip(part.tolist(), added, strict=True):
            if maps.grid is not None:
                write_window(folder.volume(names[i]), one[0], maps.grid, _axes(source, i, maps.grid))
        pictures |= {int(i): added[i - part[0]] for i in np.intersect1d(part, kept)}
        if progress is not None:
            progress(int(part[-1]) + 1, len(source))

    # Features have a unit each; the other samples share the mean unit.
    unit = maps.unit if model.scaler_ is not None else maps.unit.mean()
    statistics = Statistics(_labels(model), moments, effect_size(*moments, unit))
    files = _write_groups(folder, maps, statistics, names, pictures)
    about = {"id": ids, "label": np.asarray(source.labels).astype(str), "file": files}
    folder.samples.write(pd.DataFrame(about | {"mean_absolute": strength}))
    if (maps.grid is not None or maps.is_image) and any(map(len, groups)):
        folder.people.write(_people(maps, groups, statistics))
    folder.description.write(_description())


def _write_groups(
    folder: MapFolder,
    maps: SalientMaps,
    statistics: Statistics,
    names: list[str],
    pictures: dict[int, AnyArray],
) -> list[str]:
    """Write the files of groups, and pictures of samples; return the file of each sample, or ""."""
    if maps.grid is not None:
        write_group_volumes(folder, statistics, maps.grid)
        write_window(folder.volume(IMAGE), _mean_image(maps), maps.grid, maps.grid.axes)
        return [folder.volume(name).name for name in names]
    if maps.is_image:
        write_pictures(folder, statistics, {names[i]: picture for i, picture in pictures.items()})
        return [folder.picture(name).name if i in pictures else "" for i, name in enumerate(names)]
    folder.regions.write(regions(statistics, _features(maps.model, maps.source)))
    return [""] * len(names)


def _labels(model: ContrastiveEstimator) -> tuple[str, str]:
    target = next(label for label in model.classes_ if label != model.background_)
    return str(model.background_), str(target)


def _axes(source: Source, i: int, grid: Grid) -> str:
    return grid.axes if source.native is None else str(source.native["axes"].iloc[i])


def _features(model: ContrastiveEstimator, source: Source) -> list[str]:
    names = source.feature_names
    if names is None:
        names = getattr(model, "feature_names_in_", None)
    return [f"feature{i}" for i in range(source.sample_shape[0])] if names is None else list(map(str, names))


def _mean_image(maps: SalientMaps) -> AnyArray:
    """Return the mean of up to IN_MEAN samples, spread over all, in the units of the input."""
    shown = spread(np.arange(len(maps.source)), IN_MEAN)
    moments = Moments()
    for part in chunks(len(shown), chunk_rows(maps.source.sample_shape)):
        moments.add(maps.in_units(maps.source.take(shown[part]).x, shown[part]))
    return np.asarray(moments.mean[0])


def _people(maps: SalientMaps, groups: Sequence[IntArray], statistics: Statistics) -> dict[str, AnyArray]:
    """Return images and maps of a few samples per group for a figure; of volumes, the slice of largest d²."""
    chosen = np.concatenate([spread(group, IN_FIGURE) for group in groups])
    images = maps.in_units(in_unit_range(maps.source.take(chosen).x), chosen)
    without, added, _ = maps.decode(chosen)
    if maps.grid is not None:
        level = images.shape[-1] // 2
        if statistics.effect is not None and statistics.effect.any():
            level = int((statistics.effect[0] ** 2).sum(axis=(0, 1)).argmax())
        valid_mask = axial(maps.grid.valid_mask, level)
        both = np.concatenate([axial(images, level), axial(without, level)], axis=-1)
        both = grey_levels(both, np.concatenate([valid_mask, valid_mask], axis=-1))
        (images, without), added = np.split(both, 2, axis=-1), axial(added, level)
    return {
        "ids": np.asarray(maps.source.ids)[chosen].astype(str),
        "y": np.repeat([0, 1], [min(len(group), IN_FIGURE) for group in groups]),
        "labels": np.array(statistics.labels),
        "images": images.astype(np.float32),
        "without": without.astype(np.float32),
        "added": added.astype(np.float32),
    }


def _description() -> dict[str, Any]:
    return {
        "Name": "What the salient part adds: own salient minus salient removed, decoded by sepvae",
        "BIDSVersion": "1.10.0",
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "sepvae", "Version": version("sepvae")}],
    }
