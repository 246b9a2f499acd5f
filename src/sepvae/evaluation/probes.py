"""Probes: linear models that predict one attribute from frozen codes, with intervals and p-values."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from sepvae.batch import AnyArray, FloatArray
from sepvae.codes import Blocks, Kind, attribute_columns, attribute_kind, code_columns
from sepvae.errors import DataError
from sepvae.evaluation.metrics import METRICS, resampling_weights
from sepvae.run_folder import N_PERMUTATIONS

SCORE_COLUMNS = ["metric", "score", "low", "high", "chance", "p_value", "n_train", "n_test", "n_test_groups"]
RIDGE_ALPHAS = (0.1, 1.0, 10.0, 100.0, 1000.0)
MIN_TRAIN = 10  # a probe needs at least this number of training samples
MAX_CLASSES = 100  # attributes with more classes are taken for names


@dataclass(frozen=True)
class Samples:
    """
    Codes, attribute values and groups of n samples, the data of a probe.

    Parameters
    ----------
    codes : ndarray of shape (n, dimensions)
        Posterior means of one space, finite.
    values : ndarray of shape (n,)
        Values of the attribute: classes of any type, or finite numbers.
    groups : ndarray of shape (n,)
        Subject of each sample, such as a patient or a mouse.
    """

    codes: FloatArray
    values: AnyArray
    groups: AnyArray


@dataclass(frozen=True)
class ProbeQuestion:
    """Attribute of one population, with its training and test rows; column `value` holds the attribute."""

    attribute: str
    population: str
    kind: Kind
    train: pd.DataFrame
    test: pd.DataFrame
    rare: str = ""  # classes that are left out, and the reason

    @property
    def obstacle(self) -> str:
        """Reason why no score is possible; empty if one is."""
        few = "no probe: fewer than two distinct values in split 'test'"
        return self.unlearnable or few * (self.test["value"].nunique() < 2)

    @property
    def unlearnable(self) -> str:
        """Reason why no probe can be fitted; empty if one can."""
        if len(self.train) < MIN_TRAIN:
            return f"no probe: {len(self.train)} training samples, at least {MIN_TRAIN} are needed"
        classes = self.train["value"].nunique()
        if self.kind == "categorical" and classes > MAX_CLASSES:
            return f"no probe: {classes} classes, at most {MAX_CLASSES} are probed"
        return "no probe: fewer than two distinct values in split 'train'" if classes < 2 else ""

    def samples(self, space: str, blocks: Blocks | None = None) -> tuple[Samples, Samples]:
        """Return training and test samples with their codes of one space, or of a block of salient."""
        train, test = (
            Samples(
                rows[code_columns(rows, space, blocks)].to_numpy(float),
                rows["value"].to_numpy(),
                rows["group"].astype(str).to_numpy(str),
            )
            for rows in (self.train, self.test)
        )
        return train, test


def check_columns(table: pd.DataFrame, *columns: str) -> None:
    """Raise DataError unless a table of codes has these columns, of codes the first of each space."""
    if missing := [name for name in columns if name not in table]:
        wanted = ", ".join(name + ", .." * name.endswith("0") for name in columns)
        raise DataError(f"a table of codes needs columns {wanted}; it lacks {', '.join(missing)}")


def known_values(
    table: pd.DataFrame, kinds: Mapping[str, Kind] | None = None
) -> Iterator[tuple[str, Kind, pd.DataFrame]]:
    """Yield name, kind and known rows of the label and each attribute; `value` is text or a finite number."""
    yield "label", "categorical", table.assign(value=table["y"])
    for attribute in attribute_columns(table):
        kind = attribute_kind(table[attribute], kinds)
        known = table.assign(value=table[attribute])[table[attribute].notna()]
        if kind == "continuous":
            yield attribute, kind, known[np.isfinite(known["value"].to_numpy(float))]
        else:
            yield attribute, kind, known.assign(value=known["value"].astype(str))


def probe_questions(table: pd.DataFrame, kinds: Mapping[str, Kind] | None) -> Iterator[ProbeQuestion]:
    """Yield the label among all, then each attribute among all (unless only targets have it) and targets."""
    for attribute, kind, known in known_values(table, kinds):
        if attribute == "label" or (known["y"] == 0).any():
            yield probe_question(known, attribute, "all", kind)
        if attribute != "label":
            yield probe_question(known[known["y"] == 1], attribute, "target", kind)


def probe_question(known: pd.DataFrame, attribute: str, population: str, kind: Kind) -> ProbeQuestion:
    """Return a question of the rows of a population, without the classes that are too rare to learn."""
    rare = ""
    if kind == "categorical":
        counts = known.loc[known["split"] == "train", "value"].value_counts()
        kept = known["value"].isin(counts.index[counts >= 2])
        if names := sorted(known.loc[~kept, "value"].unique()):
            some = ", ".join(map(str, names[:5])) + (", .." if len(names) > 5 else "")
            rare = f"{len(names)} classes left out, fewer than 2 training samples each: {some}"
        known = known[kept]
    train, test = (known[known["split"] == split] for split in ("train", "test"))
    return ProbeQuestion(attribute, population, kind, train, test, rare)


def make_probe(kind: Kind, *, least_squares: bool = False) -> Pipeline:
    """Return an unfitted probe: scaler, then logistic regression, ridge (leave-one-out) or least squares."""
    if kind == "continuous":
        model = LinearRegression() if least_squares else RidgeCV(RIDGE_ALPHAS, alpha_per_target=True)
        return make_pipeline(StandardScaler(), model)
    # Ten times the default tolerance halves the run time, and changes scores by a sample or two.
    return make_pipeline(StandardScaler(), LogisticRegression(tol=1e-3, max_iter=1000))


def shuffle_by_group(values: AnyArray, groups: AnyArray, rng: np.random.Generator) -> AnyArray:
    """
    Shuffle an attribute of shape (n,) so that the values of a group stay together.

    If each group has one value, groups swap values. Otherwise each group takes the values of one donor group:
    the first of them if it has fewer samples, all of them repeatedly if it has more.

    >>> rng = np.random.default_rng(0)
    >>> shuffle_by_group(np.array([1, 1, 2, 3, 3]), np.array(["a", "a", "b", "c", "c"]), rng).tolist()
    [3, 3, 1, 2, 2]
    """
    _, first, group_of, sizes = np.unique(groups, return_index=True, return_inverse=True, return_counts=True)
    of_group = values[first]
    if np.array_equal(of_group[group_of], values):
        return np.asarray(rng.permutation(of_group)[group_of])
    by_group = np.argsort(group_of, kind="stable")
    blocks = np.split(values[by_group], np.cumsum(sizes)[:-1])
    shuffled = np.empty_like(values)
    donors = rng.permutation(len(blocks))
    shuffled[by_group] = np.concatenate(
        [np.resize(blocks[donor], size) for donor, size in zip(donors, sizes, strict=True)]
    )
    return shuffled


def score_probe(
    train: Samples,
    test: Samples,
    kind: Kind,
    *,
    least_squares: bool = False,
    n_permutations: int = N_PERMUTATIONS,
    n_bootstraps: int = 1000,
    random_state: int = 0,
) -> pd.DataFrame:
    """
    Fit a probe on training samples and score it on test samples.

    Parameters
    ----------
    train, test : Samples
        Samples with at least two distinct values in each set, and no group in both.
    kind : {"categorical", "continuous"}
        Logistic regression: balanced accuracy, accuracy and, for two classes, AUC. Or ridge regression, with
        a penalty by leave-one-out: mean absolute error (mae) and R2.
    least_squares : bool, default=False
        Without a penalty, as in the paper: poor with many dimensions and few samples.
    n_permutations : int, default=100
        Probes on values shuffled by group, within train and within test, for the p-value; 0 for none.
    n_bootstraps : int, default=1000
        Resamples of the test groups, for the interval; 0 for none.
    random_state : int, default=0
        Seed of shuffles and resamples, which are the same for two spaces scored with one seed.

    Returns
    -------
    DataFrame
        One row per metric: metric, score, low and high (95 % interval; NaN with fewer than two test groups),
        chance (of the most frequent class of train; for mae of its median, for r2 of its mean), p_value
        ((b + 1) / (n_permutations + 1), where b shuffled probes do at least as well; NaN without
        permutations), n_train, n_test, n_test_groups.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> codes, groups = rng.normal(size=(60, 2)), np.arange(60)
    >>> sex = np.where(codes[:, 0] > 0, "F", "M")
    >>> train, test = Samples(codes[:40], sex[:40], groups[:40]), Samples(codes[40:], sex[40:], groups[40:])
    >>> score_probe(train, test, "categorical", n_permutations=19)["metric"].tolist()
    ['balanced_accuracy', 'accuracy', 'auc']
    """
    values, truth = as_numbers(train, test, kind)
    shuffling, resampling = map(np.random.default_rng, np.random.SeedSequence(random_state).spawn(2))
    # Test values are shuffled too. Scored on true test values, a shuffled probe on one strong dimension would
    # be right for all samples half of the time, when its sign is right by chance, and would hide any leak.
    targets, truths = (
        np.stack([true, *(shuffle_by_group(true, samples.groups, shuffling) for _ in range(n_permutations))])
        for true, samples in ((values, train), (truth, test))
    )
    outputs = _outputs(make_probe(kind, least_squares=least_squares), train.codes, targets, test.codes, kind)
    weights, n_groups = resampling_weights(test.groups, n_bootstraps, resampling)
    rows = []
    for metric in METRICS[kind]:
        if metric.reads not in outputs:
            continue
        # The first row holds the true values, the others shuffled values.
        output, *shuffled = outputs[metric.reads]
        scored = metric.with_interval(truth, output, weights, n_groups)
        null = [metric.once(*row) for row in zip(truths[1:], shuffled, strict=True)]
        # Ties count in b despite rounding errors, and so do shuffles whose score is NaN.
        b = np.sum(~(metric.better * np.array(null) < metric.better * scored[0] - 1e-12))
        p_value = (b + 1) / (n_permutations + 1) if n_permutations else np.nan
        numbers = metric.chance(values, truth), p_value, len(values), len(truth), n_groups
        rows.append((metric.name, *scored, *numbers))
    return pd.DataFrame(rows, columns=SCORE_COLUMNS)


def as_numbers(train: Samples, test: Samples, kind: Kind) -> tuple[AnyArray, AnyArray]:
    """Return both sets of values as numbers: sorted classes of train as 0, 1, .., others in test as -1."""
    if kind == "continuous":
        return np.asarray(train.values, float), np.asarray(test.values, float)
    numbers, classes = pd.factorize(train.values, sort=True)
    return numbers, pd.Index(classes).get_indexer(test.values)


def _outputs(
    probe: Pipeline, train_codes: FloatArray, targets: AnyArray, test_codes: FloatArray, kind: Kind
) -> dict[str, AnyArray]:
    """Fit the probe on each row of `targets`; return test outputs by method name, a row for each."""
    scaler, model = probe
    X = scaler.fit_transform(train_codes)  # the same for all rows: scaling ignores the targets
    X_test = scaler.transform(test_codes)
    if kind == "continuous":  # one fit for all rows; the ridge penalty is chosen for each
        return {"predict": model.fit(X, targets.T).predict(X_test).reshape(len(X_test), -1).T}
    predicted, decision = [], []
    binary = len(np.unique(targets[0])) == 2
    for target in targets:
        if (target == target[0]).all():  # the shuffle left a single class, which cannot be fitted
            predicted.append(np.full(len(X_test), target[0]))
            decision.append(np.zeros(len(X_test)))
            continue
        model.fit(X, target)
        predicted.append(model.predict(X_test))
        if binary:
            decision.append(model.decision_function(X_test))
    return {"predict": np.stack(predicted)} | ({"decision_function": np.stack(decision)} if binary else {})
