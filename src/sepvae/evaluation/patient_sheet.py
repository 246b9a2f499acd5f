"""Sheet of single people: how far their salient code is from that of controls, and who is like them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.covariance import LedoitWolf

from sepvae.batch import AnyArray, FloatArray
from sepvae.codes import MIN_CONTROLS, Codes, code_columns

N_NEAREST = 3
SHEET_COLUMNS = [
    *("salient_load", "salient_centile", "salient_centile_low", "salient_centile_high"),
    "nearest_patients",
]
OVER_SEEDS = ("salient_centile_seeds_low", "salient_centile_seeds_high", "salient_centile_seeds_sd")
WIDE, NEARLY_ALL = 90, 0.9  # centiles in an interval, and share of people, from which a sheet tells nothing
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
    n, controls = _controls(known)
    if controls is None:
        return pd.DataFrame(index=range(len(groups)), columns=SHEET_COLUMNS), n
    points = controls.points(codes.salient_mean)
    load = np.linalg.norm(points, axis=1)
    gradient = points @ controls.root.T / np.maximum(load, np.finfo(float).tiny)[:, None]
    deviation = np.sqrt((gradient**2 * np.exp(codes.salient_logvar)).sum(axis=1))
    persons, half = groups.to_numpy(str), stats.norm.ppf(0.975) * deviation
    ends = [_centiles(values, persons, controls.loads) for values in (load, load - half, load + half)]
    patients = known[known["y"] == 1]
    nearest = _nearest(points, persons, controls.points(_salient(patients)), patients)
    return pd.DataFrame(dict(zip(SHEET_COLUMNS, (load, *ends, nearest), strict=True))), n


def centiles_over_seeds(codes: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """
    Return how far the centile of each held-out sample differs between fits with other seeds.

    Parameters
    ----------
    codes : sequence of DataFrame
        Tables such as `codes.csv` of two fits or more, with the same samples in the same order.

    Returns
    -------
    DataFrame
        One row per held-out sample: id, group, label, and salient_centile_seeds_low, _high and _sd, the
        lowest and highest of its centiles and their standard deviation. Empty where a fit has no centiles.
    """
    held_out = [table[table["split"] == "test"] for table in codes]
    found = [
        salient_centiles(_salient(test), test["group"], of) for test, of in zip(held_out, codes, strict=True)
    ]
    about = held_out[0][["id", "group", "label"]].reset_index(drop=True)
    return about.join(spread_over_seeds(found)).dropna()


def salient_centiles(means: AnyArray, groups: "pd.Series[str]", known: pd.DataFrame) -> FloatArray:
    """Return the column salient_centile of `salient_sheet` alone, from salient means (n, dimensions)."""
    _, controls = _controls(known)
    if controls is None:
        return np.full(len(means), np.nan)
    return _centiles(np.linalg.norm(controls.points(means), axis=1), groups.to_numpy(str), controls.loads)


def salient_loads(means: AnyArray, known: pd.DataFrame) -> FloatArray:
    """Return the column salient_load of `salient_sheet` alone; NaN where there are too few controls."""
    _, controls = _controls(known)
    return np.full(len(means), np.nan) if controls is None else np.linalg.norm(controls.points(means), axis=1)


def spread_over_seeds(centiles: Sequence[FloatArray]) -> pd.DataFrame:
    """Return lowest, highest and standard deviation of the centiles (n,) of several fits, a row a sample."""
    values = np.stack(centiles)
    spread = values.min(axis=0), values.max(axis=0), values.std(axis=0, ddof=1)
    return pd.DataFrame(dict(zip(OVER_SEEDS, spread, strict=True)))


class _Controls(NamedTuple):
    """Where controls of a run lie in the salient space: those in training, and loads of those held out."""

    location: FloatArray
    root: FloatArray
    loads: "pd.Series[float]"  # by person

    def points(self, salient: FloatArray) -> FloatArray:
        """Return salient codes (n, d) as points whose length is the distance of Mahalanobis."""
        return np.asarray((salient - self.location) @ self.root)


def _controls(known: pd.DataFrame) -> tuple[int, _Controls | None]:
    """Return the number of held-out controls, and all of them; None if too few, or if codes do not vary."""
    control, test = known["y"] == 0, known["split"] == "test"
    learnt, reference = known[control & ~test], known[control & test]
    n, codes = int(reference["group"].nunique()), _salient(learnt)
    if min(n, learnt["group"].nunique()) < MIN_CONTROLS or not codes.var(axis=0).any():
        return n, None
    fitted = LedoitWolf().fit(codes)
    location, root = fitted.location_, np.linalg.cholesky(fitted.precision_)
    loads = pd.Series(np.linalg.norm((_salient(reference) - location) @ root, axis=1))
    return n, _Controls(location, root, loads.groupby(reference["group"].astype(str).to_numpy()).mean())


def _salient(table: pd.DataFrame) -> FloatArray:
    return table[code_columns(table, "salient")].to_numpy(float)


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


def tells_nothing(sheet: pd.DataFrame) -> bool:
    """Return whether there are no centiles, or the posterior leaves those of nearly all people open."""
    return bool(sheet["salient_centile"].isna().all()) or _share_open(sheet) >= NEARLY_ALL


def _share_open(sheet: pd.DataFrame) -> float:
    """Return the share of people whose interval holds nearly all centiles."""
    return float((sheet["salient_centile_high"] - sheet["salient_centile_low"] >= WIDE).mean())


def sheet_note(n: int, sheet: pd.DataFrame) -> str:
    """Return the line that says what the centiles are of, and whether they tell anything."""
    if sheet["salient_centile"].isna().all():
        wanted = f"wanted {MIN_CONTROLS} held-out controls, and as many in training whose codes vary"
        return f"no salient load: {wanted}, got {n} held-out; its columns are empty. {NO_DIAGNOSIS}"
    of = f"is among {n} held-out controls"
    seeds = ""
    if OVER_SEEDS[-1] in sheet:
        seeds = f"; over seeds it has a standard deviation of {sheet[OVER_SEEDS[-1]].median():.0f} (median)"
    if tells_nothing(sheet):
        share = f"for {_share_open(sheet):.0%} of people its interval holds {WIDE} centiles of 100 or more"
        return f"salient_centile tells nothing of single people: it {of}, and {share}{seeds}. {NO_DIAGNOSIS}"
    return f"salient_centile {of}, its interval that of the posterior{seeds}. {NO_DIAGNOSIS}"
