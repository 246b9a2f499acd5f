"""Confounds: differences between background and target other than the meaning of the labels."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import chi2_contingency, mannwhitneyu, random_table

from sepvae.batch import AnyArray, FloatArray
from sepvae.inspection.findings import Finding, Samples

ALPHA = 0.05  # level of p-values, corrected by Holm over all tests of the inspection
# Distance of the AUC from 0.5, and Cramer's V of two equally frequent classes at that AUC.
MODERATE_AUC, MODERATE_V = 0.1, 0.2
STRONG = 3  # times a moderate effect: AUC 0.8 or 0.2, V 0.6
MIN_KNOWN = 3  # a comparison needs this number of groups with a value per label
MAX_SHARE_OF_VALUES = 0.5  # an attribute with more classes than this share of the groups holds names
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
    "mean": "scanner, processing or the amount of tissue may differ",
    "sd": "scanner, processing or the amount of tissue may differ",
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


@dataclass(frozen=True)
class VariableTest:
    """Test of one variable against the label."""

    variable: str
    of: str  # "attribute", "image", "volume", or "missing"
    strength: float  # effect in units of a moderate one
    verb: str
    differs: str  # part of the message, with the effect
    row: dict[str, Any]


def confounds(samples: Samples, kinds: Mapping[str, str]) -> tuple[list[Finding], pd.DataFrame]:
    """
    Compare background and target in each attribute, its missing values, and statistics of images or volumes.

    A group (patient) counts once: by the mean of its numbers, or by its most frequent class. Findings are
    sorted by effect, the strongest first, then attributes of only one label.
    """
    tests = [*_attribute_tests(samples, kinds), *_image_tests(samples)]
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


def _attribute_tests(samples: Samples, kinds: Mapping[str, str]) -> Iterator[VariableTest]:
    for name in samples.attributes:
        values = samples.values(name, kinds[name])
        test = _test_numbers if kinds[name] == "continuous" else _test_classes
        yield from test(samples, name, "attribute", values)
        known = values.notna()
        if all(known[samples.is_target == side].any() for side in (True, False)):
            yield from _test_classes(samples, name, "missing", known.map({True: "known", False: "missing"}))


def _image_tests(samples: Samples) -> Iterator[VariableTest]:
    for name, kind, values in image_variables(samples):
        test = _test_numbers if kind == "continuous" else _test_classes
        yield from test(samples, name, samples.kind, values)


def image_variables(samples: Samples) -> "Iterator[tuple[str, str, pd.Series[Any]]]":
    """Yield name, kind and values of each statistic of images or volumes that may be a confound."""
    metrics = samples.quality_metrics
    if metrics is None or samples.kind == "sample":
        return
    if samples.kind == "volume":
        numbers = {name: metrics[name].astype(float) for name in ("mean", "sd")}
        orientation = metrics["grid"].map(lambda grid: grid.axes, na_action="ignore")
        voxels = metrics["grid"].map(str, na_action="ignore")
        classes = {"orientation": orientation, "voxels": voxels, "dtype": metrics["dtype"]}
    else:
        width, height = metrics["width"].astype(float), metrics["height"].astype(float)
        numbers = {"aspect": width / height, "side": (width * height) ** 0.5}
        for name in ("brightness", "contrast", "sharpness", "anisotropy"):
            numbers[name] = metrics[name].astype(float)
        classes = {"mode": metrics["mode"]}
    yield from ((name, "continuous", values) for name, values in numbers.items())
    yield from ((name, "categorical", values) for name, values in classes.items())


def _test_numbers(samples: Samples, name: str, of: str, values: "pd.Series[Any]") -> Iterator[VariableTest]:
    table = _known(samples, values)
    by_group = table.groupby(["target", "group"])["value"].mean()
    of_target = by_group.index.get_level_values("target").to_numpy(dtype=bool)
    sides = by_group.to_numpy()[~of_target], by_group.to_numpy()[of_target]
    if min(map(len, sides)) < MIN_KNOWN or table["value"].nunique() < 2:
        return
    effect = compare_numbers(*sides)
    (a, b), (mean_a, mean_b), (sd_a, sd_b) = samples.names, effect.means, effect.sds
    least = min((sd for sd in effect.sds if sd > 0), default=1)
    digits = int(np.clip(1 - np.floor(np.log10(least)), 0, 6))  # two digits of the smaller deviation
    differs = (
        f"between {a} and {b}: {mean_a:.{digits}f} ± {sd_a:.{digits}f} against {mean_b:.{digits}f} ± "
        f"{sd_b:.{digits}f} (d = {effect.d:.1f}, AUC {effect.auc:.2f})"
    )
    row = {"variable": name, "of": of, "kind": "continuous", "n_background": len(sides[0])}
    row |= {"n_target": len(sides[1]), "d": effect.d, "auc": effect.auc, "p": effect.p}
    yield VariableTest(name, of, abs(effect.auc - 0.5) / MODERATE_AUC + 1e-9, "differs", differs, row)


def _test_classes(samples: Samples, name: str, of: str, values: "pd.Series[Any]") -> Iterator[VariableTest]:
    table = _known(samples, values)
    # The most frequent class of each group; a tie takes the first in order.
    counts = table.value_counts(["target", "group", "value"]).rename("n").reset_index()
    counts = counts.sort_values(["n", "value"], ascending=[False, True])
    once = counts.drop_duplicates(["target", "group"])
    of_target, classes = once["target"].to_numpy(dtype=bool), once["value"].to_numpy()
    sides = classes[~of_target], classes[of_target]
    n_values = once["value"].nunique()
    if min(map(len, sides)) < MIN_KNOWN or not 2 <= n_values <= max(10, MAX_SHARE_OF_VALUES * len(once)):
        return
    effect = compare_classes(*sides)
    (a, b), (share_a, share_b) = samples.names, effect.shares
    differs = (
        f"with the label (Cramer's V {effect.cramers_v:.2f}): {effect.value} is {share_a:.0%} of {a}, "
        f"{share_b:.0%} of {b}"
    )
    row = {"variable": name, "of": of, "kind": "categorical", "n_background": len(sides[0])}
    row |= {"n_target": len(sides[1]), "cramers_v": effect.cramers_v, "p": effect.p}
    yield VariableTest(name, of, effect.cramers_v / MODERATE_V + 1e-9, "goes", differs, row)


def _known(samples: Samples, values: "pd.Series[Any]") -> pd.DataFrame:
    """Return group, side and value of the samples that have a value."""
    columns = {"group": samples.about["group"], "target": samples.is_target, "value": values.to_numpy()}
    return pd.DataFrame(columns).dropna()


def confound_finding(test: VariableTest, p_corrected: float) -> Finding:
    """Return the warning on a variable that differs between the labels."""
    said = f"{test.verb}{' strongly' * (test.strength >= STRONG)} {test.differs}"
    effects = {key: test.row[key] for key in ("d", "auc", "cramers_v") if key in test.row}
    numbers = effects | {"p": test.row["p"], "p_corrected": p_corrected}
    code = {"attribute": "confound", "missing": "missing-by-label"}.get(test.of, f"{test.of}-confound")
    if test.of == "attribute":
        advice = (
            f"what the salient space shows may be {test.variable}; match the labels by it, or score it too"
        )
        message = f"{test.variable} {said}: {advice}"
    elif test.of == "missing":
        consequence = "scores of it are of those who have it; see why it is missing"
        message = f"whether {test.variable} is known {said}: {consequence}"
    else:
        cause = f"{CAUSES[test.variable]}, and the salient space may show it"
        message = f"{test.of} {test.variable} {said}: {cause}"
    return Finding("warning", code, message, numbers=numbers)


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
