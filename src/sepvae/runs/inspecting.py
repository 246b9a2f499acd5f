"""Inspection of the data of a run, before its fit."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from sepvae.batch import Source
from sepvae.data.arrays import ArraySource
from sepvae.data.quality_metrics import measure_source
from sepvae.inspection import Inspection, inspect
from sepvae.methods.base import ContrastiveEstimator
from sepvae.runs.scoring import described

PRINTED = ("missing-code", "missing-word", "label-looks-missing")  # warnings that are printed in full


def inspect_parts(
    train: Source,
    test: Source,
    quality_metrics: pd.DataFrame | None,
    kinds: Mapping[str, Any],
    model: ContrastiveEstimator,
    not_missing: Sequence[str] | None,
) -> Inspection:
    """Return the inspection of the data with this model's batch size and validation fraction."""
    parts = {"train": train, "test": test}
    about = pd.concat([described(part, name) for name, part in parts.items()], ignore_index=True)
    if quality_metrics is None:
        quality_metrics = pd.concat([measure_source(part) for part in parts.values()], ignore_index=True)
    return inspect(
        about,
        quality_metrics,
        features=_features(train, test),
        kinds=kinds,
        background=model.background,
        not_missing=not_missing or (),
        validation_fraction=model.validation_fraction if model.capabilities.epochs else 0,
        batch_size=model.batch_size if model.capabilities.epochs else "auto",
    )


def _features(*sources: Source) -> pd.DataFrame | None:
    """Return the features of tables by name; None if a source has no feature names."""
    parts = [
        pd.DataFrame(source.x, columns=[*source.feature_names])
        for source in sources
        if isinstance(source, ArraySource) and source.feature_names is not None
    ]
    return pd.concat(parts, ignore_index=True) if len(parts) == len(sources) else None


def print_findings(inspection: Inspection, say: Callable[[str], None]) -> None:
    """Print errors and findings in `PRINTED` in full, and the number of warnings; the page lists them all."""
    levels = [finding.level for finding in inspection.findings]
    for finding in inspection.findings:
        if finding.level == "error" or finding.code in PRINTED:
            say(f"warning: {finding.message}")
    if n := levels.count("warning"):
        say(f"{n} {'warning' if n == 1 else 'warnings'} about the data: the page has them, as has check.json")
