"""Checks of labels, groups and splits: sample sizes, and groups on both sides of a split."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import pandas as pd

from sepvae.batch import MIN_STEPS, auto_batch_size
from sepvae.checks import ask_for_background, guess_background
from sepvae.codes import MIN_CONTROLS
from sepvae.errors import count, for_caller, listed
from sepvae.inspection.findings import Finding, Level, Samples

MAX_RATIO = 5  # most frequent label over the rarest, above which balanced batches are advised
MIN_TEST = 20  # test groups of each label, below which intervals are wide
MIN_IN_BATCH = 2  # samples of each label
MIN_TO_LEARN = 2  # training samples of a class, for a probe


def count_samples(samples: Samples) -> pd.DataFrame:
    """Count samples and groups per label and split (missing if none is given), the background first."""
    by_part = samples.about.groupby(["label", "split"], dropna=False, sort=False)["group"]
    counts = by_part.agg(samples="size", groups="nunique").reset_index()
    place = samples.labels.index
    return counts.sort_values("label", key=lambda c: c.map(place), kind="stable", ignore_index=True)


def label_findings(samples: Samples) -> Iterator[Finding]:
    """Check that the data have two labels or more, none of them much more frequent than another."""
    counts = samples.about["label"].value_counts().reindex(samples.labels)
    said = " : ".join(f"{n} {label}" for label, n in counts.items())
    if len(counts) == 1:
        yield Finding("error", "one-label", f"all {said}: a fit needs two labels, a background and a target")
        return
    if rare := [str(label) for label, n in counts.items() if n < 2]:
        message = f"one sample only of {listed(rare)}: a fit needs two or more of each label"
        yield Finding("error", "too-few-samples", message)
    ratio = counts.max() / counts.min()
    if ratio > MAX_RATIO:
        message = (
            f"labels are unequal in number, {said} ({ratio:.1f} to 1): training sees few of "
            f"{counts.idxmin()}; --set balanced=true puts equal numbers into each batch"
        )
        yield Finding("warning", "imbalance", message, numbers={"ratio": float(ratio)})


def background_findings(samples: Samples) -> Iterator[Finding]:
    """Yield an error if labels are numbers, booleans or many words, which do not tell the background."""
    counts = samples.about["label"].value_counts().sort_index()
    why = guess_background(counts.index).why
    if len(counts) > 1 and (why == "number" or (len(counts) > 2 and why == "alphabet")):
        named = _numbers(counts)
        message = ask_for_background(named, "--background ")
        yield Finding("error", "no-background", message, numbers=named)


def group_findings(samples: Samples) -> Iterator[Finding]:
    """Check that each group (patient) is on one side of the split and has one label."""
    if not samples.grouped:
        options = "--subject or --pattern" if samples.kind == "image" else "--subject"
        message = (
            "every sample counts as a subject of its own: if some are of one person, name that person "
            f"({options}), or scores will be biased"
        )
        yield Finding("note", "no-groups", message)
        return
    group = samples.about["group"]
    if crossing := _of_several(samples.sides, group):
        fact = f"{count(len(crossing), 'subject')} on both sides of the split"
        advice = "the test would hold people that were fitted on; move each to one side"
        message = f"{fact}: {advice}"
        yield Finding("error", "groups-across-split", message, crossing, {"groups": len(crossing)})
    if mixed := _of_several(samples.about["label"], group):
        fact = f"{count(len(mixed), 'subject')} of {group.nunique()} with samples of several labels"
        advice = "a split keeps them whole, but see that the name of a subject means one person"
        message = f"{fact}: {advice}"
        yield Finding("warning", "groups-with-both-labels", message, mixed, {"groups": len(mixed)})


def _of_several(values: "pd.Series[Any]", group: "pd.Series[Any]") -> tuple[str, ...]:
    """Return the groups that have more than one of these values."""
    several = values.groupby(group, sort=False).nunique().gt(1)
    return tuple(several.index[several].astype(str))


def size_findings(
    samples: Samples,
    kinds: Mapping[str, str],
    test_size: float,
    validation_fraction: float,
    batch_size: int | Literal["auto"],
) -> Iterator[Finding]:
    """Check that splits, batches and classes of the requested sizes have enough samples."""
    is_drawn = bool(samples.sides.isna().all())
    if batch_size != "auto":
        shown = len(samples.about) * (1 - test_size) if is_drawn else (samples.sides == "train").sum()
        n_fitted = round(shown * (1 - validation_fraction))
        yield from _batch_findings(batch_size, n_fitted, len(samples.labels))
    parts = _expected_groups(samples, test_size, validation_fraction)
    noun = "subject" if samples.grouped else "sample"
    level: Level
    for label, n in parts.iterrows():
        if (least := min(n["train"], n["test"])) < 1:
            level, consequence = "error", "a fit and a test each need at least one"
        elif n["validation"] < 1 and validation_fraction > 0:
            level = "warning"
            consequence = "none is left for validation, so keep='best' and early_stopping cannot work"
        elif least < 2:
            level, consequence = "warning", "one patient decides what is learnt or scored"
        else:
            continue
        said = f"{n['train']} to train, {n['validation']} to validate, {n['test']} to test"
        message = f"too few {noun}s of {label} ({said}): {consequence}; give more of them"
        yield Finding(level, "too-few-groups", message, numbers=_numbers(n))
    if (short := parts["test"][parts["test"].between(1, MIN_TEST - 1)]).size:
        said = " and ".join(f"{n} of {label}" for label, n in short.items())
        larger = for_caller(f"raise --test-size above {test_size:g} or give more")
        advice = larger if is_drawn else "give the test more"
        sheet = ""
        if short.get(background := samples.labels[0], MIN_CONTROLS) < MIN_CONTROLS:
            sheet = f", and so few of {background} give no sheet of single people"
        fact = f"few {noun}s to test on, {said} (fewer than {MIN_TEST})"
        message = f"{fact}: intervals will be wide{sheet}; {advice}"
        yield Finding("warning", "weak-test", message, numbers=_numbers(short))
    share = (1 - test_size) * (1 - validation_fraction) if is_drawn else 1
    for name in samples.attributes:
        if kinds[name] == "categorical":
            yield from _rare_classes(samples, name, share)


def _numbers(counts: "pd.Series[Any]") -> dict[str, int]:
    return {str(name): int(n) for name, n in counts.items()}


def _batch_findings(batch_size: int, n: int, n_labels: int) -> Iterator[Finding]:
    """Check that batches of n training samples hold all labels, and that an epoch has enough of them."""
    if batch_size < (least := MIN_IN_BATCH * n_labels):
        message = f"batch_size {batch_size} cannot hold two samples of each label: raise it to {least}"
        yield Finding("error", "batch-too-small", message)
    elif n // batch_size < MIN_STEPS and (better := auto_batch_size(n)) < min(batch_size, n):
        steps = max(n // batch_size, 1)
        message = (
            f"batch_size {batch_size} gives {count(steps, 'step')} an epoch with {n} samples to train on, "
            f"where {better} gives {n // better}: lower it, or leave it at auto"
        )
        yield Finding("warning", "few-steps", message, numbers={"steps": steps, "samples": n})


def _expected_groups(samples: Samples, test_size: float, validation_fraction: float) -> pd.DataFrame:
    """Count the groups of each label in train, validation and test: as given, or as a split would draw."""
    about = samples.about.assign(side=samples.sides)
    if samples.sides.isna().all():
        groups = about.groupby("label")["group"].nunique()
        test = (groups * test_size).round().astype(int)
        fitted = groups - test
    else:
        of_side = about.pivot_table(
            index="label", columns="side", values="group", aggfunc="nunique", fill_value=0
        )
        fitted, test = of_side["train"], of_side["test"]
    validation = (fitted * validation_fraction).round().astype(int)
    parts = pd.DataFrame({"train": fitted - validation, "validation": validation, "test": test})
    return parts.reindex(samples.labels)


def _rare_classes(samples: Samples, name: str, share: float) -> Iterator[Finding]:
    """Yield one note if an attribute has classes too rare for a probe, or too many classes."""
    known = samples.about.loc[samples.sides.isna() | (samples.sides == "train"), name].dropna()
    n = known.value_counts()
    if len(n) > 10 and len(n) > len(known) / 2:
        fact = f"{name} has {len(n)} different values in {len(known)} samples, so it is a name, not a class"
        advice = f"if it is an amount, say so (--attribute {name}:continuous), else leave it out"
        yield Finding("note", "attribute-of-many-values", f"{fact}: {advice}", numbers={"values": len(n)})
    elif len(rare := n[n * share < MIN_TO_LEARN].sort_index()):
        fact = f"{count(len(rare), 'value')} of {name} with fewer than {MIN_TO_LEARN} samples to train on"
        advice = "no probe can learn them; join them with others"
        # Values are examples, not part of the message: they may be names, and pages can omit examples.
        values = tuple(map(str, rare.index))
        yield Finding("note", "rare-values", f"{fact}: {advice}", values, {"values": len(rare)})
