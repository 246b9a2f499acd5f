"""Several visits of a person: change of codes per year, and their reliability over scan and rescan."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from sepvae.batch import AnyArray, FloatArray
from sepvae.errors import DataError
from sepvae.evaluation.metrics import adjust_p, interval, intraclass_correlation, resampling_weights

VISIT_COLUMNS = [
    *("measure", "quantity", "group", "score", "low", "high", "chance", "p_value", "p_adjusted"),
    *("n_people", "n_scans"),
]
CHANGE, ICC = "change_per_year", "icc"
ALL = "all"  # people of all labels
RESCAN = 1 / 52  # years within which two scans of a person are a scan and its rescan
LONGEST = 120  # years of a person: a longer time is in another unit
LEAST = 3  # people of a group, below which nothing is estimated


def yearly_slopes(values: AnyArray, years: AnyArray, people: AnyArray) -> pd.DataFrame:
    """
    Return the change per year of each person: the slope of a least-squares line through their scans.

    Parameters
    ----------
    values : ndarray of shape (n, m)
        Values of n scans, in any unit.
    years : ndarray of shape (n,)
        Time of each scan in years, from any start: age, or years since the first scan.
    people : ndarray of shape (n,)
        Person of each scan.

    Returns
    -------
    DataFrame
        One row per person with scans more than a week apart, sorted, and m columns, in units per year.
        All scans count, also two of one day.

    Examples
    --------
    >>> yearly_slopes(np.array([[1.0], [1.5], [3.0], [7.0]]), [60, 61, 62, 50], ["a", "a", "a", "b"])
         0
    a  1.0
    """
    table, who = pd.DataFrame(np.asarray(values, float)), np.asarray(people)
    time = pd.Series(np.asarray(years, float))
    centred = time - time.groupby(who).transform("mean")
    slopes = table.mul(centred, axis=0).groupby(who).sum().div((centred**2).groupby(who).sum(), axis=0)
    spread = time.groupby(who).max() - time.groupby(who).min()
    return slopes[spread > RESCAN]


def visit_scores(
    table: pd.DataFrame,
    time: str,
    measures: Sequence[str],
    *,
    n_permutations: int = 999,
    n_bootstraps: int = 1000,
    random_state: int = 0,
) -> pd.DataFrame:
    r"""
    Score several visits: the mean change per year of each group, and ICC(2,1) of scan and rescan.

    A change is the mean over people of their `yearly_slopes`, each counted once. Reliability is that of the
    first two scans of each person that are at most a week apart, by the two-way analysis of variance of
    Shrout and Fleiss [1]_, with a mean difference between first and second scan counted as error:

    .. math:: ICC(2,1) = \frac{MS_P - MS_E}{MS_P + (k - 1) MS_E + k (MS_S - MS_E) / n}

    of n people, k = 2 scans, and mean squares of people, scans and error. Intervals resample people with all
    of their scans.

    Parameters
    ----------
    table : DataFrame
        One row per scan: group (the person), label and y (0 background, 1 target, missing where not known),
        the time and the measures. People whose label changes count by that of their first scan.
    time : str
        Column of the time of each scan in years, such as age; scans without a time are left out.
    measures : sequence of str
        Columns to score, such as salient_load and codes.
    n_permutations : int, default=999
        Permutations of people behind each p-value: of the signs of their changes, and of their labels for a
        difference; 0 for none.
    n_bootstraps : int, default=1000
        Resamples of people for each interval.
    random_state : int, default=0
        Seed of permutations and resamples.

    Returns
    -------
    DataFrame
        Columns measure, quantity (change_per_year or icc), group (a label, "TARGET - BACKGROUND", or "all"),
        score, low and high (95 % interval), chance (0), p_value (two-sided, of changes), p_adjusted (false
        discovery rate over all rows), n_people and n_scans. Groups of fewer than 3 people have no row.

    Raises
    ------
    DataError
        If the time is missing, not numeric or not in years, or no group of 3 people has several scans.

    References
    ----------
    .. [1] P. E. Shrout, J. L. Fleiss, "Intraclass Correlations: Uses in Assessing Rater Reliability",
       Psychological Bulletin 86, 1979.

    Examples
    --------
    >>> scans = pd.DataFrame({"group": np.arange(40) // 2, "label": ["hc", "hc", "ill", "ill"] * 10})
    >>> scans = scans.assign(y=(scans["label"] == "ill") * 1, age=50.0 + np.arange(40) % 2)
    >>> scans["load"] = scans["y"] * 2 * scans["age"]
    >>> visit_scores(scans, "age", ["load"])[["quantity", "group", "score"]].values.tolist()
    [['change_per_year', 'hc', 0.0], ['change_per_year', 'ill', 2.0], ['change_per_year', 'ill - hc', 2.0]]
    """
    scans = scans_in_order(table, time)
    people = scans["group"].to_numpy()
    first = scans.drop_duplicates("group").set_index("group")
    slopes = yearly_slopes(scans[[*measures]].to_numpy(), scans[time].to_numpy(), people)
    counts = scans["group"].value_counts()
    how = {"n_bootstraps": n_bootstraps, "random_state": random_state}
    parts = []
    for group, sign in _groups(first.loc[slopes.index]):
        found = _change(slopes.to_numpy()[sign != 0], sign[sign != 0], n_permutations, **how)
        n_scans = int(counts[slopes.index[sign != 0]].sum())
        about = {"group": group, "quantity": CHANGE, "n_people": (sign != 0).sum(), "n_scans": n_scans}
        parts.append(found.assign(measure=[*measures], **about))
    pairs = _rescans(scans, time)
    of_pairs = first.loc[pairs.index.unique()]
    one_label = of_pairs["label"].nunique() < 2
    for group in [ALL] if one_label else [ALL, *_labels(of_pairs)]:
        inside = of_pairs.index if group == ALL else of_pairs.index[of_pairs["label"] == group]
        if len(inside) >= LEAST:
            values = pairs.loc[inside, [*measures]].to_numpy(float).reshape(len(inside), 2, -1)
            about = {"group": group, "quantity": ICC, "n_people": len(inside), "n_scans": 2 * len(inside)}
            parts.append(_reliability(values, **how).assign(measure=[*measures], **about))
    if not parts:
        n = int((counts > 1).sum())
        got = f"wanted {LEAST} people of a label or more with several scans, got {n} of {len(counts)} people"
        raise DataError(f"visits: {got}; name people by --subject, and give scans of later visits")
    found = pd.concat(parts, ignore_index=True).assign(chance=0.0)
    return found.assign(p_adjusted=adjust_p(found["p_value"]))[VISIT_COLUMNS]


def scans_in_order(table: pd.DataFrame, time: str) -> pd.DataFrame:
    """Return the scans that have a time, as numbers, sorted by person and time; raise if it is not one."""
    if time not in table:
        raise DataError(f"--time: wanted a column of the scans, got {time!r}; fit with --attribute {time!r}")
    years = pd.to_numeric(table[time], errors="coerce").astype(float)
    if (odd := table.loc[years.isna() & table[time].notna(), time]).size:
        raise DataError(f"--time: wanted {time} in years, got {odd.iloc[0]!r}; give numbers, such as age")
    scans = table.assign(**{time: years})[np.isfinite(years)]
    scans = scans.sort_values(["group", time], kind="stable")
    if (longest := scans.groupby("group")[time].agg(np.ptp).max()) > LONGEST:
        raise DataError(f"--time: wanted {time} in years, got {longest:g} between scans of one person")
    return scans


def _labels(first: pd.DataFrame) -> list[str]:
    """Return the labels that are known, that of the background first."""
    known = first[first["y"].notna()]
    return [str(label) for label in known.sort_values(["y", "label"])["label"].unique()]


def _groups(first: pd.DataFrame) -> Iterator[tuple[str, AnyArray]]:
    """Yield each group: the sign of each person in its mean, or in a difference of two, 0 for others."""
    if not (labels := _labels(first)):
        labels, first = [ALL], first.assign(label=ALL, y=1)
    inside = {label: (first["label"] == label).to_numpy().astype(int) for label in labels}
    inside = {label: sign for label, sign in inside.items() if sign.sum() >= LEAST}
    yield from inside.items()
    of_background = [label for label, sign in inside.items() if (first["y"][sign == 1] == 0).all()]
    for background in of_background:
        for label in inside:
            if label != background:
                yield f"{label} - {background}", inside[label] - inside[background]


def _change(
    slopes: FloatArray, sign: AnyArray, n_permutations: int, *, n_bootstraps: int, random_state: int
) -> pd.DataFrame:
    """Return the mean of slopes (n, m), or the difference of two means where signs (n,) differ."""
    shuffling, resampling = map(np.random.default_rng, np.random.SeedSequence(random_state).spawn(2))
    n, two = len(sign), (sign < 0).any()

    def means(weights: FloatArray) -> FloatArray:
        """Return the statistic (b, m) of people counted by weights (b, n)."""
        sides = [weights * (sign == one) for one in ((1, -1) if two else (1,))]
        with np.errstate(invalid="ignore"):  # a resample without anyone of a side
            of_sides = [side @ slopes / side.sum(axis=1, keepdims=True) for side in sides]
        return np.asarray(of_sides[0] - of_sides[1] if two else of_sides[0])

    weights, _ = resampling_weights(np.arange(n), n_bootstraps, resampling)
    score, resampled = means(np.ones((1, n)))[0], means(weights)
    if two:
        shuffled = shuffling.permuted(np.tile(sign, (n_permutations, 1)), axis=1)
        sides = [(shuffled == one) / (sign == one).sum() for one in (1, -1)]
        null = (sides[0] - sides[1]) @ slopes
    else:
        null = shuffling.choice([-1.0, 1.0], (n_permutations, n)) @ slopes / n
    b = (np.abs(null) >= np.abs(score) - 1e-12).sum(axis=0)
    p = (b + 1) / (n_permutations + 1) if n_permutations else np.full(len(score), np.nan)
    ends = [interval(of_one, one, n) for of_one, one in zip(resampled.T, score.tolist(), strict=True)]
    low, high = np.transpose(ends)
    return pd.DataFrame({"score": score, "low": low, "high": high, "p_value": p})


def _rescans(scans: pd.DataFrame, time: str) -> pd.DataFrame:
    """Return the first two scans of each person at one visit, by person and time."""
    near = scans.groupby("group")[time].diff() <= RESCAN
    second = np.flatnonzero(near & (near.groupby(scans["group"]).cumsum() == 1))
    return scans.iloc[np.sort(np.concatenate([second - 1, second]))].set_index("group")


def _reliability(values: FloatArray, *, n_bootstraps: int, random_state: int) -> pd.DataFrame:
    """Return ICC(2,1) of each of m measures (n, 2, m), with its interval over people."""
    n, k, m = values.shape
    weights, _ = resampling_weights(np.arange(n), n_bootstraps, np.random.default_rng(random_state))
    weights = np.concatenate([np.ones((1, n)), weights])  # the first row holds each person once
    x = values - values.mean(axis=(0, 1))
    of_scans = np.stack([weights @ x[:, j] for j in range(k)])  # sums (k, b, m)
    correction = of_scans.sum(axis=0) ** 2 / (n * k)
    people = weights @ x.sum(axis=1) ** 2 / k - correction
    of_scans = (of_scans**2).sum(axis=0) / n - correction
    total = weights @ (x**2).sum(axis=1) - correction
    found = intraclass_correlation(people, of_scans, total, n, k).T
    ends = [interval(one[1:], float(one[0]), n, scale="r2") for one in found]
    low, high = np.transpose(ends)
    return pd.DataFrame({"score": found[:, 0], "low": low, "high": high, "p_value": np.full(m, np.nan)})
