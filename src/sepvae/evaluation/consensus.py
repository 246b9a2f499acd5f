"""Consensus subtypes: clusters of patients on which several fits agree, beside one Gaussian for all fits."""

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import squareform
from sklearn import config_context
from threadpoolctl import threadpool_limits

from sepvae.batch import AnyArray, FloatArray, IntArray
from sepvae.errors import DataError
from sepvae.evaluation.agreement import adjusted_rand
from sepvae.evaluation.clusters import Clusters, components
from sepvae.evaluation.metrics import MAX_P
from sepvae.evaluation.subtypes import MAX_CLUSTERS, STABLE, best_number, single_gaussian, statistics
from sepvae.progress import Progress

N_NULL = 99
MOST = 2000  # patients whose co-assignment makes the tree; the others get the subtype that the fits vote for


class Consensus(NamedTuple):
    """Subtypes from several fits, and what speaks for them."""

    votes: IntArray  # (n_people, n_fits), subtype from 0 by each fit; -1 where the vote does not count
    n_clusters: int
    agreement: float  # mean adjusted Rand index of pairs of fits on the patients whom they learnt from
    p_value: float  # the larger one of likelihood ratio and gap; NaN where the fits do not agree

    @property
    def found(self) -> bool:
        """Whether there are consensus subtypes."""
        return is_consensus(self.agreement, self.p_value)

    @property
    def subtype(self) -> IntArray:
        """Subtype that most fits give (n_people,), 0 the largest; -1 of people without a vote that counts."""
        counts = self._counts()
        return np.asarray(np.where(counts.any(axis=1), counts.argmax(axis=1), -1))

    @property
    def share(self) -> FloatArray:
        """Share of the fits that give a person this subtype (n_people,); NaN with fewer than two votes."""
        counts = self._counts()
        n = counts.sum(axis=1)
        return np.asarray(np.divide(counts.max(axis=1), n, out=np.full(len(n), np.nan), where=n > 1))

    def _counts(self) -> IntArray:
        return np.asarray((self.votes[:, :, None] == np.arange(self.n_clusters)).sum(axis=1))


def is_consensus(agreement: float, p_value: float) -> bool:
    """Return whether fits agree on clusters that no single Gaussian has; a NaN says no."""
    return bool(agreement >= STABLE and p_value <= MAX_P)


def find_consensus(
    codes: Sequence[FloatArray],
    learnt: AnyArray,
    *,
    n_null: int = N_NULL,
    random_state: int = 0,
    progress: Progress | None = None,
) -> Consensus:
    """
    Combine the clusters of several fits into consensus subtypes, and compare them with one Gaussian.

    Each fit clusters the codes of the patients whom it learnt from, and assigns all others. The number of
    clusters is that of the lowest mean BIC among those on which the fits agree (mean adjusted Rand index of
    pairs of at least 0.8); without such a one, of the highest agreement. Average linkage of the share of fits
    that put two patients together [1]_ names the subtypes; each fit votes for one subtype of each person.

    The null is one Gaussian for the codes of all fits at once: its fits agree as much as the observed ones,
    but nothing is clustered. Likelihood ratio and gap, as in `find_subtypes`, are means over fits.

    Parameters
    ----------
    codes : sequence of ndarray of shape (n_people, dimensions)
        Salient posterior means of the same patients by two fits or more, one row each.
    learnt : ndarray of bool of shape (n_fits, n_people)
        Patients whom a fit learnt from, 30 or more. Where fits learnt from different people, as those of
        bootstraps and folds do, the votes on a person are of the fits that did not learn from the person.
    n_null : int, default=99
        Samples of the null; drawn only where the fits agree.
    random_state : int, default=0
        Seed of the null.
    progress : callable or None, default=None
        Called as `progress(done, total)`.

    Returns
    -------
    Consensus
        Votes of each fit, number of subtypes, agreement and p-value.

    Raises
    ------
    DataError
        If there is one fit only, or codes of a fit are too few or do not vary.

    References
    ----------
    .. [1] S. Monti, P. Tamayo, J. Mesirov, T. Golub, "Consensus Clustering: A Resampling-Based Method for
       Class Discovery and Visualization of Gene Expression Microarray Data", Machine Learning 52, 2003.

    Examples
    --------
    >>> codes = np.random.default_rng(0).normal(size=(60, 1)) + 6 * (np.arange(60) % 2)[:, None]
    >>> learnt = np.ones((2, 60), bool)
    >>> find_consensus([codes, -codes], learnt, n_null=19).found
    True
    """
    if len(codes) < 2:
        raise DataError(f"consensus: wanted two fits or more, got {len(codes)}")
    known = np.asarray(learnt.any(axis=0))
    with threadpool_limits(1), config_context(assume_finite=True, skip_parameter_validation=True):
        labels: dict[int, IntArray] = {}
        rows: list[dict[str, float]] = []
        for n in range(2, MAX_CLUSTERS + 1):
            fitted = [Clusters(of_fit[who], n) for of_fit, who in zip(codes, learnt, strict=True)]
            labels[n] = np.array([one.assign(of_fit) for one, of_fit in zip(fitted, codes, strict=True)])
            bic = float(np.mean([one.bic_ for one in fitted]))
            rows.append({"n_clusters": n, "bic": bic} | _agreement(labels[n][:, known], n))
        n = best_number(pd.DataFrame(rows))
        agreement, p = rows[n - 2]["stability"], np.nan
        if agreement >= STABLE:
            points = [components(of_fit[known]).transform(of_fit[known]) for of_fit in codes]
            p = _null(points, n, n_null, np.random.default_rng(random_state), progress)
    votes = _votes(labels[n], known, n)
    if (learnt != learnt[0]).any():
        votes[learnt.T] = -1
    return Consensus(votes, n, agreement, p)


