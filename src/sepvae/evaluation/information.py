"""Estimators of information in nats: what two codes share, and what a code holds of the label."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import QuantileTransformer, StandardScaler
from sklearn.tree import DecisionTreeRegressor

from sepvae.batch import AnyArray, FloatArray, IntArray
from sepvae.evaluation.metrics import interval, resampling_weights
from sepvae.evaluation.probes import RIDGE_ALPHAS, shuffle_by_group

FOLDS = 5
RIDGES = (0.01, 0.1, 1.0, 10.0)  # added to variances of 1
STRENGTHS = (0.25, 0.5, 0.75, 1.0)  # of a critic; less than 1 where it is too sure of itself
MAX_PAIRS = 20  # canonical variates
MAX_LANDMARKS = 100  # of the kernel
EXTREME = 4.0  # standard deviations at which codes and variates are cut
LEAST_VARIANCE = 1e-3  # share of the largest variance, below which a dimension is left out
MIN_STRATUM = 10  # samples of like covariates, between which labels are exchanged

Variates = Callable[[FloatArray], FloatArray]


class Pair(NamedTuple):
    """Codes a and b of the same n samples, each of shape (n, dimensions)."""

    a: FloatArray
    b: FloatArray


@dataclass(frozen=True)
class Evidence:
    """Log-ratios (n, m) of p(a_i, b) over p(a_i) p(b) for m possible b, and the place of a sample's own b."""

    log_ratio: FloatArray
    own: IntArray
    strata: IntArray | None = None  # of samples (n,), within which permutations stay; None for one
    tested: FloatArray | None = None  # (n, m), for the p-value, where log-ratios were calibrated on samples

    def of(self, own: IntArray) -> FloatArray:
        """Return the information of each sample (n,), if its b is at these places."""
        return np.asarray(self.log_ratio[np.arange(len(own)), own])

    def score(
        self, groups: AnyArray, *, n_permutations: int, n_bootstraps: int, random_state: int = 0
    ) -> tuple[float, float, float, float]:
        """Return the mean over samples in nats, the ends of its interval over groups, and its p-value."""
        shuffling, resampling = map(np.random.default_rng, np.random.SeedSequence(random_state).spawn(2))
        of_samples = self.of(self.own)
        score = float(of_samples.mean())
        weights, n_groups = resampling_weights(groups, n_bootstraps, resampling)
        ends = interval(weights @ of_samples / weights.sum(axis=1), score, n_groups)
        fixed = self if self.tested is None else replace(self, log_ratio=self.tested)
        least = fixed.of(self.own).mean() - 1e-12
        shuffled = (self._shuffled(groups, shuffling) for _ in range(n_permutations))
        b = sum(fixed.of(own).mean() >= least for own in shuffled)
        return score, *ends, (b + 1) / (n_permutations + 1) if n_permutations else np.nan

    def _shuffled(self, groups: AnyArray, rng: np.random.Generator) -> IntArray:
        """Return the places (n,), shuffled between groups of one stratum."""
        if self.strata is None:
            return shuffle_by_group(self.own, groups, rng)
        shuffled = self.own.copy()
        for stratum in np.unique(self.strata):
            inside = self.strata == stratum
            shuffled[inside] = shuffle_by_group(self.own[inside], groups[inside], rng)
        return shuffled


def shared_information(train: Pair, train_groups: AnyArray, test: Pair) -> Evidence:
    r"""
    Estimate the mutual information of two codes by a critic that has learnt from other samples.

    The critic is the log-ratio of Gaussian canonical variates of both codes, each dimension made normal by
    its ranks first; with kernel features beside the codes where these help. Cross-validation on the training
    samples chooses ridge, features and strength by the information that the critic finds in left-out folds.
    Test samples are scored by the symmetric InfoNCE bound, which is at most log n and, apart from noise, at
    most the true information:

    .. math:: I(a; b) \ge E[f(a_i, b_i) - \tfrac12 \log \tfrac1n \sum_j e^{f(a_i, b_j)}
              - \tfrac12 \log \tfrac1n \sum_j e^{f(a_j, b_i)}]

    Parameters
    ----------
    train, test : Pair
        Codes of other people.
    train_groups : ndarray of shape (n_train,)
        Subject of each training sample; folds keep subjects whole.

    Returns
    -------
    Evidence
        Log-ratios of all pairs of test samples; 0 where cross-validation finds nothing.

    References
    ----------
    .. [1] A. van den Oord, Y. Li, O. Vinyals, "Representation Learning with Contrastive Predictive Coding",
       2018, arXiv:1807.03748.
    """
    critic = _best_critic(train, train_groups)
    n = len(test.a)
    ratio = np.zeros((n, n)) if critic is None else _normalised(critic(test))
    return Evidence(ratio, np.arange(n))


