"""What an inspection leaves: findings and tables."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd

Level = Literal["error", "warning", "note"]
LEVELS: tuple[Level, ...] = ("error", "warning", "note")


@dataclass(frozen=True)
class Finding:  # numpydoc ignore=PR02
    """
    One thing that was found.

    Parameters
    ----------
    level : {"error", "warning", "note"}
        It spoils a fit; it may mislead whoever reads the result; it is good to know.
    code : str
        Its name for programs, such as "duplicates-across-labels".
    message : str
        One sentence: what, how much, what to do.
    examples : tuple of str, default=()
        Ids of all samples (or groups) that it is about.
    numbers : dict, default={}
        The numbers of the message, by name.
    """

    level: Level
    code: str
    message: str
    examples: tuple[str, ...] = ()
    numbers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Inspection:  # numpydoc ignore=PR02
    """
    All that was found, and the tables behind it.

    Parameters
    ----------
    findings : tuple of Finding
        Errors first, then warnings, then notes.
    tables : dict of str to DataFrame
        Counts (label, split, samples, groups); attributes (for each attribute and label: amounts with n,
        mean, sd, min, max, missing; classes with n of each value); confounds (each attribute and statistic
        of images or volumes against the label: d, auc or cramers_v, p, p_corrected, counts); duplicates (set,
        kind, id, label, group, split). Of images: sizes (width, height, aspect, images), modes (mode,
        images), images (statistic, label, n, mean, sd, min, max). Of volumes: grids (grid, a number; shape;
        voxel_size and origin, in mm; orientation of the files; volumes; example), volumes (as images). Of
        tables of measures: features (feature, missing, median, min, max, constant, far_out).
    """

    findings: tuple[Finding, ...]
    tables: Mapping[str, pd.DataFrame]

    @property
    def spoils(self) -> bool:  # numpydoc ignore=RT01
        """Whether any finding would spoil a fit."""
        return any(finding.level == "error" for finding in self.findings)

    def on_one_grid(self) -> "Inspection":
        """
        Leave out that volumes lie on several grids, for a fit that resamples them.

        Returns
        -------
        Inspection
            All else.
        """
        others = tuple(finding for finding in self.findings if finding.code != "several-grids")
        return Inspection(others, self.tables)

    def to_dict(self) -> dict[str, Any]:
        """
        Give all of it as JSON knows it.

        Returns
        -------
        dict
            `spoils`, `findings` (a list of level, code, message, examples, numbers) and each table by its
            name, as a list of rows. What is missing or infinite is None.
        """
        findings = [
            {
                "level": finding.level,
                "code": finding.code,
                "message": finding.message,
                "examples": list(finding.examples),
                "numbers": {name: _plain(number) for name, number in finding.numbers.items()},
            }
            for finding in self.findings
        ]
        tables = {
            name: [{str(key): _plain(cell) for key, cell in row.items()} for row in table.to_dict("records")]
            for name, table in self.tables.items()
        }
        return {"spoils": self.spoils, "findings": findings, **tables}


def _plain(value: Any) -> Any:
    """A value of numpy or pandas as one of Python; None for what JSON has no word for."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or value is pd.NaT or value is pd.NA:
        return None
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value if isinstance(value, bool | int | str) else str(value)
