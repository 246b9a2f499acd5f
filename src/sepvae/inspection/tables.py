"""Checks of values in tables: features of samples, and codes for missing values in all columns."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from sepvae.data.cells import are_missing, is_value
from sepvae.data.missing_codes import FAR, KNOWN_CODES, MAD_TO_SD, MissingCode, find_class_codes, find_codes
from sepvae.data.spec import DataSpec
from sepvae.errors import count, listed
from sepvae.inspection.findings import Finding, Level, Samples
from sepvae.preprocessing.scaler import LEAST_SD

MANY_GAPS = 0.2  # share of missing values of a feature or a sample
TELLING = 0.9  # twice the distance of the AUC from 0.5


def region_findings(samples: Samples, features: pd.DataFrame) -> Iterator[Finding]:
    """Check features for constants, missing values, outliers, and values that reveal the label."""
    table, n = region_table(features), features.shape[1]
    if names := table.loc[table["constant"], "feature"].tolist():
        message = f"{len(names)} of {n} features are constant or all missing: a fit drops them"
        yield Finding("warning", "constant-features", message, tuple(names), {"features": len(names)})
    gaps = table[(table["missing"] > 0) & ~table["constant"]].sort_values("missing", ascending=False)
    if len(gaps):
        worst, share = gaps["feature"].iloc[0], float(gaps["missing"].iloc[0])
        level: Level = "warning" if share > MANY_GAPS else "note"
        fact = f"{len(gaps)} of {n} features have gaps, most of them {worst} ({share:.1%})"
        advice = "a fit fills them with the mean of all who have a value"
        numbers = {"features": len(gaps), "share": share}
        yield Finding(level, "features-with-gaps", f"{fact}: {advice}", tuple(gaps["feature"]), numbers)
    yield from _telling(samples, features)
    lacking = features.loc[:, ~table["constant"].to_numpy()].isna().mean(axis=1).fillna(0)
    most = float(lacking.max())
    fact = f"with gaps in more than {MANY_GAPS:.0%} of the features, up to {most:.0%}"
    advice = "what fills them is ordinary; see why, or leave them out"
    mask, message = lacking > MANY_GAPS, f"{fact}: {advice}"
    yield from samples.finding("warning", "samples-with-gaps", mask, message, share=most)
    yield from _far_out_features(samples, features)


def region_table(features: pd.DataFrame) -> pd.DataFrame:
    """
    Describe each feature: share of missing values, median, range, whether it is constant, number of outliers.

    >>> features = pd.DataFrame({"lh_v": [1.0, 2, 3, 4, 99], "rh_v": [5.0, 5, None, 5, 5]})
    >>> region_table(features)[["feature", "missing", "constant", "far_out"]].to_numpy().tolist()
    [['lh_v', 0.0, False, 1], ['rh_v', 0.2, True, 0]]
    """
    spread = (features / features.abs().max().replace(0, 1)).std(ddof=0)
    return pd.DataFrame(
        {
            "feature": features.columns.astype(str),
            "missing": features.isna().mean().to_numpy(),
            "median": features.median().to_numpy(),
            "min": features.min().to_numpy(),
            "max": features.max().to_numpy(),
            "constant": ~(spread > LEAST_SD).to_numpy(),
            "far_out": (_robust_z(features).abs() > FAR).sum().to_numpy(),
        }
    )


def _robust_z(features: pd.DataFrame) -> pd.DataFrame:
    """Return distances from the median in robust standard deviations, NaN if half of the values are equal."""
    centred = features - features.median()
    return centred / (MAD_TO_SD * centred.abs().median().replace(0, np.nan))


def _far_out_features(samples: Samples, features: pd.DataFrame) -> Iterator[Finding]:
    z = _robust_z(features).abs().to_numpy()
    rows, columns = np.nonzero(z > FAR)
    if not len(rows):
        return
    order = np.argsort(-z[rows, columns], kind="stable")
    values, ids = features.to_numpy()[rows, columns], samples.about["id"].astype(str).to_numpy()[rows]
    named = [f"{features.columns[columns[i]]} of {ids[i]}: {values[i]:g}" for i in order]
    message = (
        f"{count(len(rows), 'value')} of {count(len(set(columns.tolist())), 'feature')} more than {FAR} "
        f"robust standard deviations from the median ({listed(named, 2)}): "
        "a slip, another unit, or a number that stands for a gap? fix them, or make them missing"
    )
    numbers = {"values": len(rows), "samples": len(set(rows.tolist()))}
    yield Finding("warning", "far-out", message, samples.ids(np.unique(rows)), numbers)


def _telling(samples: Samples, features: pd.DataFrame) -> Iterator[Finding]:
    """Yield a warning on features that alone reveal the label, by their values or by being missing."""
    if len(samples.labels) < 2:
        return
    target, known = samples.is_target, features.notna()
    n_target, n_others = known[target].sum(), known[~target].sum()
    above = features.rank()[target].sum() - n_target * (n_target + 1) / 2  # Mann-Whitney U
    auc = (above / (n_target * n_others)).fillna(0.5)
    of_one_only = (n_target == 0) != (n_others == 0)
    if names := features.columns[(2 * (auc - 0.5).abs() > TELLING) | of_one_only].tolist():
        message = (
            f"{count(len(names), 'feature')} {'tells' if len(names) == 1 else 'tell'} the label almost "
            "alone, or by having a value: name a diagnosis, or a score of patients, as an attribute, so that "
            "it is no feature"
        )
        yield Finding("warning", "telling-features", message, tuple(names), {"features": len(names)})


def missing_value_findings(
    samples: Samples, kinds: Mapping[str, str], not_missing: Sequence[str] = ()
) -> Iterator[Finding]:
    """Find outliers, constant attributes and codes for missing values, unless declared as `not_missing`."""
    spec = DataSpec(not_missing=list(not_missing))
    for name in samples.attributes:
        values = samples.about[name]
        if kinds[name] == "continuous":
            numbers = samples.values(name, "continuous")
            found = _wanted(find_codes(numbers), spec)
            yield from (_code_finding(samples, name, code, numbers == code.value) for code in found)
            yield from _far_out(samples, name, numbers[~numbers.isin([code.value for code in found])])
        else:
            texts = samples.values(name, "categorical")
            numbers = pd.to_numeric(texts, errors="coerce")
            for code in _wanted(find_class_codes(texts), spec):
                yield _code_finding(samples, name, code, numbers == code.value)
            for word in sorted(set(texts.dropna()[are_missing(texts.dropna(), spec)])):
                n = int((texts == word).sum())
                message = (
                    f"{name}: {n} of {len(samples.about)} samples have {word!r}, which is a class there, but "
                    "looks like a missing value: make it missing (None), or see that it is a class"
                )
                yield Finding("warning", "missing-word", message, numbers={"samples": n})
        if (known := values.dropna()).size > 1 and (known == known.iloc[0]).all():
            consequence = "it gets no score, and adjusts for nothing"
            message = f"{name} is {known.iloc[0]} of all who have it: {consequence}"
            yield Finding("warning", "constant-attribute", message)
    if samples.features is not None:
        yield from _codes_in_features(samples.features, spec)
    yield from _codes_in_names(samples, spec)


def _wanted(codes: list[MissingCode], spec: DataSpec) -> list[MissingCode]:
    return [code for code in codes if not is_value(code.word, spec)]


def _code_finding(samples: Samples, name: str, code: MissingCode, mine: "pd.Series[Any]") -> Finding:
    """Return the finding on a code in an attribute; it names a label whose samples all have the code."""
    has = mine.fillna(False).to_numpy(dtype=bool)
    labels = samples.about["label"]
    whole = [label for label in samples.labels if has[(labels == label).to_numpy()].all()]
    where = f", all {(labels == whole[0]).sum()} of {whole[0]} among them" if whole else ""
    message = (
        f"{name}: {code.count} of {len(labels)} samples have {code.word}{where}; {code.others}: it looks "
        f"like a code for a missing value, but counts as a value in all scores of {name}: "
        f"--missing {code.word} makes it missing, --not-missing {code.word} says that it is a value"
    )
    return Finding("warning", "missing-code", message, samples.ids(has), {"samples": code.count})


def _far_out(samples: Samples, name: str, numbers: "pd.Series[Any]") -> Iterator[Finding]:
    z = _robust_z(numbers.to_frame())[name].abs()
    if not (far := z[z > FAR].sort_values(ascending=False, kind="stable")).size:
        return
    values = [f"{numbers[i]:g}" for i in far.index]
    message = (
        f"{name}: {count(len(far), 'value')} more than {FAR} robust standard deviations from the median "
        f"({listed(values, 2)}): a slip, another unit, or a code for a missing value? correct them, or make "
        "them missing"
    )
    yield Finding("warning", "far-out-attribute", message, samples.ids(far.index), {"values": len(far)})


def _codes_in_features(features: pd.DataFrame, spec: DataSpec) -> Iterator[Finding]:
    """Yield one finding per code, for any number of features that hold it."""
    x = features.to_numpy(dtype=np.float64)
    suspect = np.isin(x, list(KNOWN_CODES)).any(axis=0) | (_robust_z(features).abs() > FAR).any().to_numpy()
    found: dict[str, list[tuple[str, MissingCode]]] = {}
    for i in np.flatnonzero(suspect).tolist():
        for code in _wanted(find_codes(x[:, i]), spec):
            found.setdefault(code.word, []).append((str(features.columns[i]), code))
    for word, where in found.items():
        names, first = [name for name, _ in where], where[0][1]
        n = sum(code.count for _, code in where)
        message = (
            f"{count(n, 'value')} of {count(len(names), 'feature')} ({listed(names, 2)}) "
            f"{'is' if n == 1 else 'are'} {word}; in {names[0]} {first.others}: it looks like a code for a "
            f"missing value: --missing {word} makes it missing, --not-missing {word} says that it is a value"
        )
        yield Finding("warning", "missing-code", message, tuple(names), {"values": n, "features": len(names)})


def _codes_in_names(samples: Samples, spec: DataSpec) -> Iterator[Finding]:
    """Yield warnings on labels, ids and groups that look like a missing value, but are read as words."""
    labels = samples.about["label"].astype(str)
    codes = {code.word for code in _wanted(find_class_codes(labels), spec)}
    odd = are_missing(labels, spec) | labels.isin(codes)
    for word, n in labels[odd].value_counts().items():
        message = (
            f"label: {count(int(n), 'sample')} of label {word!r}, which looks like a missing value; leave "
            "those samples out, or name background and target"
        )
        yield Finding("warning", "label-looks-missing", message, numbers={"samples": int(n)})
    for role in ("id", "group"):
        names = samples.about[role].astype(str)
        if (odd := are_missing(names, spec)).any():
            message = (
                f"{role}: {count(int(odd.sum()), 'sample')} named {names[odd].iloc[0]!r}, which looks like a "
                "missing value; give each a name of its own"
            )
            yield Finding("warning", "name-looks-missing", message, numbers={"samples": int(odd.sum())})
            return  # without a column of groups, they are the ids
