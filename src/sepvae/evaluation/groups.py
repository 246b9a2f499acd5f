"""Scores of a target probability, background against target, as in App. D of the paper."""

import numpy as np
import pandas as pd
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from sepvae.batch import FloatArray
from sepvae.codes import code_columns
from sepvae.errors import DataError
from sepvae.evaluation.metrics import METRICS, resampling_weights
from sepvae.evaluation.scores import COLUMNS
from sepvae.process_wide import ignoring

MAX_ITER = 500  # epochs; most fits converge long before


def mlp_probabilities(codes: pd.DataFrame, *, random_state: int = 0) -> FloatArray:
    """
    Return target probabilities of the test rows, of shape (n_test,), by an MLP on frozen salient codes.

    Its one hidden layer is as wide as the salient space, as in SepVAE's own classifier. It learns from the
    rows of split "train", as the linear probes do, scaled to mean 0 and standard deviation 1.

    >>> table = pd.DataFrame({"split": ["train", "test"] * 40, "y": np.arange(80) // 2 % 2})
    >>> table["salient0"] = 3.0 * table["y"] + np.linspace(0, 1, 80)
    >>> probability = mlp_probabilities(table)
    >>> bool(((probability > 0.5) == table.loc[table["split"] == "test", "y"]).all())
    True
    """
    columns = code_columns(codes, "salient")
    if not columns:
        raise DataError("a table of codes needs columns salient0, ..; it has none")
    train, test = _train_and_test(codes)
    model = make_pipeline(
        StandardScaler(),
        MLPClassifier((len(columns),), max_iter=MAX_ITER, random_state=random_state),
    )
    # The score of a fit that has not converged is still a valid score.
    with threadpool_limits(1), ignoring("", category=ConvergenceWarning):
        model.fit(train[columns].to_numpy(float), train["y"].to_numpy())
    return np.asarray(model.predict_proba(test[columns].to_numpy(float))[:, 1])


def group_scores(
    codes: pd.DataFrame,
    probability: FloatArray,
    probe: str,
    *,
    n_bootstraps: int = 1000,
    random_state: int = 0,
) -> pd.DataFrame:
    """
    Score target probabilities of shape (n_test,), in the order of the test rows of a table of codes.

    `probe` names their source: "own classifier" or "mlp". The columns are those of `score_codes`, and probe.
    The p-value is NaN, and so is the interval with one test group.

    >>> table = pd.DataFrame({"split": ["train"] * 2 + ["test"] * 4, "group": range(6), "y": [0, 1] * 3})
    >>> scores = group_scores(table, np.array([0.1, 0.9, 0.6, 0.7]), "mlp", n_bootstraps=0)
    >>> dict(zip(scores["metric"], scores["score"]))
    {'balanced_accuracy': 0.75, 'accuracy': 0.75, 'auc': 1.0}
    """
    train, test = _train_and_test(codes)
    _check_probability(probability, len(test))
    truth, groups = test["y"].to_numpy(), test["group"].astype(str).to_numpy(str)
    outputs = {"predict": (probability > 0.5).astype(int), "decision_function": probability}
    weights = resampling_weights(groups, n_bootstraps, np.random.default_rng(random_state))
    counts = (len(train), len(test), n_groups := len(np.unique(groups)))
    rows = []
    for metric in METRICS["categorical"]:
        scored = metric.with_interval(truth, outputs[metric.reads], weights, n_groups)
        chance = metric.chance(train["y"].to_numpy(), truth)
        rows.append(("salient", "label", "all", metric.name, *scored, chance, np.nan, *counts))
    return pd.DataFrame(rows, columns=COLUMNS).assign(probe=probe).astype({"n_train": "Int64"})


def _train_and_test(codes: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the training rows and the test rows; raise unless each part has both labels."""
    missing = [name for name in ("split", "y") if name not in codes]
    if missing:
        raise DataError(f"a table of codes needs columns split, y; it lacks {', '.join(missing)}")
    train, test = (codes[codes["split"] == name] for name in ("train", "test"))
    for name, part in (("test", test), ("train", train)):
        labels = sorted(part["y"].unique().tolist())
        if labels != [0, 1]:
            raise DataError(
                f"column y: wanted 0 (background) and 1 (target) in split {name!r}, got {labels[:5]}"
            )
    return train, test


def _check_probability(probability: FloatArray, n_test: int) -> None:
    if probability.shape != (n_test,):
        raise DataError(
            f"probability: wanted one number for each of {n_test} test rows, got shape {probability.shape}"
        )
    if not ((probability >= 0) & (probability <= 1)).all():
        raise DataError("probability: wanted numbers in [0, 1], got others; give probabilities, not logits")