def label_information(
    codes: FloatArray,
    y: IntArray,
    groups: AnyArray,
    test_codes: FloatArray,
    test_y: IntArray,
    *,
    test_groups: AnyArray | None = None,
    given: tuple[FloatArray, FloatArray] | None = None,
) -> Evidence:
    """
    Estimate the information of codes about the label: its entropy less the cross-entropy of a classifier.

    The classifier is a logistic regression or gradient-boosted trees, mixed with the frequencies of the
    training labels: what predicts left-out folds of the training samples best. It has no information if
    nothing beats the frequencies. Its odds are brought to the frequencies of the test labels, which may be
    others. An encoder can tell apart the people that it was fitted on far better than others. So log-odds
    that predict test samples worse than their frequencies are calibrated on them, left-out folds by the
    others; the p-value is that of the classifier as it was fitted.

    With covariates of the training and the test samples as `given`, it is the information beyond them: the
    cross-entropy of the best classifier of covariates, less that of one of covariates and codes, from which
    what covariates predict of them was taken. Permutations are then of labels of people with about the same
    odds by their covariates.
    """
    frequency, of_test = (np.bincount(labels, minlength=2) / len(labels) for labels in (y, test_y))
    folds = list(StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0).split(codes, y, groups))
    shapes = ((len(of), 2) for of in (y, test_y))
    base = Prediction(*(np.broadcast_to(frequency, shape) for shape in shapes))
    if given is not None:
        base = _better(Pair(*given), y, folds, base)
        residuals = _without(Pair(codes, test_codes), Pair(*given))
        codes, test_codes = (np.hstack(part) for part in zip(given, residuals, strict=True))
    known = _better(Pair(codes, test_codes), y, folds, base)
    with_codes, without = (_log_probability(of.test, of_test / frequency) for of in (known, base))
    strata = None if given is None else _strata(without[:, 1])
    evidence = Evidence(with_codes - without, test_y, strata)
    if evidence.of(test_y).mean() >= 0:
        return evidence
    groups = np.arange(len(test_y)) if test_groups is None else test_groups
    both = Pair(*(_log_odds(np.exp(of))[:, None] for of in (with_codes, without)))
    return replace(evidence, log_ratio=_calibrated(both, test_y, groups), tested=evidence.log_ratio)


def _calibrated(odds: Pair, y: IntArray, groups: AnyArray) -> FloatArray:
    """Return log-ratios (n, 2) of labels by both log-odds (n, 1) to those by the second, cross-fitted."""
    n_folds = min(FOLDS, *(len(np.unique(groups[y == label])) for label in (0, 1)))
    if n_folds < 2:
        return np.zeros((len(y), 2))
    folds = list(StratifiedGroupKFold(n_folds, shuffle=True, random_state=0).split(odds.a, y, groups))
    both, second = (
        cross_val_predict(
            make_pipeline(StandardScaler(), LogisticRegression()), x, y, cv=folds, method="predict_proba"
        )
        for x in (np.hstack(odds), odds.b)
    )
    return np.asarray(np.log(both) - np.log(second))


class Prediction(NamedTuple):
    """Probabilities of both labels, (n, 2): of training samples by the other folds, and of test samples."""

    left_out: FloatArray
    test: FloatArray


