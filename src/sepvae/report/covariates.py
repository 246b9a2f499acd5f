"""Sentences on covariates: what salient knows of them, and what it tells of the label beyond them."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from sepvae.evaluation.metrics import MAX_P
from sepvae.inspection.confounds import ALPHA, MODERATE_AUC, MODERATE_V
from sepvae.report.scores import Score, gain, is_known, main_rows, number, of_everyone, reading, rows_of

BEYOND = "information_given_covariates"
GIVEN = "label_information_given"


def covariate_sentences(scores: pd.DataFrame) -> list[str]:
    """Return a sentence for each covariate that salient knows among background or target, and on the rest."""
    rows = main_rows(scores)
    sentences = [
        f"Salient knows {row['attribute']} among background samples ({_brief(row)}), so it is not only the "
        "disease."
        for row in known_among_background(rows)
    ]
    everyone = of_everyone(rows)
    of_target = [
        row
        for row in rows
        if row["attribute"] in everyone and (row["space"], row["population"]) == ("salient", "target")
    ]
    sentences += [
        f"Salient knows {row['attribute']} among target samples ({_brief(row)}): a leak, or a disease that "
        f"differs with {row['attribute']}."
        for row in sorted(filter(is_known, of_target), key=gain, reverse=True)
    ]
    given = rows_of(scores, metric=GIVEN)
    names = ", ".join(str(row["attribute"]) for row in given)
    for row in rows_of(scores, metric=BEYOND):
        nats, low, high = (number(row[name], BEYOND) for name in ("score", "low", "high"))
        told = f"tells {nats} nats of background or target"
        if not is_beyond(row):
            told = "is not shown to tell anything of background or target"
        interval = f"95 % interval {low} to {high} nats, p = {row['p_value']:.2g}"
        sentences.append(f"Beyond {names}, salient {told} ({interval}).")
    return sentences


def is_beyond(row: Score) -> bool:
    """Return whether salient is shown to tell something of the label beyond covariates."""
    return bool(row["p_value"] <= MAX_P and row["low"] > 0)


def known_among_background(rows: list[Score]) -> list[Score]:
    """Return the main scores of what salient knows among background, the best known first."""
    of_background = [row for row in rows if row["population"] == "background"]
    return sorted(filter(is_known, of_background), key=gain, reverse=True)


def unscored(rows: list[Score], inspection: Mapping[str, Any] | None) -> list[str]:
    """Return what check found in images to go with the label, and what has no score among background."""
    scored = {row["attribute"] for row in rows if row["population"] == "background"}
    found = (inspection or {}).get("confounds") or []
    of_images = [row for row in found if row["of"] in ("image", "volume") and _differs(row)]
    return [str(row["variable"]) for row in of_images if row["variable"] not in scored]


def _differs(row: Mapping[str, Any]) -> bool:
    """Return whether a variable differs between the labels, as in the findings of the check."""
    auc, v, p = row.get("auc"), row.get("cramers_v"), row.get("p_corrected")
    effect = max(abs((0.5 if auc is None else auc) - 0.5) / MODERATE_AUC, (v or 0) / MODERATE_V)
    return p is not None and p < ALPHA and effect + 1e-9 >= 1


def _brief(row: Score) -> str:
    """Return a score with interval and chance, without the full stop."""
    return reading(row)[:-1]
