"""Samples under inspection, and the findings and tables that are the result."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from sepvae.checks import guess_background
from sepvae.data.splits import side_of
from sepvae.errors import DataError, count

Level = Literal["error", "warning", "note"]
LEVELS: tuple[Level, ...] = ("error", "warning", "note")
OF_EVERY_SAMPLE = ("id", "group", "label", "split")


@dataclass(frozen=True)
class Finding:
    """
    One finding of an inspection.

    Parameters
    ----------
    level : {"error", "warning", "note"}
        An error spoils a fit; a warning may mislead readers of the result; a note is for information.
    code : str
        Name for programs, such as "duplicates-across-labels".
    message : str
        One sentence: what was found, how much, what to do.
    examples : tuple of str, default=()
        Ids of all samples (or names of groups, features or values) that it concerns.
    numbers : dict, default={}
        Numbers of the message, by name.
    """

    level: Level
    code: str
    message: str
    examples: tuple[str, ...] = ()
    numbers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Inspection:
    """
    All findings of an inspection, and the tables behind them.

    Parameters
    ----------
    findings : tuple of Finding
        Errors first, then warnings, then notes.
    tables : dict of str to DataFrame
        Counts (label, split, samples, groups); attributes (by attribute and label: n, mean, sd, min, max and
        missing, or n of each value); confounds (each attribute and statistic of images or volumes against the
        label: d, auc or cramers_v, p, p_corrected, counts); duplicates (set, kind, id, label, group, split).
        Of images: sizes (width, height, aspect, images), modes (mode, images), images (statistic, label, n,
        mean, sd, min, max). Of volumes: grids (grid, shape, voxel_size and origin in mm, orientation,
        volumes, example), volumes (as images). Of tables: features (feature, missing, median, min, max,
        constant, far_out). With a severity: severity (each other variable: spearman or eta among targets, p,
        p_corrected).
    """

    findings: tuple[Finding, ...]
    tables: Mapping[str, pd.DataFrame]

    @property
    def spoils(self) -> bool:
        """Whether any finding is an error, and would spoil a fit."""
        return any(finding.level == "error" for finding in self.findings)

    def on_one_grid(self) -> "Inspection":
        """
        Leave out the finding on several grids, for a fit that resamples volumes.

        Returns
        -------
        Inspection
            All other findings, with the same tables.
        """
        others = tuple(finding for finding in self.findings if finding.code != "several-grids")
        return Inspection(others, self.tables)

    def to_dict(self) -> dict[str, Any]:
        """
        Return all findings and tables as a dictionary for JSON.

        Returns
        -------
        dict
            `spoils`, `findings` (a list of dictionaries) and each table by its name, as a list of rows.
            Missing and infinite values are None.
        """
        findings = [
            vars(finding)
            | {"examples": list(finding.examples)}
            | {"numbers": {name: _plain(number) for name, number in finding.numbers.items()}}
            for finding in self.findings
        ]
        tables = {
            name: [{str(key): _plain(cell) for key, cell in row.items()} for row in table.to_dict("records")]
            for name, table in self.tables.items()
        }
        return {"spoils": self.spoils, "findings": findings, **tables}


def _plain(value: Any) -> Any:
    """Return a value of numpy or pandas as one of Python; None if missing or infinite."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or value is pd.NaT or value is pd.NA:
        return None
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value if isinstance(value, bool | int | str) else str(value)


@dataclass(frozen=True)
class Samples:
    """Labelled samples under inspection, with one row each in all tables."""

    about: pd.DataFrame  # id, group, label, split, then attributes
    quality_metrics: pd.DataFrame | None  # statistics of images or volumes, missing for unreadable files
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
        sides = self.about["split"].astype(object).map(side_of)
        return sides if {"train", "test"} <= set(sides) else sides.map(lambda _: None)

    @property
    def kind(self) -> Literal["sample", "image", "volume"]:
        """Noun for one of the samples; "sample" for rows of a table."""
        if self.quality_metrics is None or not {"width", "grid"}.intersection(self.quality_metrics):
            return "sample"
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

    def finding(
        self, level: Level, code: str, rows: Any, message: str, **numbers: float
    ) -> Iterator[Finding]:
        """Yield a finding on the samples in a mask, if any; the message begins with their number."""
        if n := int(np.sum(rows)):
            message = f"{count(n, self.kind)} {message}"
            yield Finding(level, code, message, self.ids(rows), {f"{self.kind}s": n} | numbers)


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
