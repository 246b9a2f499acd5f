"""Section of the page on the severity of targets: what y was, and what rises with it."""

from typing import NamedTuple

import pandas as pd

from sepvae.codes import salient_length
from sepvae.report.contents import Contents, Picture, settings


class SeveritySection(NamedTuple):
    """Severity of targets, as the page shows it."""

    attribute: str
    maximum: str  # in training
    background: str
    n: int
    correlations: dict[str, float]  # Spearman's rho, by what is correlated
    figures: dict[str, Picture | None]
    mapped: bool  # whether there are maps by severity


def severity_section(contents: Contents) -> SeveritySection | None:
    """Return the section; None for a run that was not fitted by severity, or without codes."""
    known, codes = settings(contents.recipe), contents.codes
    attribute, maximum = known.get("keywords.severity"), known.get("severity.maximum")
    if codes is None or attribute not in codes:
        return None
    test = codes[(codes["split"] == "test") & codes[attribute].notna()]
    found = {"length of the salient code": _rho(test[attribute], salient_length(test))}
    if (maps := contents.folder.maps.samples.read()) is not None and "severity" in maps:
        found["mean absolute difference that it makes"] = _rho(maps["severity"], maps["mean_absolute"])
    return SeveritySection(
        str(attribute),
        f"{maximum:g}" if isinstance(maximum, int | float) else "its maximum",
        str(known.get("keywords.background")),
        len(test),
        found,
        {name: contents.figure(name) for name in ("severity", "map_severity")},
        contents.folder.maps.severity.exists(),
    )


def _rho(severity: "pd.Series[float]", values: "pd.Series[float]") -> float:
    return float(severity.astype(float).corr(values.astype(float), method="spearman"))
