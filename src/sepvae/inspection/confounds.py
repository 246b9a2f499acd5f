"""Confounds: differences between background and target other than the label, and what goes with severity."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import chi2_contingency, kruskal, mannwhitneyu, random_table, spearmanr

from sepvae.batch import AnyArray, FloatArray
from sepvae.inspection.findings import Finding, Samples

ALPHA = 0.05  # level of p-values, corrected by Holm over all tests of the inspection
# Distance of the AUC from 0.5, and Cramer's V of two equally frequent classes at that AUC.
MODERATE_AUC, MODERATE_V = 0.1, 0.2
STRONG = 3  # times a moderate effect: AUC 0.8 or 0.2, V 0.6
MIN_KNOWN = 3  # a comparison needs this number of groups with a value per label
MAX_SHARE_OF_VALUES = 0.5  # an attribute with more classes than this share of the groups holds names
MODERATE_RHO = 0.3  # of Spearman's rho and of eta, from which a variable goes with the severity
N_TABLES = 9999  # random tables for a p-value if counts are too small for the chi-square distribution

# Possible causes of a difference in a statistic of images or volumes.
CAUSES = {
    "aspect": "images of one label have another shape",
    "side": "images of one label have more pixels",
    "mode": "images of one label were saved in another way",
    "brightness": "exposure or windowing may differ",
    "contrast": "exposure or windowing may differ",
    "sharpness": "scanner, resizing or compression may differ",
    "anisotropy": "images of one label may have been squashed, or show more detail along an axis",
    "mean intensity": "scanner, processing or the amount of tissue may differ",
    "sd of intensity": "scanner, processing or the amount of tissue may differ",
    "orientation": "volumes of one label came another way",
    "dtype": "volumes of one label were saved in another way",
    "voxels": "volumes of one label have another grid",
}


class NumbersEffect(NamedTuple):
    """Comparison of numbers between background and target; pairs are in this order."""

    means: tuple[float, float]
    sds: tuple[float, float]
    d: float  # Cohen's d, target minus background, infinite if only the means differ
    auc: float  # probability that a random target has the greater number, with ties as half
    p: float  # of the two-sided Mann-Whitney U test


class ClassesEffect(NamedTuple):
    """Comparison of classes between background and target."""

    cramers_v: float  # with both labels taken as equally frequent, and corrected for bias
    p: float  # of the chi-square test, or of random tables if an expected count is below 5
    value: object  # class whose share differs most
    shares: tuple[float, float]  # of that class among background and target


class VariableTest(NamedTuple):
    """Test of one variable against the label."""

    row: dict[str, Any]  # of the table of confounds
    strength: float  # effect in units of a moderate one
    verb: str
    differs: str  # part of the message, with the effect


def confounds(samples: Samples, kinds: Mapping[str, str]) -> tuple[list[Finding], pd.DataFrame]:
    """
    Compare background and target in each attribute, its missing values, and statistics of images or volumes.

    A group (patient) counts once: by the mean of its numbers, or by its most frequent class. Findings are
    sorted by effect, the strongest first, then attributes of only one label.
    """
    tests: list[VariableTest] = []
    for name, of, kind, values in _variables(samples, kinds):
        tests += _test(samples, name, of, kind, values)
        known = values.notna()
        if of == "attribute" and all(known[samples.is_target == side].any() for side in (True, False)):
            is_known = known.map({True: "known", False: "missing"})
            tests += _test(samples, name, "missing", "categorical", is_known)
    corrected = holm([test.row["p"] for test in tests])
    findings = [
        confound_finding(test, float(p))
        for test, p in sorted(zip(tests, corrected, strict=True), key=lambda pair: -pair[0].strength)
        if test.strength >= 1 and p < ALPHA
    ]
    columns = ["variable", "of", "kind", "n_background", "n_target", "d", "auc", "cramers_v", "p"]
    table = pd.DataFrame([test.row for test in tests], columns=columns).assign(p_corrected=corrected)
    return findings + list(_of_one_label(samples)), table


def describe_attributes(samples: Samples, kinds: Mapping[str, str]) -> pd.DataFrame:
    """Describe each attribute per label: one row if continuous, else one row per class."""
    rows: list[dict[str, Any]] = []
    for name in samples.attributes:
        values = samples.values(name, kinds[name])
        for label in samples.labels:
            mine = values[(samples.about["label"] == label).to_numpy()]
            row = {"attribute": name, "kind": kinds[name], "label": label, "missing": int(mine.isna().sum())}
            if kinds[name] == "continuous":
                amounts = {"mean": mine.mean(), "sd": mine.std(), "min": mine.min(), "max": mine.max()}
                rows.append(row | {"n": int(mine.count())} | amounts)
            else:
                counts = mine.value_counts().sort_index()
                rows += [row | {"value": value, "n": int(n)} for value, n in counts.items()]
    columns = ["attribute", "kind", "label", "value", "n", "mean", "sd", "min", "max", "missing"]
    return pd.DataFrame(rows, columns=columns)


def _variables(
    samples: Samples, kinds: Mapping[str, str]
) -> "Iterator[tuple[str, str, str, pd.Series[Any]]]":
    """Yield name, origin (attribute, image or volume), kind and values of what may be a confound."""
    for name in samples.attributes:
        yield name, "attribute", kinds[name], samples.values(name, kinds[name])
    metrics = samples.quality_metrics
    if metrics is None or samples.kind == "sample":
        return
    if samples.kind == "volume":
        axes = metrics["grid"].map(lambda grid: grid.axes, na_action="ignore")
        metrics = metrics.assign(orientation=axes, voxels=metrics["grid"].map(str, na_action="ignore"))
    numbers, classes = quality_numbers(metrics), ["orientation", "voxels", "dtype"]
    yield from ((str(name), samples.kind, "continuous", values) for name, values in numbers.items())
    for name in classes if samples.kind == "volume" else ["mode"]:
        yield name, samples.kind, "categorical", metrics[name]


def quality_numbers(metrics: pd.DataFrame) -> pd.DataFrame:
    """Return the numbers among the quality metrics of images or volumes that may be confounds."""
    if "grid" in metrics:
        named = {"mean": "mean intensity", "sd": "sd of intensity"}  # attributes may be called mean
        return metrics[[*named]].astype(float).rename(columns=named)
    if "width" not in metrics:
        return metrics[[]]
    width, height = metrics["width"].astype(float), metrics["height"].astype(float)
    of_size = pd.DataFrame({"aspect": width / height, "side": (width * height) ** 0.5})
    return of_size.join(metrics[["brightness", "contrast", "sharpness", "anisotropy"]].astype(float))


def _by_group(samples: Samples, kind: str, values: "pd.Series[Any]") -> pd.DataFrame:
    """Return target, group and value of the groups that have a value, once each."""
    columns = {"target": samples.is_target, "group": samples.about["group"], "value": values.to_numpy()}
    known = pd.DataFrame(columns).dropna()
    if kind == "continuous":
        return known.groupby(["target", "group"])["value"].mean().reset_index()
    # The most frequent class of each group; a tie takes the first in order.
    counts = known.value_counts(["target", "group", "value"]).rename("n").reset_index()
    counts = counts.sort_values(["n", "value"], ascending=[False, True])
    return counts.drop_duplicates(["target", "group"])


def _test(
    samples: Samples, name: str, of: str, kind: str, values: "pd.Series[Any]"
) -> Iterator[VariableTest]:
    """Yield the test of a variable that varies, and that enough groups of both sides have."""
    once = _by_group(samples, kind, values)
    of_target = once["target"].to_numpy(dtype=bool)
    sides = once["value"].to_numpy()[~of_target], once["value"].to_numpy()[of_target]
    varies = values.nunique() >= 2
    if kind == "categorical":
        varies = 2 <= once["value"].nunique() <= max(10, MAX_SHARE_OF_VALUES * len(once))
    if min(map(len, sides)) < MIN_KNOWN or not varies:
        return
    row = {"variable": name, "of": of, "kind": kind, "n_background": len(sides[0]), "n_target": len(sides[1])}
    a, b = samples.names
    if kind == "continuous":
        found = compare_numbers(*sides)
        (mean_a, mean_b), (sd_a, sd_b) = found.means, found.sds
        least = min((sd for sd in found.sds if sd > 0), default=1)
        digits = int(np.clip(1 - np.floor(np.log10(least)), 0, 6))  # two digits of the smaller deviation
        differs = (
            f"between {a} and {b}: {mean_a:.{digits}f} ± {sd_a:.{digits}f} against {mean_b:.{digits}f} ± "
            f"{sd_b:.{digits}f} (d = {found.d:.1f}, AUC {found.auc:.2f})"
        )
        row |= {"d": found.d, "auc": found.auc, "p": found.p}
        yield VariableTest(row, abs(found.auc - 0.5) / MODERATE_AUC + 1e-9, "differs", differs)
    else:
        effect = compare_classes(*sides)
        shares = f"{effect.value} is {effect.shares[0]:.0%} of {a}, {effect.shares[1]:.0%} of {b}"
        differs = f"with the label (Cramer's V {effect.cramers_v:.2f}): {shares}"
        row |= {"cramers_v": effect.cramers_v, "p": effect.p}
        yield VariableTest(row, effect.cramers_v / MODERATE_V + 1e-9, "goes", differs)


def confound_finding(test: VariableTest, p_corrected: float) -> Finding:
    """Return the warning on a variable that differs between the labels."""
    name, of = test.row["variable"], test.row["of"]
    said = f"{test.verb}{' strongly' * (test.strength >= STRONG)} {test.differs}"
    numbers = {key: test.row[key] for key in ("d", "auc", "cramers_v", "p") if key in test.row}
    if of == "attribute":
        advice = f"what the salient space shows may be {name}; match the labels by it, and see its scores"
        code, message = "confound", f"{name} {said}: {advice}"
    elif of == "missing":
        consequence = "scores of it are of those who have it; see why it is missing"
        code, message = "missing-by-label", f"whether {name} is known {said}: {consequence}"
    else:
        cause = f"{CAUSES[name]}, and the salient space may show it"
        code, message = f"{of}-confound", f"{of} {name} {said}: {cause}"
    return Finding("warning", code, message, numbers=numbers | {"p_corrected": p_corrected})


def _of_one_label(samples: Samples) -> Iterator[Finding]:
    """Yield a finding for each attribute of one label; if it is the background, labels may be inverted."""
    background, target = samples.names
    for name in samples.attributes:
        known = samples.about[name].notna().to_numpy()
        if not known[samples.is_target].any() and known.any():
            other = f" {target}" * (len(samples.labels) == 2)
            message = (
                f"{name} is known of {background} only, the background: clinical scores are known of "
                "patients, so the labels are probably inverted; name the label of the controls "
                f"(--background{other}), or leave {name} out"
            )
            numbers = pd.to_numeric(samples.about[name].dropna(), errors="coerce").notna().all()
            yield Finding("error" if numbers else "warning", "attribute-of-background", message)
        elif known.any() and not known[~samples.is_target].any():
            message = f"{name} is known of {target} only: it is scored among them alone"
            yield Finding("note", "attribute-of-one-label", message)


def severity_findings(
    samples: Samples, name: str, kinds: Mapping[str, str]
) -> tuple[list[Finding], pd.DataFrame]:
    """Describe the severity of targets, and compare it with each other variable among them, once a group."""
    severity = samples.values(name, "continuous").where(samples.is_target)
    known = severity.dropna()
    rows = [] if known.empty else list(_severity_tests(samples, name, severity, kinds))
    table = pd.DataFrame(rows, columns=["variable", "of", "kind", "n", "spearman", "eta", "p"])
    table["p_corrected"] = holm([row["p"] for row in rows])
    if known.empty:
        return [], table
    n, about = int(samples.is_target.sum()), f"{known.min():g} to {known.max():g}, mean {known.mean():.3g}"
    message = f"severity of targets ({name}): known of {len(known)} of {n}, {about}, sd {known.std():.3g}"
    numbers = {"known": len(known), "targets": n, "min": known.min(), "max": known.max()}
    findings = [Finding("note", "severity", message, numbers=numbers)]
    strength = table["spearman"].abs().fillna(table["eta"])
    named = strength[(strength >= MODERATE_RHO) & (table["p_corrected"] < ALPHA)]
    for row in table.loc[named.sort_values(ascending=False).index].to_dict("records"):
        measure = "Spearman" if row["kind"] == "continuous" else "eta"
        effect = row[measure.lower()]
        what, cause = row["variable"], ""
        if row["of"] != "attribute":
            what, cause = f"{row['of']} {what}", f"; {CAUSES[what]}"
        advice = f"what the salient space shows of {name} may be {row['variable']}{cause}"
        message = f"{name} goes with {what} among targets ({measure} {effect:.2f}): {advice}"
        numbers = {measure.lower(): effect, "p": row["p"], "p_corrected": row["p_corrected"]}
        findings.append(Finding("warning", "severity-confound", message, numbers=numbers))
    return findings, table


def _severity_tests(
    samples: Samples, name: str, severity: "pd.Series[float]", kinds: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """Yield one row per variable that enough groups of the targets have, beside a severity."""
    for variable, of, kind, values in _variables(samples, kinds):
        if variable == name and of == "attribute":
            continue
        both = severity.notna().to_numpy() & values.notna().to_numpy()
        table = _by_group(samples, "continuous", severity.where(both)).rename(columns={"value": "severity"})
        table = table.merge(_by_group(samples, kind, values.where(both))[["group", "value"]], on="group")
        row = {"variable": variable, "of": of, "kind": kind, "n": len(table)}
        if kind == "continuous":
            if len(table) >= MIN_KNOWN and (table[["severity", "value"]].std() > 0).all():
                test = spearmanr(table["severity"], table["value"])
                yield row | {"spearman": float(test.statistic), "p": float(test.pvalue)}
            continue
        several = table.groupby("value")["severity"].filter(lambda part: len(part) > 1)
        classes = [part for _, part in several.groupby(table["value"])]
        if len(classes) > 1 and table["severity"].std() > 0:
            test, n = kruskal(*classes), len(several)
            # Corrected for the number of classes.
            explained = max(0.0, (float(test.statistic) - len(classes) + 1) / (n - len(classes)))
            yield row | {"n": n, "eta": float(np.sqrt(explained)), "p": float(test.pvalue)}


def compare_numbers(background: AnyArray, target: AnyArray) -> NumbersEffect:
    """Compare finite numbers of background and target, two or more each, of shape (n,)."""
    sides = np.asarray(background, dtype=float), np.asarray(target, dtype=float)
    means, sds = (tuple(float(f(x)) for x in sides) for f in (np.mean, lambda x: np.std(x, ddof=1)))
    n = [len(x) for x in sides]
    pooled = np.sqrt(sum((k - 1) * s**2 for k, s in zip(n, sds, strict=True)) / (sum(n) - 2))
    difference = means[1] - means[0]
    d = difference / pooled if pooled else np.copysign(np.inf, difference) if difference else 0.0
    test = mannwhitneyu(sides[1], sides[0])
    p = float(test.pvalue) if np.isfinite(test.pvalue) else 1.0  # all numbers are the same
    auc = float(test.statistic) / n[0] / n[1]
    return NumbersEffect((means[0], means[1]), (sds[0], sds[1]), float(d), auc, p)


def compare_classes(background: AnyArray, target: AnyArray) -> ClassesEffect:
    """Compare classes of both, of shape (n,); the bias of Cramer's V is corrected as by Bergsma (2013)."""
    code, values = pd.factorize(np.concatenate([background, target]), sort=False)
    n = len(background), len(target)
    table = np.stack([np.bincount(part, minlength=len(values)) for part in (code[: n[0]], code[n[0] :])])
    shares = table / table.sum(axis=1, keepdims=True)
    phi2 = float((np.diff(shares, axis=0)[0] ** 2 / (2 * shares.sum(axis=0))).sum())
    size = 4 / (1 / n[0] + 1 / n[1])  # equivalent number of samples with equally frequent labels
    unbiased = max(0.0, phi2 - (len(values) - 1) / (size - 1))
    v = min(1.0, float(np.sqrt(unbiased / (1 - 1 / (size - 1)))))
    most = int(np.abs(np.diff(shares, axis=0)[0]).argmax())
    of_most = float(shares[0, most]), float(shares[1, most])
    test = chi2_contingency(table, correction=False)
    p, expected = float(test.pvalue), test.expected_freq
    if expected.min() < 5:
        drawn = random_table(table.sum(axis=1), table.sum(axis=0)).rvs(N_TABLES, random_state=0)
        chi2 = ((drawn - expected) ** 2 / expected).sum(axis=(1, 2))
        p = float((np.sum(chi2 >= test.statistic - 1e-9) + 1) / (N_TABLES + 1))
    return ClassesEffect(v, p, values[most], of_most)


def holm(p: Sequence[float]) -> FloatArray:
    """Return p-values of shape (tests,), corrected for their number by Holm's method."""
    values = np.asarray(p, dtype=float)
    order = np.argsort(values, kind="stable")
    raised = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1)).clip(max=1)
    corrected = np.empty_like(values)
    corrected[order] = raised
    return corrected
