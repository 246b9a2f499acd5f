"""Samples under inspection, and their names in messages."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from sepvae.checks import guess_background
from sepvae.data.splits import SIDES
from sepvae.errors import DataError

OF_EVERY_SAMPLE = ("id", "group", "label", "split")


@dataclass(frozen=True)
class Samples:
    """
    Labelled samples under inspection, with one row each in `about`, `quality_metrics` and `features`.

    `about` has columns id, group, label, split, then attributes. `quality_metrics` are statistics of images
    or volumes, missing for unreadable files.
    """

    about: pd.DataFrame
    quality_metrics: pd.DataFrame | None
    background: Any
    features: pd.DataFrame | None = None
    grouped: bool = True  # whether the data name the patients

    @cached_property
    def labels(self) -> list[Any]:
        """All labels, the background first."""
        return sorted(self.about["label"].unique(), key=lambda label: (label != self.background, label))

    @cached_property
    def names(self) -> tuple[str, str]:
        """Names of background and target in messages."""
        return str(self.background), str(self.labels[-1]) if len(self.labels) == 2 else "all others"

    @cached_property
    def is_target(self) -> npt.NDArray[np.bool_]:
        """Mask of the samples that are not background."""
        return np.asarray(self.about["label"] != self.background, dtype=bool)

    @cached_property
    def sides(self) -> "pd.Series[Any]":
        """Side of each sample ("train" or "test") in a split that has both; else missing."""
        sides = self.about["split"].astype(object).map(lambda part: SIDES.get(str(part).lower()))
        return sides if {"train", "test"} <= set(sides) else sides.map(lambda _: None)

    @property
    def kind(self) -> str:
        """Kind of the samples: "row" of a table, "volume" or "image"."""
        if self.quality_metrics is None or not {"width", "grid"}.intersection(self.quality_metrics):
            return "row"
        return "volume" if "grid" in self.quality_metrics else "image"

    @property
    def attributes(self) -> list[str]:
        """Names of the attributes."""
        return [str(name) for name in self.about.columns if name not in OF_EVERY_SAMPLE]

    def values(self, name: str, kind: str) -> "pd.Series[Any]":
        """Return an attribute as text if categorical, else as floats; missing values stay missing."""
        values = self.about[name]
        if kind == "categorical":
            return values.astype(object).where(values.notna()).map(str, na_action="ignore")
        return pd.to_numeric(values, errors="coerce").astype(float)

    def ids(self, rows: Any) -> tuple[str, ...]:
        """Return the ids of some samples, given by a mask or by indices."""
        return tuple(self.about["id"].to_numpy()[np.asarray(rows)].astype(str))


def read_samples(
    about: pd.DataFrame,
    quality_metrics: pd.DataFrame | None,
    background: Any,
    features: pd.DataFrame | None = None,
    grouped: bool | None = None,
) -> Samples:
    """Validate the tables of `inspect` and return the labelled samples; guess a background of None."""
    if missing := [name for name in OF_EVERY_SAMPLE if name not in about]:
        raise DataError(f"about: wanted columns {', '.join(OF_EVERY_SAMPLE)}, {missing[0]} not found")
    for name, table in (("quality_metrics", quality_metrics), ("features", features)):
        if table is not None and len(table) != len(about):
            raise DataError(f"{name}: wanted a row for each of {len(about)} samples, got {len(table)}")
    labelled = about["label"].notna().to_numpy()
    if not labelled.any():
        raise DataError("label: no sample has one; name the column that tells background from target")
    about = about[labelled].reset_index(drop=True)
    found = about["label"].unique()
    if background is None:
        background = guess_background(found.tolist()).background
    elif background not in found:
        raise DataError(f"background: wanted one of {', '.join(map(str, found))}, got {background!r}")
    quality_metrics, features = (
        None if table is None else table[labelled].reset_index(drop=True)
        for table in (quality_metrics, features)
    )
    if grouped is None:
        grouped = bool((about["group"].astype(str) != about["id"].astype(str)).any())
    return Samples(about, quality_metrics, background, features, grouped)


def count(n: int, noun: str) -> str:
    """
    Return a number with its noun, in the plural unless it is 1.

    >>> count(1, "image"), count(2, "pair")
    ('1 image', '2 pairs')
    """
    return f"{n} {noun}{'s' * (n != 1)}"


def listed(names: Sequence[object], most: int = 3) -> str:
    """
    Return the first names as text, with the number of further ones.

    >>> listed(["a", "b", "c", "d", "e"])
    'a, b, c and 2 more'
    """
    shown = ", ".join(map(str, names[:most]))
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
