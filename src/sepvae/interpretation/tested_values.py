"""Values of held-out people that a group test compares: maps of a model, its input, and w-scores."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.impute import SimpleImputer

from sepvae.batch import AnyArray, FloatArray, IntArray, Source, chunk_rows, chunks, gather, in_unit_range
from sepvae.codes import attribute_kind
from sepvae.errors import DataError
from sepvae.interpretation.maps import SalientMaps, foreground, mean_image
from sepvae.methods.base import ContrastiveEstimator
from sepvae.plotting.cells import signed
from sepvae.preprocessing.residualizer import Residualizer

Mask = npt.NDArray[np.bool_]
BLOCK = 10_000  # values that regressions take at a time: all voxels of all training people are gigabytes


class People(NamedTuple):
    """People with a label that was fitted on, by the samples of a source."""

    weights: FloatArray  # (people, samples), to average the samples of each
    first: IntArray  # (people,), position of the first sample of each
    is_target: Mask  # (people,)


def people_of(model: ContrastiveEstimator, source: Source) -> People:
    """Return the people of a source; raise if one has samples of both groups."""
    labels = np.asarray(source.labels)
    rows = np.flatnonzero(np.isin(labels, model.classes_))
    is_target, groups = labels[rows] != model.background_, np.asarray(source.groups)[rows].astype(str)
    names, first, person = np.unique(groups, return_index=True, return_inverse=True)
    if mixed := np.flatnonzero(is_target != is_target[first][person]).tolist():
        name = str(groups[mixed[0]])
        raise DataError(f"inference: wanted one group for each person, but samples of {name!r} are in both")
    weights = np.zeros((len(names), len(source)))
    weights[person, rows] = 1
    return People(weights / weights.sum(axis=1, keepdims=True), rows[first], is_target[first])


def voxels_to_test(maps: SalientMaps) -> Mask | None:
    """Return the voxels of the window that are tested, pixels as (h, w, 1), or None for tables."""
    shape = maps.source.sample_shape
    if maps.grid is None:
        return np.ones((*shape[1:], 1), dtype=bool) if maps.is_image else None
    grid, inside = maps.grid, maps.grid.valid_mask
    return inside if grid.mask is not None else inside & grid.window(foreground(grid.back(mean_image(maps))))


def added_values(maps: SalientMaps, inside: Mask | None) -> AnyArray:
    """Return what the salient part adds to each sample, (n, v), in the units of `input_values`."""
    return gather(len(maps.source), ([_flat(part.added, inside, maps)] for _, part in maps))[0]


def input_values(maps: SalientMaps, inside: Mask | None) -> AnyArray:
    """Return the samples: (n, v), volumes in the units of their files, features in standard deviations."""
    n = len(maps.source)
    parts = chunks(n, chunk_rows(maps.source.sample_shape))
    x = (maps.in_units(in_unit_range(maps.source.take(part).x), part) for part in parts)
    return gather(n, ([_flat(some, inside, maps)] for some in x))[0]


def filled(x: AnyArray, train: AnyArray) -> AnyArray:
    """Return values (n, v) with gaps filled by the mean of the training part."""
    if not np.isnan(x).any():
        return x
    return np.asarray(SimpleImputer(keep_empty_features=True).fit(train).transform(x))


def w_scores(
    train: AnyArray, test: AnyArray, covariates: Sequence[pd.DataFrame], is_control: npt.NDArray[np.bool_]
) -> FloatArray:
    """Return how far test values deviate from what training controls of the same covariates have; gaps 0."""
    if covariates[0].columns.empty:
        raise DataError("without covariates their t is that of the input")
    w = np.empty(test.shape)
    for start in range(0, test.shape[1], BLOCK):
        block = np.s_[:, start : start + BLOCK]
        learnt = Residualizer().fit(train[block], covariates[0], is_control)
        w[block] = np.nan_to_num(learnt.transform(test[block], covariates[1]))
    return w


def covariates_of(
    model: ContrastiveEstimator,
    train: Source,
    test: Source,
    kinds: Mapping[str, Any],
    names: Sequence[str] | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """
    Return the covariates of both parts: words for classes, numbers for amounts.

    Without names, these are the attributes that everyone has and that vary among training controls: severity
    and subtype of a disease do not.
    """
    parts = [pd.DataFrame(part.attributes).reset_index(drop=True) for part in (train, test)]
    if names is None:
        controls = parts[0][np.asarray(train.labels) == model.background_]
        whole = [name for name in parts[0] if not any(part[name].isna().any() for part in parts)]
        names = [str(name) for name in whole if (controls[name] != controls[name].iloc[0]).any()]
    for name in names:
        if name not in parts[0]:
            known = ", ".join(map(str, parts[0])) or "none"
            raise DataError(f"--adjust-for: wanted an attribute of the run ({known}), got {name!r}")
        if n := sum(int(part[name].isna().sum()) for part in parts):
            raise DataError(f"--adjust-for: {n} samples have no {name!r}; leave it out, or fill it in")
    of_kind = {"categorical": str, "continuous": float}
    types = {name: of_kind[attribute_kind(parts[0][name], kinds)] for name in names}
    train_part, test_part = (part[[*names]].astype(types) for part in parts)
    return train_part, test_part


def _flat(x: AnyArray, inside: Mask | None, maps: SalientMaps) -> AnyArray:
    """Return samples as rows: voxels inside, pixels as the mean of their channels, or scaled features."""
    if x.ndim == 4:
        return signed(x).reshape(len(x), -1)
    if inside is not None:
        return np.asarray(x[:, 0][:, inside])
    return np.asarray(x / np.where(maps.unit == 0, 1, maps.unit))
