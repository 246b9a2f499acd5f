"""Tests of group differences in maps: corrected for all voxels by permutations, voxel- and cluster-wise."""

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import linalg, ndimage, stats

from sepvae.batch import AnyArray, FloatArray
from sepvae.codes import attribute_kinds
from sepvae.errors import DataError
from sepvae.evaluation.metrics import MAX_P

N_PERMUTATIONS = 1000
FORMING = 0.001  # share of values without an effect, above which voxels form a cluster
IN_FORMING = 100  # permutations behind the threshold of clusters of differences
ROUNDING = 1e-6  # of the largest standard deviation: values that vary less are rounding errors
Mask = npt.NDArray[np.bool_]


class GroupTest(NamedTuple):
    """
    Test of a group difference in each of v values.

    `logp` and `cluster_logp` are -log10 of p-values that hold for all values together (family-wise error):
    by the largest absolute statistic, and by the largest mass of a cluster.
    """

    statistic: FloatArray  # (v,), a difference or t; 0 where nothing varies
    logp: FloatArray  # (v,)
    cluster_logp: FloatArray | None  # (v,), 0 outside of clusters; None without a mask
    forming: float  # absolute statistic above which voxels form a cluster

    @property
    def found(self) -> Mask:
        """Values with a corrected p of 0.05 or less."""
        return at_most_005(self.logp)

    @property
    def outlined(self) -> Mask:
        """Values that are found, or in a cluster with a corrected p of 0.05 or less."""
        return self.found if self.cluster_logp is None else self.found | at_most_005(self.cluster_logp)


def at_most_005(logp: FloatArray) -> Mask:
    """Return where -log10 of p stands for a p of 0.05 or less."""
    return np.asarray(10**-logp <= MAX_P + 1e-9)


def t_test(
    values: AnyArray,
    is_target: Mask,
    covariates: pd.DataFrame | None = None,
    mask: Mask | None = None,
    *,
    n_permutations: int = N_PERMUTATIONS,
    random_state: int = 0,
) -> GroupTest:
    """
    Test by t in each value whether targets differ from the background, given covariates.

    The linear model is value ~ 1 + target + covariates. The t of `target` is compared with the largest |t| of
    models in which people are permuted, and the mass of each cluster (sum of |t| above the threshold) with
    the largest mass, by nilearn's `permuted_ols`. With covariates, residuals are permuted (Freedman and
    Lane, 1983; Winkler et al., 2014, NeuroImage 92).

    Parameters
    ----------
    values : ndarray of shape (n, v)
        Values of n people, without gaps.
    is_target : ndarray of bool, of shape (n,)
        Whether a person is a target.
    covariates : DataFrame of n rows or None, default=None
        Covariates without gaps; words and whole numbers with at most 20 values are classes.
    mask : ndarray of bool, of shape (x, y, z), or None, default=None
        Where the v values lie, in C order; voxels with a common face are neighbours. None: no clusters.
    n_permutations : int, default=1000
        Number of permutations; the least p-value is 1 / (n_permutations + 1), of a cluster
        1 / n_permutations. 0 gives t alone.
    random_state : int, default=0
        Seed of the permutations.

    Returns
    -------
    GroupTest
        The test.

    Raises
    ------
    DataError
        If a group has fewer than 2 people, or covariates explain the groups or leave no degree of freedom.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(40, 3)) + np.outer(np.arange(40) % 2, [0.0, 3.0, 0.0])
    >>> t_test(x, np.arange(40) % 2 == 1, n_permutations=99).found.tolist()
    [False, True, False]
    """
    from nilearn.mass_univariate import permuted_ols

    extra = _design(covariates, is_target)
    spread = values.std(axis=0)
    varies = spread > ROUNDING * spread.max(initial=0)
    t, logp, clusters = (np.zeros(values.shape[1]) for _ in range(3))
    forming = float(stats.t.isf(FORMING / 2, len(values) - extra.shape[1] - 2))
    if varies.any():
        how: dict[str, Any] = {"n_perm": n_permutations, "random_state": random_state}
        if mask is not None and n_permutations:
            how |= {"masker": _masker(mask, varies), "threshold": FORMING}
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Data array used to create")  # counts in 64 bits
            found = permuted_ols(
                is_target.astype(float), values[:, varies].astype(float), extra if extra.size else None, **how
            )
        t[varies] = found["t"][0]
        logp[varies] = found.get("logp_max_t", logp[None, varies])[0]
        clusters[varies] = found.get("logp_max_mass", clusters[None, varies])[0]
    return GroupTest(t, logp, None if mask is None else clusters * (np.abs(t) > forming), forming)


