"""
Held-out AUC of the read-out, of the salient classifier on means, and of a linear probe, on two tables.

    python benchmarks/read_out.py [--seeds 2] [--epochs 60]

Breast cancer is scikit-learn's table, malignant the target; the other is simulated: 40 features of 6 common
and, in targets, 3 salient factors. Prints one line a fit, with the R2 of held-out reconstructions.
"""

import argparse
from typing import Any

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import r2_score, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sepvae import SepVAE

WIDE = {"common_dim": 128, "salient_dim": 128}
SETTINGS: list[tuple[str, dict[str, Any]]] = [
    ("breast cancer", {"common_dim": 4, "salient_dim": 2}),
    ("breast cancer", {"common_dim": 4, "salient_dim": 2, "batch_size": 128}),
    ("simulated", WIDE),
    ("simulated", WIDE | {"batch_size": 128}),
    ("simulated", WIDE | {"batch_size": 32, "background_posterior_var": "learnt"}),
    ("simulated", {"batch_size": 32, "learning_rate": 5e-5}),
]


def load_table(name: str, seed: int) -> list[Any]:
    """Give train and test X, train and test y, 1 for targets."""
    if name == "breast cancer":
        x, is_benign = load_breast_cancer(return_X_y=True)
        y = 1 - is_benign
        return train_test_split(x, y, test_size=0.25, stratify=y, random_state=seed)
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, 600)
    common_axes, salient_axes = rng.normal(size=(6, 40)), rng.normal(size=(3, 40))
    common = rng.normal(size=(600, 6)) @ common_axes
    salient = (rng.normal(size=(600, 3)) + 0.7) * y[:, None] @ salient_axes
    x = common + salient + 1.5 * rng.normal(size=(600, 40))
    return [x[:400], x[400:], y[:400], y[400:]]


def measure(name: str, keywords: dict[str, Any], seed: int, epochs: int) -> str:
    """Fit once, score once."""
    x, x_test, y, y_test = load_table(name, seed)
    quiet = {"max_epochs": epochs, "background": 0, "progress_bar": False, "accelerator": "cpu"}
    model = SepVAE(**quiet | keywords, random_state=seed).fit(x, y)
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.1)).fit(model.encode(x).salient_mean, y)
    scaler = StandardScaler().fit(x)
    rebuilt, real = (scaler.transform(of) for of in (model.reconstruct(x_test), x_test))
    scores = {
        "read-out": roc_auc_score(y_test, model.predict_proba(x_test)[:, 1]),
        "salient classifier": roc_auc_score(y_test, model.sampled_classifier_proba(x_test)[:, 1]),
        "linear probe": roc_auc_score(y_test, probe.predict_proba(model.encode(x_test).salient_mean)[:, 1]),
        "R2": r2_score(real, rebuilt, multioutput="variance_weighted"),
    }
    return f"{name} {keywords} seed {seed}: " + ", ".join(f"{k} {v:.2f}" for k, v in scores.items())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=60)
    given = parser.parse_args()
    for table, chosen in SETTINGS:
        for number in range(given.seeds):
            print(measure(table, chosen, number, given.epochs), flush=True)