def _without(codes: Pair, given: Pair) -> Pair:
    """Return codes (train, test) less what covariates predict of them, by a ridge with kernel features."""
    n, dims = given.a.shape
    kernel = Nystroem(gamma=1 / (2 * dims), n_components=min(MAX_LANDMARKS, n // FOLDS), random_state=0)
    features = FeatureUnion([("lines", "passthrough"), ("kernel", kernel)])
    model = make_pipeline(StandardScaler(), features, RidgeCV(RIDGE_ALPHAS)).fit(given.a, codes.a)
    of_train, of_test = (model.predict(x).reshape(len(x), -1) for x in given)
    return Pair(codes.a - of_train, codes.b - of_test)


def _better(x: Pair, y: IntArray, folds: list[tuple[IntArray, IntArray]], base: Prediction) -> Prediction:
    """Mix a prediction with that of a classifier of x (train, test), as far as left-out folds like it."""
    candidates = (
        make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000)),
        HistGradientBoostingClassifier(max_iter=50, max_leaf_nodes=8, random_state=0),
    )
    own = np.arange(len(y)), y
    best, chosen = float(np.log(base.left_out[own] + 1e-12).mean()), None
    for candidate in candidates:
        left_out = cross_val_predict(candidate, x.a, y, cv=folds, method="predict_proba")
        for strength in STRENGTHS:
            mixed = strength * left_out + (1 - strength) * base.left_out
            if (found := np.log(mixed[own] + 1e-12).mean()) > best:
                best, chosen = float(found), (candidate, strength, mixed)
    if chosen is None:
        return base
    candidate, strength, mixed = chosen
    probability = candidate.fit(x.a, y).predict_proba(x.b)
    return Prediction(mixed, strength * probability + (1 - strength) * base.test)


def _log_odds(probability: FloatArray) -> FloatArray:
    """Return log-odds (n,) of y = 1."""
    log = np.log(probability + 1e-12)
    return np.asarray(log[:, 1] - log[:, 0])


def _log_probability(probability: FloatArray, weights: FloatArray) -> FloatArray:
    """Return log-probabilities (n, 2) with their odds weighted: labels of the test part may be rarer."""
    odds = probability * weights
    return np.asarray(np.log(odds / odds.sum(axis=1, keepdims=True) + 1e-12))


def _strata(log_probability: FloatArray) -> IntArray:
    """Return strata (n,) of people with about the same probability of the label, MIN_STRATUM or more each."""
    probability = np.exp(log_probability)[:, None]
    tree = DecisionTreeRegressor(min_samples_leaf=MIN_STRATUM, random_state=0)
    return np.asarray(tree.fit(probability, probability[:, 0]).apply(probability))


def _normalised(ratio: FloatArray) -> FloatArray:
    """Return f - (log mean_j exp f_ij + log mean_i exp f_ij) / 2, whose diagonal is the InfoNCE bound."""
    rows, columns = (logsumexp(ratio, axis=axis, keepdims=True) for axis in (1, 0))
    return np.asarray(ratio - (rows + columns) / 2 + np.log(len(ratio)))


def _best_critic(train: Pair, groups: AnyArray) -> Callable[[Pair], FloatArray] | None:
    """Return the critic that finds most information in left-out folds; None if none finds any."""
    if not all(code.var(axis=0).any() for code in train):
        return None  # constant codes
    normal = [_as_normal(code) for code in train]
    base = Pair(*(function(code) for function, code in zip(normal, train, strict=True)))
    best, chosen = 0.0, None
    folds = list(GroupKFold(FOLDS, shuffle=True, random_state=0).split(base.a, groups=groups))
    for features in (_as_it_is, _kernel_features):
        maps = [features(code) for code in base]
        codes = Pair(*(function(code) for function, code in zip(maps, base, strict=True)))
        for ridge in RIDGES:
            correlations, left_out = _cross_fitted(codes, folds, ridge)
            if not correlations.any():
                continue
            ratios = [_log_ratio(pair, correlations) for pair in left_out]
            for strength in STRENGTHS:
                found = np.concatenate([np.diag(_normalised(strength * ratio)) for ratio in ratios])
                # Kernels must be better by more than noise.
                margin = 0.5 * found.std() / np.sqrt(len(found)) if features is _kernel_features else 0.0
                if (score := found.mean() - margin) > best:
                    best = float(score)
                    chosen = maps, _canonical(codes, ridge, len(correlations)), correlations, strength
    if chosen is None:
        return None
    maps, variates, correlations, strength = chosen

    def critic(test: Pair) -> FloatArray:
        steps = zip(normal, maps, variates, test, strict=True)
        pair = Pair(*(variate(features(scale(code))) for scale, features, variate, code in steps))
        return strength * _log_ratio(pair, correlations)

    return critic


