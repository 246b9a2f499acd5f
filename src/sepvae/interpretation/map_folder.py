"""`write_maps`: maps of what the salient part adds to each sample and group, as files."""

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.ndimage import gaussian_filter

from sepvae.batch import AnyArray, IntArray, Source, chunk_rows, chunks, in_unit_range
from sepvae.checks import joined
from sepvae.codes import MIN_CONTROLS
from sepvae.data.nifti import write_volume
from sepvae.data.surfaces import write_surface
from sepvae.errors import DataError
from sepvae.files import check_new, names_apart, whole_folder, write_whole
from sepvae.grid import Grid
from sepvae.interpretation.maps import (
    ROUNDING,
    Moments,
    SalientMaps,
    SeverityMaps,
    at_quantiles,
    axial,
    axis_maps,
    effect_size,
    foreground,
    grey_levels,
    mean_image,
    members,
    spread,
    target_severities,
)
from sepvae.mesh import Mesh
from sepvae.methods.base import ContrastiveEstimator
from sepvae.plotting.cells import limit_of
from sepvae.plotting.maps import map_picture, percentile_limit
from sepvae.progress import Progress
from sepvae.run_folder import AXIS, EFFECT, IMAGE, N_OWN, OF_SLOPE, MapFolder, bids_derivative

GROUPS = ("background", "target")
SHOWN = (0.25, 0.5, 0.75)  # quantiles, in their group, of samples in a figure
PICTURES = 12  # images and volumes of each group with a picture of their own
TITLE = "What the salient part adds: own salient minus salient removed, decoded by sepvae"


class Shown(NamedTuple):
    """Map of a sample as its picture shows it; of volumes an axial slice, over that of the sample itself."""

    added: AnyArray  # (channels, h, w)
    image: AnyArray | None = None  # (h, w) in [0, 1], NaN where voxels are not valid
    title: str = ""


class Statistics(NamedTuple):
    """
    Moments of the maps of background, all targets and, of several, each; `effects` are Cohen's d.

    `own` are moments of what the own block of each target adds to its samples, if there are blocks.
    """

    labels: tuple[str, ...]
    moments: tuple[Moments, ...]
    effects: tuple[AnyArray | None, ...]  # of all groups but the background
    own: tuple[Moments, ...]
    severity: Mapping[str, AnyArray]  # slope and means of thirds of all targets by severity, if it is known

    @property
    def effect(self) -> AnyArray | None:
        """Cohen's d of all targets against the background."""
        return self.effects[0]

    def maps(self) -> Iterator[tuple[str, AnyArray]]:
        """Yield file names and values of the mean and standard deviation of each group with samples."""
        for i, moments in enumerate(self.moments):
            if moments.n:
                yield group_files(self.labels, "mean")[i], moments.mean
                yield group_files(self.labels, "sd")[i], moments.sd
        for i, moments in enumerate(self.own, start=2):
            if moments.n:
                yield group_files(self.labels, "mean", "own")[i], moments.mean
                yield group_files(self.labels, "sd", "own")[i], moments.sd

    def of_each(self) -> Iterator[tuple[str, Moments, AnyArray | None]]:
        """Yield the file name of d, moments and d of each of several targets."""
        names = group_files(self.labels, "d")
        yield from zip(names[2:], self.moments[2:], self.effects[1:], strict=True)

    def all_maps(self, axes: AnyArray) -> dict[str, AnyArray]:
        """Return all maps by file name: moments, Cohen's d, what each axis adds, and maps by severity."""
        found = dict(self.maps())
        if self.effect is not None:
            found[EFFECT] = self.effect
        found |= {name: d for name, _, d in self.of_each() if d is not None}
        return found | {AXIS.format(i): one for i, one in enumerate(axes)} | self.by_severity()

    def by_severity(self) -> dict[str, AnyArray]:
        """Return the maps by severity by file name."""
        return {group_files(self.labels, name)[1]: values for name, values in self.severity.items()}


def write_maps(
    model: ContrastiveEstimator, source: Source, folder: Path, *, progress: Progress | None = None
) -> Path:
    """Write maps of each sample and group, in input units, into a new folder, whole or not at all."""
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