def difference_test(
    values: AnyArray,
    is_target: Mask,
    covariates: pd.DataFrame | None = None,
    mask: Mask | None = None,
    *,
    n_permutations: int = N_PERMUTATIONS,
    random_state: int = 0,
) -> GroupTest:
    """
    Test whether the difference between the groups, in the units of the values, is larger than by chance.

    As `t_test`, but the statistic is the coefficient of `target` (target minus background), not its t: maps
    of a model have no noise in single voxels, so a voxel that the model hardly changes may have a large t.
    The threshold that forms clusters is the one that 0.1 % of permuted differences exceed.

    >>> x = np.random.default_rng(0).normal(size=(40, 3)) + np.outer(np.arange(40) % 2, [0.0, 3.0, 0.0])
    >>> difference_test(x, np.arange(40) % 2 == 1, n_permutations=99).found.tolist()
    [False, True, False]
    """
    design, _ = np.linalg.qr(np.column_stack([np.ones(len(values)), _design(covariates, is_target)]))
    y, group = (x - design @ (design.T @ x) for x in (values.astype(float), is_target.astype(float)))
    group /= group @ group
    rng, difference = np.random.default_rng(random_state), group @ y
    orders = [rng.permutation(len(group)) for _ in range(n_permutations)]
    # A permuted group has a part along the design, where residuals are 0: its differences are too small.
    larger = group * np.sqrt((len(group) - 1) / (len(group) - design.shape[1]))
    some = np.abs([difference, *(larger[order] @ y for order in orders[:IN_FORMING])])
    forming = float(np.quantile(some, 1 - FORMING)) if some.size else 0.0
    largest, masses = np.zeros(n_permutations), np.zeros(n_permutations)
    for i, order in enumerate(orders):
        permuted = larger[order] @ y
        largest[i] = np.abs(permuted).max(initial=0)
        if mask is not None:
            masses[i] = _masses(permuted, mask, forming).max(initial=0)
    clusters = None if mask is None else -np.log10(p_by_largest(_masses(difference, mask, forming), masses))
    return GroupTest(difference, -np.log10(p_by_largest(difference, largest)), clusters, forming)


def p_by_largest(statistic: FloatArray, largest: Sequence[float] | FloatArray) -> FloatArray:
    """
    Return a p-value of each statistic (v,) by the largest absolute ones of maps without an effect.

    It is corrected for all values; the least one is 1 / (number of maps + 1).

    >>> p_by_largest(np.array([1.0, -9.0]), [2.0, 3.0, 0.5]).tolist()
    [0.75, 0.25]
    """
    below = np.searchsorted(np.sort(largest), np.abs(statistic) * (1 - 1e-12))  # equal ones are not below
    return np.asarray((1 + len(largest) - below) / (len(largest) + 1))