def _as_normal(code: FloatArray) -> Variates:
    """Return a function that makes the dimensions in use standard normal by their ranks in these samples."""
    variances = code.var(axis=0)
    used = variances > LEAST_VARIANCE * max(variances.max(), 1e-12)
    n = min(1000, len(code))
    scale = QuantileTransformer(n_quantiles=n, output_distribution="normal", random_state=0)
    scale.fit(code[:, used])
    return lambda other: np.clip(scale.transform(other[:, used]), -EXTREME, EXTREME)


def _as_it_is(_: FloatArray) -> Variates:
    return lambda code: code


def _kernel_features(code: FloatArray) -> Variates:
    """Return a function that puts centred kernel features, of mean variance 1, beside a code."""
    landmarks = min(MAX_LANDMARKS, len(code) // FOLDS)
    kernel = Nystroem(gamma=1 / (2 * code.shape[1]), n_components=landmarks, random_state=0).fit(code)
    features = kernel.transform(code)
    mean, deviation = features.mean(axis=0), np.sqrt(features.var(axis=0).mean())
    return lambda other: np.hstack([other, (kernel.transform(other) - mean) / deviation])


def _canonical(codes: Pair, ridge: float, k: int) -> tuple[Variates, Variates]:
    """Return the first k canonical variates of both codes, of variance 1 in these samples, by ridge CCA."""
    centred = [code - code.mean(axis=0) for code in codes]
    n = len(codes.a)
    roots = [np.linalg.cholesky(x.T @ x / n + ridge * np.eye(x.shape[1])) for x in centred]
    cross = centred[0].T @ centred[1] / n
    whitened = np.linalg.solve(roots[1], np.linalg.solve(roots[0], cross).T).T
    left, _, right = np.linalg.svd(whitened, full_matrices=False)
    axes = [np.linalg.solve(roots[0].T, left[:, :k]), np.linalg.solve(roots[1].T, right[:k].T)]
    first, second = (_projection(*of) for of in zip(codes, axes, strict=True))
    return first, second


def _projection(code: FloatArray, axes: FloatArray) -> Variates:
    mean = code.mean(axis=0)
    deviation = ((code - mean) @ axes).std(axis=0)
    return lambda other: np.clip(
        (other - mean) @ (axes / np.where(deviation > 0, deviation, 1)), -EXTREME, EXTREME
    )


def _cross_fitted(
    codes: Pair, folds: list[tuple[IntArray, IntArray]], ridge: float
) -> tuple[FloatArray, list[Pair]]:
    """Return correlations of variates of left-out samples, 0 where they are noise, and those variates."""
    n = len(codes.a)
    k = min(codes.a.shape[1], codes.b.shape[1], max(1, n // 10), MAX_PAIRS)
    left_out = []
    for learnt, other in folds:
        variates = _canonical(Pair(*(code[learnt] for code in codes)), ridge, k)
        left_out.append(Pair(*(v(code[other]) for v, code in zip(variates, codes, strict=True))))
    u, v = (np.concatenate([getattr(pair, name) for pair in left_out]) for name in ("a", "b"))
    sizes = np.sqrt((u**2).mean(axis=0) * (v**2).mean(axis=0))
    found = (u * v).mean(axis=0) / np.where(sizes > 0, sizes, 1)
    return np.where(found > 2 / np.sqrt(n), np.minimum(found, 0.99), 0.0), left_out


def _log_ratio(pair: Pair, correlations: FloatArray) -> FloatArray:
    """Return log p(u, v) / (p(u) p(v)) of all pairs (n, n), u and v normal with these correlations."""
    r, inverse = correlations, 1 / (1 - correlations**2)
    u, v = ((code**2) @ (r**2 * inverse) / 2 for code in pair)
    return np.asarray(pair.a * (r * inverse) @ pair.b.T - u[:, None] - v[None] + np.log(inverse).sum() / 2)