def group_files(labels: Sequence[str], statistic: str, part: str = "salient") -> list[str]:
    """
    Return the file name of each group for a statistic such as "mean", distinct and without suffix.

    >>> group_files(["control", "ill"], "mean")
    ['label-control_desc-salient_stat-mean_map', 'label-ill_desc-salient_stat-mean_map']
    """
    return [f"label-{name}_desc-{part}_stat-{statistic}_map" for name in names_apart(labels)]


def _write(folder: MapFolder, model: ContrastiveEstimator, source: Source, progress: Progress | None) -> None:
    """Write the maps of samples chunk by chunk, then those of groups."""
    maps, groups = SalientMaps(model, source), members(model, source)
    ids = [str(id_) for id_ in source.ids]
    names = [f"sub-{name}_desc-salient_map" for name in names_apart(ids)]
    targets = [label for label in model.classes_ if label != model.background_]
    of_labels = [np.flatnonzero(np.asarray(source.labels) == label) for label in targets]
    all_groups = [*groups, *of_labels] if len(targets) > 1 else groups
    moments, strength = tuple(Moments() for _ in all_groups), np.zeros(len(source))
    severity = SeverityMaps(target_severities(model, source, groups[1]))
    pictured = maps.is_image or maps.grid is not None
    kept = np.concatenate([spread(group, PICTURES * pictured) for group in groups])
    pictures: dict[int, Shown] = {}
    for part, (_, added, sizes) in maps:
        strength[part] = sizes
        severity.add(part, added)
        for group, of_group in zip(all_groups, moments, strict=True):
            of_group.add(added[np.isin(part, group)])
        for i, one in zip(part.tolist(), added, strict=True):
            if maps.grid is not None:
                axes = maps.grid.axes if source.native is None else str(source.native["axes"].iloc[i])
                write_volume(folder.volume(names[i]), maps.grid.back(one[0]), maps.grid, axes)
            elif maps.mesh is not None:
                write_surface(folder.surface(names[i]), maps.mesh.back(one))
        pictures |= {int(i): _shown(maps, i, added[i - part[0]]) for i in np.intersect1d(part, kept)}
        if progress is not None:
            progress(int(part[-1]) + 1, len(source))
    # Features have a unit each; the other samples share the mean unit.
    unit = maps.unit if model.scaler_ is not None else maps.unit.mean()
    named = [str(label) for label in targets]
    labels = str(model.background_), joined(named), *(named if len(named) > 1 else [])
    effects = tuple(effect_size(moments[0], of_targets, unit) for of_targets in moments[1:])
    own = tuple(_of_own_block(model, source, label) for label in targets if model.salient_blocks_)
    statistics = Statistics(labels, moments, effects, own, severity.maps())
    files = _write_groups(folder, maps, statistics, names, pictures)
    y = np.full(len(source), np.nan)  # of neither group
    y[groups[0]], y[groups[1]] = 0, 1
    about = {"id": ids, "group": np.asarray(source.groups).astype(str)}
    about |= {"label": np.asarray(source.labels).astype(str), "y": pd.array(y, dtype="Int64"), "file": files}
    if severity.possible:
        about["severity"] = severity.severities
        folder.severity.write(severity.table(strength))
    folder.samples.write(pd.DataFrame(about | {"mean_absolute": strength}))
    if (maps.grid is not None or maps.is_image) and any(map(len, groups)):
        folder.people.write(_people(maps, groups, statistics, strength))
    folder.description.write(bids_derivative(TITLE))


def _write_groups(
    folder: MapFolder,
    maps: SalientMaps,
    statistics: Statistics,
    names: Sequence[str],
    pictures: Mapping[int, Shown],
) -> list[str]:
    """Write the maps of groups, and pictures of some samples; return the file of each sample, if any."""
    files, scale = [""] * len(names), limit_of if maps.grid is None else percentile_limit
    limit = scale(np.array([shown.added for shown in pictures.values()]))
    for i, shown in pictures.items():
        _write_picture(folder.picture(names[i]), map_picture(shown.added, limit, shown.image, shown.title))
    if maps.grid is not None:
        _write_group_volumes(folder, maps, maps.grid, statistics)
        files = [folder.volume(name).name for name in names]
    elif maps.mesh is not None:
        _write_group_surfaces(folder, maps, maps.mesh, statistics)
        files = [folder.surface(name)[0].name for name in names]
    elif maps.is_image:
        _write_pictures(folder, statistics, axis_maps(maps.model))
        files = [folder.picture(name).name if i in pictures else "" for i, name in enumerate(names)]
    else:
        folder.regions.write(_regions(statistics, maps))
        if (background := statistics.moments[0]).n >= MIN_CONTROLS:
            folder.own.write(_own_regions(maps, background))
    return files