def cluster_table(
    statistic: AnyArray, logps: Sequence[AnyArray], forming: float, affine: FloatArray
) -> pd.DataFrame:
    """
    Return one row for each cluster of a test, given as volumes (x, y, z), the smallest p first.

    `logps` are -log10 of p by voxel and by cluster; p_peak is that of the voxel at x_mm, y_mm, z_mm.
    """
    labels, n = _clusters(statistic, forming)
    peaks, rows = ndimage.maximum_position(np.abs(statistic), labels, range(1, n + 1)), []
    for k, peak in enumerate(peaks, start=1):
        at = tuple(map(int, peak))
        size = (labels == k).sum() * abs(np.linalg.det(affine[:3, :3]))
        of_peak, of_cluster = (10 ** -logp[at] for logp in logps)
        rows.append([*(affine @ [*at, 1])[:3], statistic[at], of_peak, size, of_cluster])
    columns = ["x_mm", "y_mm", "z_mm", "statistic", "p_peak", "size_mm3", "p_cluster"]
    table = pd.DataFrame(rows, columns=columns, dtype=float)
    table = table.sort_values(["p_cluster", "size_mm3"], ascending=[True, False], kind="stable")
    return table.round({"x_mm": 1, "y_mm": 1, "z_mm": 1, "size_mm3": 0, "p_peak": 6, "p_cluster": 6})


def _design(covariates: pd.DataFrame | None, is_target: Mask) -> FloatArray:
    """Return orthonormal columns that span covariates, (n, k); raise unless they leave something to test."""
    extra = np.empty((len(is_target), 0))
    if covariates is not None and len(covariates.columns):
        kinds = attribute_kinds(covariates)
        classes = [name for name, kind in kinds.items() if kind == "categorical"]
        as_text = covariates.astype(dict.fromkeys(classes, str))
        x = pd.get_dummies(as_text, columns=classes, drop_first=True).to_numpy(dtype=float)
        x = x[:, np.ptp(x, axis=0) > 0]  # constant ones would be a second intercept
        # Site and scanner may say the same: columns that others explain would cost degrees of freedom.
        extra = np.ascontiguousarray(linalg.orth((x - x.mean(axis=0)) / x.std(axis=0)))
    n, n_target, free = len(is_target), int(is_target.sum()), len(is_target) - extra.shape[1] - 2
    if min(n_target, n - n_target) < 2:
        got = f"got {n - n_target} and {n_target}"
        raise DataError(f"inference: wanted 2 held-out people of each group or more, {got}")
    names = ", ".join([] if covariates is None else map(str, covariates)) or "nothing"
    columns = [np.column_stack([np.ones(n), extra, *more]) for more in ([], [is_target])]
    if free < 1 or len({int(np.linalg.matrix_rank(x)) for x in columns}) == 1:
        fact = "they explain the groups" if free > 0 else f"{n} held-out people are too few"
        raise DataError(f"inference: cannot adjust for {names}: {fact}; name fewer by --adjust-for")
    return extra


def _masker(mask: Mask, varies: Mask) -> Any:
    """Return nilearn's masker of the voxels that vary; their distances do not matter."""
    from nibabel.nifti1 import Nifti1Image
    from nilearn.maskers import NiftiMasker

    inside = np.zeros(mask.shape, dtype=np.uint8)
    inside[mask] = varies
    return NiftiMasker(Nifti1Image(inside, np.eye(4))).fit()


def _clusters(volume: AnyArray, forming: float) -> tuple[AnyArray, int]:
    """Label voxels of one sign above the threshold that are connected by faces; return how many clusters."""
    more, n = ndimage.label(volume > forming)
    less, m = ndimage.label(volume < -forming)
    return more + np.where(less > 0, less + n, 0), n + m


def _masses(values: FloatArray, mask: Mask, forming: float) -> FloatArray:
    """Return the mass of the cluster of each value (v,): the sum of what is above the threshold."""
    volume = np.zeros(mask.shape)
    volume[mask] = values
    labels, n = _clusters(volume, forming)
    masses = np.zeros(n + 1)
    masses[1:] = ndimage.sum_labels(np.abs(volume) - forming, labels, range(1, n + 1))
    return np.asarray(masses[labels[mask]])
