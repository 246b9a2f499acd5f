"""Confounds: differences between background and target other than the meaning of the labels."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from sepvae.inspection.effects import compare_classes, compare_numbers, holm
from sepvae.inspection.record import Finding
from sepvae.inspection.samples import Samples

ALPHA = 0.05  # level of p-values, corrected by Holm over all tests of the inspection
# Distance of the AUC from 0.5, and Cramer's V of two equally frequent classes at that AUC.
MODERATE_AUC, MODERATE_V = 0.1, 0.2
STRONG = 3  # times a moderate effect: AUC 0.8 or 0.2, V 0.6
MIN_KNOWN = 3  # a comparison needs this number of groups with a value per label
MAX_SHARE_OF_VALUES = 0.5  # an attribute with more classes than this share of the groups holds names

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


@dataclass(frozen=True)
class VariableTest:
    """Test of one variable against the label."""

    variable: str
    of: str  # "attribute", "image", "volume", or "missing"
    strength: float  # effect in units of a moderate one
    verb: str
    differs: str  # part of the message, with the effect
    row: dict[str, Any] = field(default_factory=dict)


def confounds(samples: Samples, kinds: Mapping[str, str]) -> tuple[list[Finding], pd.DataFrame]:
    """
    Compare background and target in each attribute and in statistics of their images or volumes.

    A group (patient) counts once: by the mean of its numbers, or by its most frequent class. Whether an
    attribute is missing is tested too. Findings are sorted by effect, the strongest first, then attributes of
    only one label.
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
        if kinds[name] == "continuous":
            yield from _of_numbers(samples, name, "attribute", values)
        else:
            yield from _of_classes(samples, name, "attribute", values)
        known = values.notna()
        if all(known[samples.is_target == side].any() for side in (True, False)):
            as_text = known.map({True: "known", False: "missing"})
            yield from _of_classes(samples, name, "missing", as_text)


def _image_tests(samples: Samples) -> Iterator[VariableTest]:
    quality_metrics = samples.quality_metrics
    if quality_metrics is None or samples.kind == "row":
        return
    numbers: dict[str, pd.Series[Any]] = {}
    classes: dict[str, pd.Series[Any]] = {}
    if samples.kind == "volume":
        numbers = {name: quality_metrics[name].astype(float) for name in ("mean", "sd")}
        grid = quality_metrics["grid"]
        classes = {
            "orientation": grid.map(lambda grid: grid.axes, na_action="ignore"),
            "voxels": grid.map(str, na_action="ignore"),
            "dtype": quality_metrics["dtype"],
        }
    else:
        width, height = quality_metrics["width"].astype(float), quality_metrics["height"].astype(float)
        numbers = {"aspect": width / height, "side": (width * height) ** 0.5}
        for name in ("brightness", "contrast", "sharpness", "anisotropy"):
            numbers[name] = quality_metrics[name].astype(float)
        classes = {"mode": quality_metrics["mode"]}
    for name, values in numbers.items():
        yield from _of_numbers(samples, name, samples.kind, values)
    for name, values in classes.items():
        yield from _of_classes(samples, name, samples.kind, values)


def _of_numbers(samples: Samples, name: str, of: str, values: "pd.Series[Any]") -> Iterator[VariableTest]:
    table = _known(samples, values)
    by_group = table.groupby(["target", "group"])["value"].mean()
    of_target = by_group.index.get_level_values("target").to_numpy(dtype=bool)
    sides = by_group.to_numpy()[~of_target], by_group.to_numpy()[of_target]
    if min(map(len, sides)) < MIN_KNOWN or table["value"].nunique() < 2:
        return
    effect = compare_numbers(*sides)
    (a, b), (mean_a, mean_b), (sd_a, sd_b) = samples.names, effect.means, effect.sds
    digits = _digits(effect.sds)
    differs = (
        f"between {a} and {b}: {mean_a:.{digits}f} ± {sd_a:.{digits}f} against {mean_b:.{digits}f} ± "
        f"{sd_b:.{digits}f} (d = {effect.d:.1f}, AUC {effect.auc:.2f})"
    )
    row = {"variable": name, "of": of, "kind": "continuous", "n_background": len(sides[0])}
    row |= {"n_target": len(sides[1]), "d": effect.d, "auc": effect.auc, "p": effect.p}
    yield VariableTest(name, of, abs(effect.auc - 0.5) / MODERATE_AUC + 1e-9, "differs", differs, row)


def _of_classes(samples: Samples, name: str, of: str, values: "pd.Series[Any]") -> Iterator[VariableTest]:
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


def _digits(sds: tuple[float, float]) -> int:
    """Return the number of decimals that gives the smaller nonzero deviation two digits."""
    least = min((sd for sd in sds if sd > 0), default=1)
    return int(np.clip(1 - np.floor(np.log10(least)), 0, 6))


def confound_finding(test: VariableTest, p_corrected: float) -> Finding:
    """Return the warning on a variable that differs between the labels."""
    said = f"{test.verb}{' strongly' * (test.strength >= STRONG)} {test.differs}"
    effects = {key: test.row[key] for key in ("d", "auc", "cramers_v") if key in test.row}
    numbers = effects | {"p": test.row["p"], "p_corrected": p_corrected}
    if test.of == "attribute":
        message = (
            f"{test.variable} {said}: what the salient space shows may be {test.variable}; match the labels "
            "by it, or score it too"
        )
    elif test.of in ("image", "volume"):
        cause = CAUSES[test.variable]
        message = f"{test.of} {test.variable} {said}: {cause}, and the salient space may show it"
    else:
        message = (
            f"whether {test.variable} is known {said}: scores of it are of those who have it; "
            "see why it is missing"
        )
    code = {"attribute": "confound", "missing": "missing-by-label"}.get(test.of, f"{test.of}-confound")
    return Finding("warning", code, message, numbers=numbers)


def _of_one_label(samples: Samples) -> Iterator[Finding]:
    """Yield a finding for each attribute that is known of only one label."""
    for name in samples.attributes:
        known = samples.about[name].notna().to_numpy()
        has = [bool(known[samples.is_target == side].any()) for side in (False, True)]
        if sum(has) == 1:
            who = samples.names[has.index(True)]
            if has[0]:
                yield _of_background(samples, name)
                continue
            message = f"{name} is known of {who} only: it is scored among them alone"
            yield Finding("note", "attribute-of-one-label", message)


def _of_background(samples: Samples, name: str) -> Finding:
    """Return the finding on an attribute of the background only: the labels are probably inverted."""
    background, target = samples.names
    other = f" {target}" * (len(samples.labels) == 2)
    message = (
        f"{name} is known of {background} only, the background: clinical scores are known of patients, so "
        f"the labels are probably inverted; name the label of the controls (--background{other}), or leave "
        f"{name} out"
    )
    numbers = bool(pd.to_numeric(samples.about[name].dropna(), errors="coerce").notna().all())
    return Finding("error" if numbers else "warning", "attribute-of-background", message)