def _of_own_block(model: ContrastiveEstimator, source: Source, label: Any) -> Moments:
    """Return the moments, over the samples of a target, of what its own block adds to them."""
    maps = SalientMaps(model, source, model.salient_blocks_[f"salient of {label}"])
    rows, found = np.flatnonzero(np.asarray(source.labels) == label), Moments()
    for part in chunks(len(rows), chunk_rows(source.sample_shape)):
        found.add(maps.decode(rows[part]).added)
    return found


def _write_group_volumes(folder: MapFolder, maps: SalientMaps, grid: Grid, statistics: Statistics) -> None:
    """Write moments of groups, Cohen's d, what each axis adds and the mean image, on the full grid."""
    image = mean_image(maps)
    # Without a mask, rounding errors of a decoder outside of the brain would give values of d there.
    inside = 1 if grid.mask is not None else grid.window(foreground(grid.back(image)))
    for name, window in (statistics.all_maps(axis_maps(maps.model)) | {IMAGE: image[None]}).items():
        values = window[0] * inside if name.endswith(EFFECT) else window[0]
        write_volume(folder.volume(name), grid.back(values), grid, grid.axes)


def _write_group_surfaces(folder: MapFolder, maps: SalientMaps, mesh: Mesh, statistics: Statistics) -> None:
    """Write the same of surfaces, in input units; `people.npz` has the labels alone."""
    axes = np.zeros((maps.model.salient_dim, len(maps.unit)))  # 0 for vertices that the scaler dropped
    axes[:, maps.model.scaler_.kept_] = axis_maps(maps.model)
    image = pd.DataFrame(maps.source.take(np.arange(len(maps.source))).x).mean().fillna(0).to_numpy()
    for name, values in (statistics.all_maps(axes * maps.unit) | {IMAGE: image}).items():
        write_surface(folder.surface(name), mesh.back(values))
    folder.people.write({"ids": np.array([], dtype=str), "labels": np.array(statistics.labels[:2])})


def _write_pictures(folder: MapFolder, statistics: Statistics, axes: AnyArray) -> None:
    """Write pictures and arrays; means with deviations, and thirds by severity, have a scale each."""
    thirds = statistics.by_severity()
    slopes = {name: thirds.pop(name) for name in [*thirds] if "stat-slope" in name}
    for maps in (dict(statistics.maps()), thirds):
        limit = limit_of(np.stack([*maps.values()])) if maps else 1.0
        for name, values in maps.items():
            _write_picture(folder.picture(name), map_picture(values, limit))
    arrays: dict[str, Any] = {"labels": np.array(statistics.labels), "axes": axes}
    names = *GROUPS, *(f"target{k}" for k in range(1, len(statistics.labels) - 1))
    own = (f"{name}_own" for name in names[2:])
    for group, moments in zip((*names, *own), (*statistics.moments, *statistics.own), strict=False):
        if moments.n:
            arrays |= {f"{group}_n": moments.n, f"{group}_mean": moments.mean, f"{group}_sd": moments.sd}
    if statistics.effect is not None:
        arrays["d"] = statistics.effect
        _write_picture(folder.picture(EFFECT), map_picture(statistics.effect))
    for name, _, d in statistics.of_each():
        if d is not None:
            _write_picture(folder.picture(name), map_picture(d))
    for name, slope in slopes.items():
        _write_picture(folder.picture(name), map_picture(slope))
    folder.groups.write(arrays | {f"severity_{name}": x for name, x in statistics.severity.items()})


def _write_picture(file: Path, figure: Figure) -> None:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=144)
    write_whole(file, buffer.getvalue())


