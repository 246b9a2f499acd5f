"""
Agreement of several fits on the same held-out people: codes, axes, neighbours, subtypes and maps.

`compare_fits` takes tables of codes. Whatever aligns two fits is learnt on training people; each score has an
interval over held-out people and the agreement of shuffled people as its chance.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.linalg import orthogonal_procrustes
from sklearn.decomposition import PCA
from sklearn.metrics import pairwise_distances

from sepvae.batch import AnyArray, FloatArray, IntArray
from sepvae.codes import SPACES, Space, code_columns
from sepvae.errors import DataError
from sepvae.evaluation.clusters import MIN_PEOPLE, Clusters
from sepvae.evaluation.metrics import interval, intraclass_correlation
from sepvae.evaluation.probes import check_columns, shuffle_by_group

COLUMNS = ["space", "measure", "first", "second", "axis", "score", "low", "high", "chance", "p_value"]
NEAREST = 10  # neighbours of a person
CLUSTERS = (2, 3, 4)
KEPT = 0.99  # share of the variance of codes that canonical correlation reads; the rest is noise
MOST, LEAST = 2000, 10  # held-out samples: at most so many are compared, and at least so many are needed

Pair = tuple[AnyArray, AnyArray]  # what two fits say of the same people, a row each


class Part(NamedTuple):
    """Codes of one space and fit, of training and of held-out samples, a row each."""

    train: FloatArray
    test: FloatArray


def compare_fits(
    codes: Mapping[str, pd.DataFrame],
    *,
    n_permutations: int = 99,
    n_bootstraps: int = 200,
    random_state: int = 0,
) -> pd.DataFrame:
    """
    Compare the codes of two or more fits of one method on the same people.

    Salient codes are compared among targets, for the difference of the groups would make all fits alike;
    common codes among all. Measures are "alignment" (correlation of all codes after the rotation of one fit
    onto the other, Schönemann, 1966), "canonical correlation" (mean over directions, after principal
    components with 99 % of the variance: Raghu et al., 2017) and "neighbours" (share of the 10 nearest
    people, or of a third of all, that both fits have). Salient ones are also "subtypes, 2" to 4 (adjusted
    Rand index of Gaussian mixtures, of 30 training targets or more whose codes vary) and "axis" (correlation
    of an axis with its rotated counterpart, mean over the other fits).

    Parameters
    ----------
    codes : mapping of str to DataFrame
        Tables as `codes.csv` by name of the fit, with the same samples in the same order.
    n_permutations : int, default=99
        Shuffles of held-out people, whole groups, behind chance and p-values.
    n_bootstraps : int, default=200
        Resamples of held-out groups behind the intervals.
    random_state : int, default=0
        Seed of shuffles and resamples.

    Returns
    -------
    DataFrame
        Columns space, measure, first and second (two fits; empty in the mean over all pairs), axis, score,
        low and high (95 % interval over people of the mean), chance and p_value ((b + 1) / (n_permutations
        + 1), where b shuffles agree at least as well). In rows "central" the score is the mean alignment of
        salient codes of `first` with the other fits.

    Raises
    ------
    DataError
        If there are fewer than two fits or ten held-out targets, or the samples differ.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> about = {"id": range(80), "split": ["train", "test"] * 40, "group": range(80), "y": 1}
    >>> table = pd.DataFrame(about | dict(zip(["common0", "salient0", "salient1"], rng.normal(size=(3, 80)))))
    >>> turned = table.assign(salient0=table["salient1"], salient1=-table["salient0"])
    >>> found = compare_fits({"seed 0": table, "seed 1": turned}).query("measure == 'alignment'")
    >>> found.loc[found["first"] == "", "score"].round(6).tolist()
    [1.0, 1.0]
    """
    _check(codes)
    tables = []
    for space in SPACES[::-1]:
        people = _people(codes, space, n_permutations, n_bootstraps, random_state)
        found = [_scores(people, pairs, how).assign(measure=name) for name, pairs, how in _measures(people)]
        if space == "salient":
            found += [_axes(people), _central(found[0])]
        tables += [table.assign(space=space) for table in found]
    return pd.concat(tables, ignore_index=True).reindex(columns=COLUMNS)


def rotated(first: Part, second: Part) -> Pair:
    """Return held-out codes of both, the first rotated onto the second; the rotation is that of training."""
    means = [part.train.mean(axis=0) for part in (first, second)]
    rotation, _ = orthogonal_procrustes(first.train - means[0], second.train - means[1])
    return (first.test - means[0]) @ rotation, second.test - means[1]


def canonical_variates(first: Part, second: Part) -> Pair:
    """Return canonical variates of held-out codes, whose directions are learnt on training people."""
    (a, a_test), (b, b_test) = map(_leading, (first, second))
    left, _, right = np.linalg.svd(a.T @ b, full_matrices=False)
    return a_test @ left, b_test @ right.T


def _leading(part: Part) -> Part:
    """Return whitened principal components that hold nearly all variance of training; zeros for constants."""
    if not part.train.var(axis=0).sum():
        return Part(*(np.zeros((len(codes), 1)) for codes in part))
    pca = PCA(KEPT, whiten=True, svd_solver="full").fit(part.train)
    return Part(*map(pca.transform, part))


def correlations(a: AnyArray, b: AnyArray) -> FloatArray:
    """Return the correlation of each column of a with that of b; a constant correlates with nothing."""
    a, b = (values - values.mean(axis=0) for values in (a, b))
    norms = np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))
    return np.asarray(np.divide((a * b).sum(axis=0), norms, out=np.zeros(len(norms)), where=norms > 0))


def mean_correlation(a: AnyArray, b: AnyArray) -> float:
    """Return the mean correlation over columns."""
    return float(correlations(a, b).mean())


def congruence(a: AnyArray, b: AnyArray) -> float:
    """Return the correlation of all entries of two tables whose columns are centred: 1 if they are equal."""
    a, b = ((values - values.mean(axis=0)).reshape(-1, 1) for values in (a, b))
    return float(correlations(a, b)[0])


def nearest(codes: FloatArray, groups: AnyArray, k: int) -> IntArray:
    """Return the positions of the k nearest samples of other groups, (n, k)."""
    distances = pairwise_distances(codes)
    distances[groups[:, None] == groups] = np.inf
    return np.argsort(distances, axis=1, kind="stable")[:, :k]


def overlap(a: IntArray, b: IntArray) -> float:
    """Return the mean share of neighbours that two fits have in common."""
    return float((a[:, :, None] == b[:, None, :]).any(axis=2).mean())


def adjusted_rand(a: IntArray, b: IntArray) -> float:
    """
    Return the adjusted Rand index of cluster numbers: 1 if equal, 0 by chance, 0 if all are in one cluster.

    scikit-learn's has the same formula, with 8 ms of checks for each of thousands of shuffles.
    """
    table = np.bincount(a * (b.max() + 1) + b, minlength=(a.max() + 1) * (b.max() + 1))
    table = table.reshape(a.max() + 1, b.max() + 1).astype(float)
    both, of_a, of_b = ((n * (n - 1) / 2).sum() for n in (table, table.sum(axis=1), table.sum(axis=0)))
    chance, most = of_a * of_b / (len(a) * (len(a) - 1) / 2), (of_a + of_b) / 2
    return float((both - chance) / (most - chance)) if most > chance else 0.0


class PeopleByFits:
    """Group maps, and the intraclass correlation of targets over fits, from values in chunks of people."""

    def __init__(self, n_fits: int) -> None:
        self.n_fits, self.n, self.n_background = n_fits, 0, 0
        self._fits = self._background = np.zeros(())  # sums over the people of a group, (fits, ...)
        # Over targets (...): sum of squares, and of squared sums over fits.
        self._squares = self._rows = np.zeros(())

    def add(self, values: AnyArray, target: AnyArray) -> None:
        """Add values of shape (fits, people, ...), of whom `target` (people,) says who is a target."""
        values = values.astype(np.float64)
        targets, background = values[:, target], values[:, ~target]
        self.n, self.n_background = self.n + targets.shape[1], self.n_background + background.shape[1]
        self._fits = self._fits + targets.sum(axis=1)
        self._background = self._background + background.sum(axis=1)
        self._squares = self._squares + (targets**2).sum(axis=(0, 1))
        self._rows = self._rows + (targets.sum(axis=0) ** 2).sum(axis=0)

    def group_maps(self) -> FloatArray:
        """Return the mean of targets less that of the background by each fit, (fits, ...)."""
        return np.asarray(self._fits / self.n - self._background / max(self.n_background, 1))

    def icc(self) -> FloatArray:
        """Return the intraclass correlation of absolute agreement, with fits as raters of targets."""
        n, k = self.n, self.n_fits
        correction = self._fits.sum(axis=0) ** 2 / (n * k)
        rows, raters = self._rows / k - correction, (self._fits**2).sum(axis=0) / n - correction
        return intraclass_correlation(rows, raters, self._squares - correction, n, k)


class _People(NamedTuple):
    """Codes of one space by fit, and rows of held-out people in shuffles and resamples of whole groups."""

    space: Space
    parts: dict[str, Part]
    groups: AnyArray  # of held-out samples
    shuffles: list[IntArray]
    resamples: list[IntArray]


def _people(
    codes: Mapping[str, pd.DataFrame], space: Space, n_permutations: int, n_bootstraps: int, random_state: int
) -> _People:
    """Return those who are compared, at most MOST of them held out, in shuffles and resamples."""
    first = next(iter(codes.values()))
    asked = (first["y"] > 0 if space == "salient" else first["y"].notna()).to_numpy()
    held_out = (first["split"] == "test").to_numpy()
    train, test = np.flatnonzero(asked & ~held_out), np.flatnonzero(asked & held_out)
    test = test[:: -(-len(test) // MOST)]
    arrays = {name: table[code_columns(table, space)].to_numpy(float) for name, table in codes.items()}
    parts = {name: Part(array[train], array[test]) for name, array in arrays.items()}
    groups = first["group"].astype(str).to_numpy(str)[test]
    shuffling, drawing = map(np.random.default_rng, np.random.SeedSequence(random_state).spawn(2))
    rows_of = list(pd.Series(range(len(test))).groupby(groups).indices.values())
    draws = drawing.integers(len(rows_of), size=(n_bootstraps, len(rows_of)))
    resamples = [np.concatenate([rows_of[i] for i in draw]) for draw in draws]
    shuffles = [shuffle_by_group(np.arange(len(test)), groups, shuffling) for _ in range(n_permutations)]
    return _People(space, parts, groups, shuffles, resamples)


Prepared = dict[tuple[str, str], Pair]  # by names of two fits


def _measures(people: _People) -> Iterator[tuple[str, Prepared, Callable[[Any, Any], float]]]:
    """Yield each measure: its name, the rows of people in each pair of fits, and how such rows agree."""
    parts, groups = people.parts, people.groups
    pairs = list(combinations(parts, 2))
    yield "alignment", {(a, b): rotated(parts[a], parts[b]) for a, b in pairs}, congruence
    variates = {(a, b): canonical_variates(parts[a], parts[b]) for a, b in pairs}
    yield "canonical correlation", variates, mean_correlation
    k = min(NEAREST, max(len(np.unique(groups)) // 3, 1))
    near = {name: nearest(part.test, groups, k) for name, part in parts.items()}
    yield "neighbours", {(a, b): (near[a], near[b]) for a, b in pairs}, overlap
    known = all(len(part.train) >= MIN_PEOPLE and part.train.var(axis=0).any() for part in parts.values())
    for n in CLUSTERS if people.space == "salient" and known else ():
        of = {name: Clusters(part.train, n).assign(part.test) for name, part in parts.items()}
        yield f"subtypes, {n}", {(a, b): (of[a], of[b]) for a, b in pairs}, adjusted_rand


def _scores(people: _People, prepared: Prepared, agreement: Callable[[Any, Any], float]) -> pd.DataFrame:
    """Return a row for each pair of fits, then one for their mean."""
    pairs = prepared.values()
    scores = np.array([agreement(a, b) for a, b in pairs])
    null = np.array([[agreement(a, b[rows]) for rows in people.shuffles] for a, b in pairs])
    resampled = np.array([[agreement(a[rows], b[rows]) for rows in people.resamples] for a, b in pairs])
    low, high = interval(resampled.mean(axis=0), scores.mean(), len(np.unique(people.groups)))
    b = (null.mean(axis=0) >= scores.mean() - 1e-12).sum()
    table = pd.DataFrame([*prepared, ("", "")], columns=["first", "second"])
    table["score"], table["chance"] = [*scores, scores.mean()], [*null.mean(axis=1), null.mean()]
    of_mean = {"low": low, "high": min(high, 1.0), "p_value": (b + 1) / (null.shape[1] + 1)}
    return table.assign(**{name: [np.nan] * len(scores) + [value] for name, value in of_mean.items()})


def _axes(people: _People) -> pd.DataFrame:
    """Return how well each axis of each fit is found in the others, the best axis of a fit first."""
    rows = []
    for name, part in people.parts.items():
        others = [rotated(other, part) for key, other in people.parts.items() if key != name]
        scores = np.mean([correlations(a, b) for a, b in others], axis=0)
        null = np.mean([correlations(a, b[rows]) for a, b in others for rows in people.shuffles], axis=0)
        order = np.argsort(-scores, kind="stable")
        rows += [("axis", name, "", f"salient{i}", scores[i], null[i]) for i in order]
    return pd.DataFrame(rows, columns=["measure", "first", "second", "axis", "score", "chance"])


def _central(alignment: pd.DataFrame) -> pd.DataFrame:
    """Return the mean score of each fit over the pairs that it is in, the most central fit first."""
    pairs = alignment[alignment["second"] != ""]
    both = pd.concat([pairs, pairs.assign(first=pairs["second"])])
    means = both.groupby("first", sort=False)[["score", "chance"]].mean().reset_index()
    means = means.sort_values("score", ascending=False, kind="stable")
    return means.assign(measure="central", second="")


def _check(codes: Mapping[str, pd.DataFrame]) -> None:
    """Raise DataError unless these are two fits or more of the same people, enough of whom are held out."""
    if len(codes) < 2:
        raise DataError(f"fits: wanted two or more to compare, got {len(codes)}")
    (first, like), *_ = codes.items()
    for name, table in codes.items():
        check_columns(table, "id", "split", "group", "y", "common0", "salient0")
        # Which of the training samples are for validation differs with the seed.
        sides = (table["split"] == "test").equals(like["split"] == "test")
        if not (sides and table["id"].equals(like["id"])):
            raise DataError(f"fits: wanted the same samples in the same order, {name} and {first} differ")
    check_held_out(int(((like["split"] == "test") & (like["y"] > 0)).sum()))


def check_held_out(n: int) -> None:
    """Raise DataError unless so many held-out targets are enough to compare fits on."""
    if n < LEAST:
        wanted = f"wanted {LEAST} or more to compare fits on"
        raise DataError(f"held-out targets: {wanted}, got {n}; raise --test-size")
