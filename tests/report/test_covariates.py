"""Sentences on covariates: what is known, and what is not shown."""

import pandas as pd

from sepvae.report.covariates import covariate_sentences


def row(attribute: str, metric: str, population: str, *numbers: float) -> dict[str, object]:
    found = dict(zip(("score", "low", "high", "chance", "p_value"), numbers, strict=True))
    return {"space": "salient", "attribute": attribute, "metric": metric, "population": population, **found}


def test_sentences_are_of_what_is_known_and_of_what_is_left() -> None:
    rows = [
        row("site", "balanced_accuracy", "background", 0.61, 0.5, 0.7, 0.33, 0.01),
        row("sex", "balanced_accuracy", "background", 0.51, 0.4, 0.6, 0.5, 0.4),
        row("site", "label_information_given", "all", 0.2, 0.1, 0.3, 0.0, 0.01),
        row("label", "information_given_covariates", "all", 0.2, 0.1, 0.3, 0.0, 0.01),
    ]
    known, left = covariate_sentences(pd.DataFrame(rows))
    assert known == (
        "Salient knows site among background samples (balanced accuracy 0.61 (95 % interval 0.50 to 0.70), "
        "chance 0.33), so it is not only the disease."
    )
    assert left == (
        "Beyond site, salient tells 0.20 nats of background or target (95 % interval 0.10 to 0.30 nats, "
        "p = 0.01)."
    )
    rows[-1] |= {"low": -0.1}
    assert "is not shown to tell anything" in covariate_sentences(pd.DataFrame(rows))[1]