def _regions(statistics: Statistics, maps: SalientMaps) -> pd.DataFrame:
    """Return moments of each feature by group, d, and standardised axes; the largest |d| comes first."""
    table = pd.DataFrame({"feature": maps.feature_names})
    groups = *GROUPS, *statistics.labels[2:], *(f"{label}_own" for label in statistics.labels[2:])
    for group, moments in zip(groups, (*statistics.moments, *statistics.own), strict=False):
        table[f"{group}_mean"], table[f"{group}_sd"] = (
            values if moments.n else np.nan for values in (moments.mean, moments.sd)
        )
    table["d"] = np.nan if statistics.effect is None else statistics.effect
    for label, effect in zip(statistics.labels[2:], statistics.effects[1:], strict=True):
        table[f"{label}_d"] = np.nan if effect is None else effect
    for name, values in statistics.severity.items():
        table[f"severity_{name}"] = values
    if "slope" in statistics.severity:  # in standard deviations of the training part
        scale = np.where(maps.unit == 0, np.inf, maps.unit)
        table[OF_SLOPE] = statistics.severity["slope"] / scale
    axes = np.zeros((len(table), maps.model.salient_dim))  # 0 for columns that the scaler dropped
    axes[maps.model.scaler_.kept_] = axis_maps(maps.model).T
    table = table.join(pd.DataFrame(axes).add_prefix("salient"))
    return table.sort_values("d", key=abs, ascending=False, kind="stable")


def _own_regions(maps: SalientMaps, controls: Moments) -> pd.DataFrame:
    """Return the features of each sample that the salient part changes most, beside those of controls."""
    names, ids = np.asarray(maps.feature_names), np.asarray(maps.source.ids).astype(str)
    labels, n, rows = np.asarray(maps.source.labels), controls.n, []
    scale = np.where(maps.unit == 0, np.inf, maps.unit)
    for part, (_, added, _) in maps:
        apart, variance = added - controls.mean, np.tile(controls.variance, (len(part), 1))
        own = labels[part] == maps.model.background_  # no one is compared with oneself
        variance[own] = ((n - 1) * variance[own] - apart[own] ** 2 * n / (n - 1)) / (n - 2)
        apart[own] *= n / (n - 1)
        z = np.full(apart.shape, np.nan)
        np.divide(apart, np.sqrt(np.maximum(variance, 0)), out=z, where=variance > (ROUNDING * scale) ** 2)
        order = np.argsort(-np.abs(added / scale), axis=1, kind="stable")[:, :N_OWN]
        of_part = {"id": np.repeat(ids[part], order.shape[1]), "feature": names[order.ravel()]}
        for name, values in (("added", added), ("added_sd", added / scale), ("z", z)):
            of_part[name] = np.take_along_axis(values, order, axis=1).ravel()
        rows.append(pd.DataFrame(of_part).dropna())
    return pd.concat(rows, ignore_index=True)


def _shown(maps: SalientMaps, i: int, added: AnyArray) -> Shown:
    """Return the map of a sample, of a volume the axial slice where it is largest if smoothed by a voxel."""
    if (grid := maps.grid) is None:
        return Shown(added.copy())  # without the rest of its chunk
    of_window = added[0], grid.valid_mask, maps.source.take(np.array([i])).x[0, 0]
    values, valid, image = map(grid.back, of_window)
    sizes = np.abs(gaussian_filter(values, 1)).max(axis=(0, 1))
    level = int(sizes.argmax()) if sizes.any() else len(sizes) // 2
    inside, z = axial(valid, level), (grid.affine @ [*(np.array(grid.shape[:2]) - 1) / 2, level, 1])[2]
    grey = np.where(inside, grey_levels(axial(image, level), inside), np.nan)
    return Shown(axial(values, level)[None].copy(), grey, f"z = {z:.0f} mm")


def _people(
    maps: SalientMaps, groups: Sequence[IntArray], statistics: Statistics, strength: AnyArray
) -> dict[str, AnyArray]:
    """
    Return images and maps of a few samples per group for a figure; of volumes, the slice of largest d².

    They are those at the quartiles of `strength` in their group, so that nobody is chosen for their looks.
    """
    of_groups = [group[at_quantiles(strength[group], SHOWN)] for group in groups]
    chosen = np.concatenate(of_groups)
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
        "y": np.repeat([0, 1], [*map(len, of_groups)]),
        "quantiles": np.concatenate(
            [SHOWN if len(group) == len(SHOWN) else np.full(len(group), np.nan) for group in of_groups]
        ),
        "labels": np.array(statistics.labels[:2]),
        "images": images.astype(np.float32),
        "without": without.astype(np.float32),
        "added": added.astype(np.float32),
    }
