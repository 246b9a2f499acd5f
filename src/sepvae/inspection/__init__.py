"""Checks of data before a fit: sample sizes, duplicates, confounds, groups on both sides of a split."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import pandas as pd

from sepvae.checks import check_number
from sepvae.errors import count
from sepvae.inspection.confounds import confounds, describe_attributes, severity_findings
from sepvae.inspection.duplicates import duplicates
from sepvae.inspection.findings import LEVELS, Finding, Inspection, read_samples
from sepvae.inspection.images import inspect_images, unreadable_finding
from sepvae.inspection.sample_sizes import (
    background_findings,
    count_samples,
    group_findings,
    label_findings,
    size_findings,
)
from sepvae.inspection.tables import missing_value_findings, region_findings, region_table

__all__ = ["Finding", "Inspection", "inspect"]


def inspect(
    about: pd.DataFrame,
    quality_metrics: pd.DataFrame | None = None,
    *,
    features: pd.DataFrame | None = None,
    kinds: Mapping[str, str] | None = None,
    background: Any = None,
    unreadable: Mapping[str, str] | None = None,
    test_size: float = 0.2,
    validation_fraction: float = 0.1,
    batch_size: int | Literal["auto"] = "auto",
    problems: Sequence[Finding] = (),
    not_missing: Sequence[str] = (),
    grouped: bool | None = None,
    severity: str | None = None,
) -> Inspection:
    """
    Find problems in data that would spoil a fit, or mislead readers of its result.

    Parameters
    ----------
    about : DataFrame of n rows
        Columns id, group (the patient; the id if unknown), label, split (the name of a part, such as "train"
        or "test", or missing), then attributes.
    quality_metrics : DataFrame of n rows or None, default=None
        Statistics of each image or volume, by `sepvae.data.quality_metrics`; without, they are not checked.
    features : DataFrame of n rows or None, default=None
        Features of a table, such as those of brain regions, with NaN for missing values.
    kinds : dict, default=None
        "categorical" or "continuous" by attribute. Attributes not named are continuous if they are floats.
    background : label or None, default=None
        Label of the background, compared with all others. None takes the label that is a word for controls,
        else the first in order; labels that are numbers or booleans need it.
    unreadable : dict of str to str, default=None
        Reason why a file cannot be read, by id.
    test_size : float, default=0.2
        Share of the groups for the test, if no split is given.
    validation_fraction : float, default=0.1
        Share of the remaining groups for validation.
    batch_size : int or "auto", default="auto"
        Samples per batch; "auto" suits any number of samples.
    problems : sequence of Finding, default=()
        Findings from reading the data, to include in the result.
    not_missing : sequence of str, default=()
        Words and numbers that are values, although they look like a missing one ("NA", "-9999").
    grouped : bool or None, default=None
        Whether the data name the patients; None if they do where any group differs from its id.
    severity : str or None, default=None
        Attribute that is the severity of targets: its range is noted, and what goes with it among them.

    Returns
    -------
    Inspection
        Findings and tables.

    Raises
    ------
    DataError
        If a column is missing, no sample has a label, or none has the label of the background.

    Examples
    --------
    >>> about = pd.DataFrame({"id": range(60), "label": ["ill", "well"] * 30, "split": None})
    >>> about = about.assign(group=about["id"], age=[61.0, 45.0] * 30)
    >>> [finding.code for finding in inspect(about).findings]
    ['weak-test', 'confound', 'no-groups']
    """
    check_number("test_size", test_size, above=0, below=1)
    check_number("validation_fraction", validation_fraction, least=0, below=1)
    samples = read_samples(about, quality_metrics, background, features, grouped)
    of_kind = {name: (kinds or {}).get(name) or _guess(samples.about[name]) for name in samples.attributes}
    findings = [*problems, *unreadable_finding(unreadable or {}, samples.kind), *_without_label(about)]
    findings += [*label_findings(samples), *group_findings(samples)]
    findings += background_findings(samples) if background is None else []
    findings += missing_value_findings(samples, of_kind, not_missing)
    tables = {"counts": count_samples(samples), "attributes": describe_attributes(samples, of_kind)}
    if several_labels := len(samples.labels) > 1:
        findings += size_findings(samples, of_kind, test_size, validation_fraction, batch_size)
    if (features := samples.features) is not None:
        findings += region_findings(samples, features)
        tables["features"] = region_table(features)
    if (metrics := samples.quality_metrics) is not None:
        found, of_images = inspect_images(samples, metrics)
        copies, table = duplicates(samples, metrics)
        findings += found + copies
        tables |= of_images | {"duplicates": table}
    if several_labels:
        differing, tables["confounds"] = confounds(samples, of_kind)
        findings += differing
    if severity is not None:
        found, tables["severity"] = severity_findings(samples, severity, of_kind)
        findings += found
    return Inspection(tuple(sorted(findings, key=lambda finding: LEVELS.index(finding.level))), tables)


def _guess(values: "pd.Series[Any]") -> str:
    return "continuous" if pd.api.types.is_float_dtype(values) else "categorical"


def _without_label(about: pd.DataFrame) -> Iterator[Finding]:
    if ids := tuple(about.loc[about["label"].isna(), "id"].astype(str)):
        message = f"{count(len(ids), 'sample')} without a label: fill it in, or leave them out"
        yield Finding("error", "no-label", message, ids, {"samples": len(ids)})
