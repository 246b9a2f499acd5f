"""Sheet of single people: how far their salient code is from that of controls, and who is like them."""

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.covariance import LedoitWolf

from sepvae.batch import AnyArray, FloatArray
from sepvae.codes import Codes, code_columns

MIN_CONTROLS = 20  # held-out people, below which there is no centile; as many for training
N_NEAREST = 3
SHEET_COLUMNS = [
    *("salient_load", "salient_centile", "salient_centile_low", "salient_centile_high"),
    "nearest_patients",
]
NO_DIAGNOSIS = "This is no diagnosis."


def salient_sheet(
    codes: Codes[AnyArray], groups: "pd.Series[str]", known: pd.DataFrame
) -> tuple[pd.DataFrame, int]:
    r"""
    Return the salient load of samples as a centile of held-out controls, and their nearest patients.

    The load is the Mahalanobis distance of the salient mean from training controls, with their mean and
    shrunk covariance [1]_: s' = 0 is where a model wants controls, and their mean where it puts them.

    .. math:: l = \sqrt{(s - m)^T \Sigma^{-1} (s - m)}

    Its 95 % interval is that of the posterior alone, to first order: the load and 1.96 times
    :math:`\sqrt{\sum_i (\partial l / \partial s_i)^2 \sigma_i^2}`. Draws of the posterior are all farther
    from the mean of controls than the posterior mean, which controls are compared by.

    Parameters
    ----------
    codes : Codes
        Posterior of n samples.
    groups : Series of n names
        Person of each sample: no one is compared with oneself.
    known : DataFrame
        Codes of the run, as in `codes.csv`.

    Returns
    -------
    table : DataFrame
        One row per sample: salient_load, its salient_centile among held-out controls (0 to 100, one load a
        person), the ends salient_centile_low and salient_centile_high of the interval, and nearest_patients,
        ids of 3 patients of the run, by the same distance, nearest first. Empty with fewer than 20 people
        among held-out or training controls, or where codes of the latter do not vary.
    n : int
        Number of held-out controls.

    References
    ----------
    .. [1] O. Ledoit, M. Wolf, "A Well-Conditioned Estimator for Large-Dimensional Covariance Matrices",
       Journal of Multivariate Analysis 88, 2004.
    """
    names = code_columns(known, "salient")
    control, test = known["y"] == 0, known["split"] == "test"
    learnt, reference, patients = known[control & ~test], known[control & test], known[known["y"] == 1]
    n = int(reference["group"].nunique())
    enough = min(n, learnt["group"].nunique()) >= MIN_CONTROLS
    if not enough or not learnt[names].to_numpy(float).var(axis=0).any():
        return pd.DataFrame(index=range(len(groups)), columns=SHEET_COLUMNS), n
    fitted = LedoitWolf().fit(learnt[names].to_numpy(float))
    root = np.linalg.cholesky(fitted.precision_)  # points @ root have the distance of Mahalanobis
    points = (codes.salient_mean - fitted.location_) @ root
    load = np.linalg.norm(points, axis=1)
    gradient = points @ root.T / np.maximum(load, np.finfo(float).tiny)[:, None]
    deviation = np.sqrt((gradient**2 * np.exp(codes.salient_logvar)).sum(axis=1))
    of_controls = np.linalg.norm((reference[names].to_numpy(float) - fitted.location_) @ root, axis=1)
    people = pd.Series(of_controls).groupby(reference["group"].astype(str).to_numpy()).mean()
    persons, half = groups.to_numpy(str), stats.norm.ppf(0.975) * deviation
    ends = [_centiles(values, persons, people) for values in (load, load - half, load + half)]
    others = (patients[names].to_numpy(float) - fitted.location_) @ root
    nearest = _nearest(points, persons, others, patients)
    return pd.DataFrame(dict(zip(SHEET_COLUMNS, (load, *ends, nearest), strict=True))), n


def _centiles(loads: FloatArray, persons: AnyArray, of_controls: "pd.Series[float]") -> FloatArray:
    """Return the percentage of controls, without oneself, with a smaller load; equal ones count as half."""
    ordered, own = np.sort(of_controls.to_numpy()), of_controls.reindex(persons).to_numpy()
    below = np.searchsorted(ordered, loads, "left") - (own < loads)
    up_to = np.searchsorted(ordered, loads, "right") - (own <= loads)
    return np.asarray(50 * (below + up_to) / (len(ordered) - ~np.isnan(own)))


def _nearest(points: FloatArray, groups: AnyArray, others: FloatArray, patients: pd.DataFrame) -> list[str]:
    """Return the ids of the nearest patients of other people, one sample of each, joined by "; "."""
    ids, persons = (patients[name].astype(str).to_numpy() for name in ("id", "group"))
    found = []
    for point, group in zip(points, groups, strict=True):
        chosen = {group: ""}  # id by person, oneself first
        for i in np.argsort(np.linalg.norm(others - point, axis=1), kind="stable"):
            if len(chosen) > N_NEAREST:
                break
            chosen.setdefault(persons[i], ids[i])
        found.append("; ".join([*chosen.values()][1:]))
    return found


def sheet_note(n: int, sheet: pd.DataFrame) -> str:
    """Return the line that says what the centiles are of."""
    if sheet["salient_centile"].isna().all():
        wanted = f"wanted {MIN_CONTROLS} held-out controls, and as many in training whose codes vary"
        return f"no salient load: {wanted}, got {n} held-out; its columns are empty. {NO_DIAGNOSIS}"
    return (
        f"salient_centile is among {n} held-out controls, its interval that of the posterior. {NO_DIAGNOSIS}"
    )