def _agreement(labels: IntArray, n_clusters: int) -> dict[str, float]:
    """Return how far fits (n_fits, n_people) agree, and the mean share of people in the smallest cluster."""
    pairs = [adjusted_rand(a, b) for a, b in combinations(labels, 2)]
    smallest = [np.bincount(of_fit, minlength=n_clusters).min() / len(of_fit) for of_fit in labels]
    return {"stability": float(np.mean(pairs)), "smallest": float(np.mean(smallest))}


def _null(
    points: Sequence[FloatArray],
    n_clusters: int,
    n_null: int,
    rng: np.random.Generator,
    progress: Progress | None,
) -> float:
    """Return the larger p-value of likelihood ratio and gap against one Gaussian for all fits."""
    ends, null = np.cumsum([of_fit.shape[1] for of_fit in points])[:-1], []

    def over_fits(parts: Sequence[FloatArray]) -> "pd.Series[float]":
        return pd.DataFrame([statistics(part, n_clusters) for part in parts]).mean()

    observed = over_fits(points)
    for i, draw in enumerate(single_gaussian(np.hstack(points), n_null, rng), start=1):
        null.append(over_fits(np.split(draw, ends, axis=1)))
        if progress is not None:
            progress(i, n_null)
    return float((((pd.DataFrame(null) >= observed - 1e-12).sum() + 1) / (n_null + 1)).max())


def _votes(labels: IntArray, known: AnyArray, n_clusters: int) -> IntArray:
    """Return the subtype that each fit gives to each person (n_people, n_fits), from cluster numbers."""
    chosen = np.flatnonzero(known)
    chosen = chosen[:: -(-len(chosen) // MOST)]
    apart = 1 - together(labels[:, chosen])
    tree = linkage(squareform(apart, checks=False), "average")
    cut = fcluster(tree, n_clusters, "maxclust") - 1
    order = np.argsort(-np.bincount(cut, minlength=n_clusters), kind="stable")
    subtype, votes = np.argsort(order)[cut], []
    for of_fit in labels:  # each cluster of a fit is the subtype that shares most of its people
        shared = np.zeros((n_clusters, n_clusters))
        np.add.at(shared, (of_fit[chosen], subtype), 1)
        votes.append(linear_sum_assignment(-shared)[1][of_fit])
    return np.stack(votes, axis=1)


def together(labels: IntArray) -> FloatArray:
    """
    Return the share of fits that put two people together, (n_people, n_people), from (n_fits, n_people).

    Negative labels do not count; the share is NaN of two people whom no fit has both.

    >>> together(np.array([[0, 0, 1], [1, 0, 0]])).tolist()
    [[1.0, 0.5, 0.0], [0.5, 1.0, 0.5], [0.0, 0.5, 1.0]]
    """
    same = np.zeros((labels.shape[1],) * 2)
    both = np.zeros_like(same)
    for of_fit in labels:
        known = of_fit >= 0
        counted = known[:, None] & known
        same += counted & (of_fit[:, None] == of_fit)
        both += counted
    return np.asarray(np.divide(same, both, out=np.full_like(same, np.nan), where=both > 0))
