"""
Whether fitted controls can be told from patients without any effect, by the length of their features.

Without arguments: AUC of the length, 0.5 where leaving people out works; mean over 8 draws of independent
features. By scans of a person: age, sex and 16 sites, 200 people. By controls of a site: sites alone.
"""

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from sepvae.preprocessing import Harmonizer, Residualizer

FEATURES, SITES, DRAWS = 262, 16, 8


def draw(rng: np.random.Generator, people: int, scans: int) -> tuple[np.ndarray, pd.DataFrame, np.ndarray]:
    """Return features, covariates and persons; noise of a scan has 0.3 of the spread of people."""
    about = pd.DataFrame({"age": rng.uniform(20, 70, people), "sex": rng.choice(["f", "m"], people)})
    about["site"] = [f"s{i % SITES}" for i in range(people)]
    person = np.repeat(np.arange(people), scans)
    x = rng.normal(size=(people, FEATURES))[person] + 0.3 * rng.normal(size=(len(person), FEATURES))
    return x, about.iloc[person].reset_index(drop=True), person


def auc(model: Harmonizer | Residualizer, seed: int, people: int, scans: int, columns: list[str]) -> float:
    """Return the AUC of the length for a patient, in the training data."""
    x, about, person = draw(np.random.default_rng(seed), people, scans)
    patient = person // SITES % 2 == 1
    treated = model.fit_transform(x, about[columns], ~patient, person)
    return float(roc_auc_score(patient, (np.nan_to_num(treated) ** 2).sum(axis=1)))


def mean(people: int, scans: int, covariates: list[str]) -> list[float]:
    """Return the mean AUC of ComBat and of w-scores."""
    whole = [*covariates, "site"]
    models = Harmonizer("site", covariates), Residualizer()
    return [np.mean([auc(one, seed, people, scans, whole) for seed in range(DRAWS)]) for one in models]


if __name__ == "__main__":
    for scans in (1, 2, 4):
        print(
            f"{scans} scans a person: ComBat {{:.2f}}, w-scores {{:.2f}}".format(
                *mean(200, scans, ["age", "sex"])
            )
        )
    for controls in (2, 4, 6, 12, 40):
        row = mean(2 * SITES * controls, 1, [])
        print(f"{controls} controls a site: ComBat {{:.2f}}, w-scores {{:.2f}}".format(*row))
