"""Severity of targets: its range, and what goes with it among targets, which a fit may take for it."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import kruskal, spearmanr

from sepvae.inspection.confounds import ALPHA, CAUSES, MIN_KNOWN, holm, image_variables
from sepvae.inspection.findings import Finding, Samples

MODERATE = 0.3  # of Spearman's rho and of eta, from which a variable is named
COLUMNS = ["variable", "of", "kind", "n", "spearman", "eta", "p"]


def severity_findings(
    samples: Samples, name: str, kinds: Mapping[str, str]
) -> tuple[list[Finding], pd.DataFrame]:
    """
    Describe the severity of targets, and compare it with every other variable among them.

    A group (patient) counts once, by means of numbers and by its most frequent class.
    """
    severity = samples.values(name, "continuous")[samples.is_target]
    known = severity.dropna()
    if known.empty:
        return [], pd.DataFrame(columns=[*COLUMNS, "p_corrected"])
    about = f"{known.min():g} to {known.max():g}, mean {known.mean():.3g}, sd {known.std():.3g}"
    message = f"severity of targets ({name}): known of {len(known)} of {len(severity)}, {about}"
    numbers = {"known": len(known), "targets": len(severity), "min": known.min(), "max": known.max()}
    findings = [Finding("note", "severity", message, numbers=numbers)]
    rows = list(_tests(samples, name, kinds))
    table = pd.DataFrame(rows, columns=COLUMNS)
    table["p_corrected"] = holm([row["p"] for row in rows])
    strength = table["spearman"].abs().fillna(table["eta"])
    named = table[(strength >= MODERATE) & (table["p_corrected"] < ALPHA)]
    first = strength[named.index].sort_values(ascending=False).index
    findings += [_finding(name, row) for row in table.loc[first].to_dict("records")]
    return findings, table


def _finding(name: str, row: Mapping[Any, Any]) -> Finding:
    """Return the warning on a variable that goes with the severity."""
    measure = "Spearman" if row["kind"] == "continuous" else "eta"
    effect = row["spearman" if row["kind"] == "continuous" else "eta"]
    what = row["variable"] if row["of"] == "attribute" else f"{row['of']} {row['variable']}"
    cause = "" if row["of"] == "attribute" else f"; {CAUSES[row['variable']]}"
    advice = f"what the salient space shows of {name} may be {row['variable']}{cause}"
    message = f"{name} goes with {what} among targets ({measure} {effect:.2f}): {advice}"
    numbers = {measure.lower(): effect, "p": row["p"], "p_corrected": row["p_corrected"]}
    return Finding("warning", "severity-confound", message, numbers=numbers)


def _tests(samples: Samples, name: str, kinds: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Yield one row per variable that two groups or more of the targets have."""
    severity = samples.values(name, "continuous")
    variables = [
        (other, "attribute", kinds[other], samples.values(other, kinds[other]))
        for other in samples.attributes
        if other != name
    ]
    variables += [(other, samples.kind, kind, values) for other, kind, values in image_variables(samples)]
    for variable, of, kind, values in variables:
        columns = {
            "group": samples.about["group"],
            "severity": severity.to_numpy(),
            "value": values.to_numpy(),
        }
        known = pd.DataFrame(columns)[samples.is_target].dropna().groupby("group")
        row = {"variable": variable, "of": of, "kind": kind}
        if kind == "continuous":
            means = known[["severity", "value"]].mean()
            if len(means) >= MIN_KNOWN and (means.std() > 0).all():
                test = spearmanr(means["severity"], means["value"])
                yield row | {"n": len(means), "spearman": float(test.statistic), "p": float(test.pvalue)}
            continue
        once = pd.DataFrame(
            {"severity": known["severity"].mean(), "value": known["value"].agg(_most_frequent)}
        )
        sizes = once["value"].value_counts()
        parts = [
            part["severity"] for _, part in once[once["value"].isin(sizes[sizes > 1].index)].groupby("value")
        ]
        if len(parts) > 1 and once["severity"].std() > 0:
            yield row | _of_classes(parts)


def _of_classes(parts: "list[pd.Series[float]]") -> dict[str, Any]:
    """Return number, eta and p of a Kruskal-Wallis test; eta is corrected for the number of classes."""
    test, n = kruskal(*parts), sum(map(len, parts))
    explained = max(0.0, (float(test.statistic) - len(parts) + 1) / (n - len(parts)))
    return {"n": n, "eta": float(np.sqrt(explained)), "p": float(test.pvalue)}


def _most_frequent(values: "pd.Series[Any]") -> Any:
    return values.mode().iloc[0]
