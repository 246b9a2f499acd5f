"""Agreement of an estimated map of the pathology with the true map."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from sepvae.batch import FloatArray
from sepvae.errors import DataError


class MapScores(NamedTuple):
    """
    Agreement of an estimated map with the true one.

    Parameters
    ----------
    correlation : float
        Pearson correlation over voxels; NaN if either map is constant.
    dice : float
        Overlap of the strongest voxels, 0 to 1; NaN if the true map is 0 everywhere.
    """

    correlation: float
    dice: float


def map_scores(
    estimate: npt.NDArray[Any], truth: npt.NDArray[Any], mask: npt.NDArray[Any] | None = None
) -> MapScores:
    """
    Compare an estimated map with the true one by correlation and by the overlap of their strongest voxels.

    The strongest voxels of the true map are those above half of its largest absolute value; k is their
    number. The strongest voxels of the estimate are the k of largest absolute value, so its scale does not
    matter. A voxel is in both sets only if its sign is right, and never if the estimate is 0. Voxels of the
    estimate that tie for the last places share these places equally.

    Parameters
    ----------
    estimate, truth : ndarray of one shape
        Maps, such as volumes (x, y, z) or effects of regions (n,).
    mask : ndarray of that shape or None, default=None
        Voxels other than 0 are compared; None for all. Zeros around a brain raise the correlation.

    Returns
    -------
    MapScores
        Correlation and Dice. An estimate of 0 everywhere has Dice 0 and correlation NaN; a true map of 0
        everywhere, as of a control, has NaN for both.

    Raises
    ------
    DataError
        If the shapes differ, the mask is empty, or a compared voxel is not finite.

    Examples
    --------
    >>> scores = map_scores(np.array([-4.0, -1.0, 2.0, 0.0]), np.array([-3.0, -2.0, 0.0, 0.0]))
    >>> round(scores.correlation, 3), scores.dice
    (0.911, 0.5)
    """
    inside = np.ones(truth.shape, bool) if mask is None else np.asarray(mask) != 0
    for name, array in (("estimate", estimate), ("mask", inside)):
        if array.shape != truth.shape:
            raise DataError(
                f"{name}: wanted the shape of the true map, {truth.shape}, got {array.shape}; bring both to "
                "one grid"
            )
    if not inside.any():
        raise DataError("mask: wanted voxels that count, got none")
    found, true = (np.asarray(array[inside], dtype=np.float64) for array in (estimate, truth))
    for name, values in (("estimate", found), ("truth", true)):
        if n_bad := int((~np.isfinite(values)).sum()):
            raise DataError(
                f"{name}: wanted finite numbers in the mask, got NaN or infinite values in {n_bad} of "
                f"{len(values)} voxels; leave them out of the mask"
            )
    return MapScores(_correlation(found, true), _dice(found, true))


def _correlation(found: FloatArray, true: FloatArray) -> float:
    if np.ptp(found) == 0 or np.ptp(true) == 0:
        return float("nan")
    return float(np.corrcoef(found, true)[0, 1])


def _dice(found: FloatArray, true: FloatArray) -> float:
    """Return the Dice overlap; both sets have k voxels, so it is the number of shared voxels over k."""
    if not true.any():
        return float("nan")
    strength = np.abs(found)
    wanted = np.abs(true) > np.abs(true).max() / 2
    right = wanted & (found * np.sign(true) > 0)
    k = int(wanted.sum())
    last = np.partition(strength, -k)[-k]  # the k-th largest
    above, tied = strength > last, strength == last
    share = (k - above.sum()) / tied.sum()
    return float(((above & right).sum() + share * (tied & right).sum()) / k)
