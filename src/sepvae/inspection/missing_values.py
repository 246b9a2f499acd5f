"""Checks for codes of missing values in attributes, features, labels and ids."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from sepvae.data.cells import CellRules
from sepvae.data.missing_codes import FAR, KNOWN_CODES, MissingCode, find_class_codes, find_codes
from sepvae.inspection.record import Finding
from sepvae.inspection.regions import robust_z
from sepvae.inspection.samples import Samples, count, listed


def missing_value_findings(
    samples: Samples, kinds: Mapping[str, str], not_missing: Sequence[str] = ()
) -> Iterator[Finding]:
    """
    Find codes for missing values, outliers and constant attributes, in all columns that are used.

    `not_missing` are words and codes that the user declares to be values.
    """
    rules = CellRules(not_missing=tuple(not_missing))
    for name in samples.attributes:
        values = samples.about[name]
        if kinds[name] == "continuous":
            numbers = samples.values(name, "continuous")
            found = _wanted(find_codes(numbers), rules)
            yield from (_code_finding(samples, name, code, numbers == code.value) for code in found)
            yield from _far_out(samples, name, numbers[~numbers.isin([code.value for code in found])])
        else:
            texts = samples.values(name, "categorical")
            numbers = pd.to_numeric(texts, errors="coerce")
            for code in _wanted(find_class_codes(texts), rules):
                yield _code_finding(samples, name, code, numbers == code.value)
            for word in sorted(set(texts.dropna()[rules.are_missing(texts.dropna())])):
                yield _word_finding(samples, name, word, int((texts == word).sum()))
        if (known := values.dropna()).size > 1 and (known == known.iloc[0]).all():
            message = (
                f"{name} is {known.iloc[0]} of all who have it: it gets no score, and adjusts for nothing"
            )
            yield Finding("warning", "constant-attribute", message)
    if samples.features is not None:
        yield from _of_features(samples.features, rules)
    yield from _of_names(samples, rules)


def _wanted(codes: list[MissingCode], rules: CellRules) -> list[MissingCode]:
    return [code for code in codes if not rules.keeps(code.word)]


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


def _word_finding(samples: Samples, name: str, word: str, n: int) -> Finding:
    message = (
        f"{name}: {n} of {len(samples.about)} samples have {word!r}, which is a class there, but looks like "
        "a missing value: make it missing (None), or see that it is a class"
    )
    return Finding("warning", "missing-word", message, numbers={"samples": n})


def _far_out(samples: Samples, name: str, numbers: "pd.Series[Any]") -> Iterator[Finding]:
    z = robust_z(numbers.to_frame())[name].abs()
    if not (far := z[z > FAR].sort_values(ascending=False, kind="stable")).size:
        return
    values = [f"{numbers[i]:g}" for i in far.index]
    message = (
        f"{name}: {count(len(far), 'value')} more than {FAR} robust standard deviations from the median "
        f"({listed(values, 2)}): a slip, another unit, or a code for a missing value? correct them, or make "
        "them missing"
    )
    yield Finding("warning", "far-out-attribute", message, samples.ids(far.index), {"values": len(far)})


def _of_features(features: pd.DataFrame, rules: CellRules) -> Iterator[Finding]:
    """Yield one finding per code, for any number of features that hold it."""
    x = features.to_numpy(dtype=np.float64)
    suspect = np.isin(x, list(KNOWN_CODES)).any(axis=0) | (robust_z(features).abs() > FAR).any().to_numpy()
    found: dict[str, list[tuple[str, MissingCode]]] = {}
    for i in np.flatnonzero(suspect).tolist():
        for code in _wanted(find_codes(x[:, i]), rules):
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


def _of_names(samples: Samples, rules: CellRules) -> Iterator[Finding]:
    """Yield warnings on labels, ids and groups that look like a missing value, but are read as words."""
    labels = samples.about["label"].astype(str)
    codes = {code.word for code in _wanted(find_class_codes(labels), rules)}
    odd = rules.are_missing(labels) | labels.isin(codes)
    for word, n in labels[odd].value_counts().items():
        message = (
            f"label: {count(int(n), 'sample')} of label {word!r}, which looks like a missing value; leave "
            "those samples out, or name background and target"
        )
        yield Finding("warning", "label-looks-missing", message, numbers={"samples": int(n)})
    for role in ("id", "group"):
        names = samples.about[role].astype(str)
        if (odd := rules.are_missing(names)).any():
            message = (
                f"{role}: {count(int(odd.sum()), 'sample')} named {names[odd].iloc[0]!r}, which looks like a "
                "missing value; give each a name of its own"
            )
            yield Finding("warning", "name-looks-missing", message, numbers={"samples": int(odd.sum())})
            return  # without a column of groups, they are the ids
