"""Result of an inspection: findings and tables."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd

Level = Literal["error", "warning", "note"]
LEVELS: tuple[Level, ...] = ("error", "warning", "note")


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
        Counts (label, split, samples, groups); attributes (for each attribute and label: n, mean, sd, min,
        max and missing if continuous, n of each value if categorical); confounds (each attribute and
        statistic of images or volumes against the label: d, auc or cramers_v, p, p_corrected, counts);
        duplicates (set, kind, id, label, group, split). Of images: sizes (width, height, aspect, images),
        modes (mode, images), images (statistic, label, n, mean, sd, min, max). Of volumes: grids (grid, a
        number; shape; voxel_size and origin, in mm; orientation of the files; volumes; example), volumes (as
        images). Of table features: features (feature, missing, median, min, max, constant, far_out).
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
            `spoils`, `findings` (a list of level, code, message, examples, numbers) and each table by its
            name, as a list of rows. Missing and infinite values are None.
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
