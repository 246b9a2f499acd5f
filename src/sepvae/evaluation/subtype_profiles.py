"""What subtypes are: their attributes, and whether held-out people confirm them."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import stats

from sepvae.batch import AnyArray, FloatArray, IntArray
from sepvae.codes import Kind
from sepvae.evaluation.clusters import Clusters
from sepvae.evaluation.metrics import adjust_p
from sepvae.evaluation.probes import MAX_CLASSES, known_values
from sepvae.evaluation.subtypes import single_gaussian

MIN_HELD_OUT = 10  # people for each cluster of held-out people
PROFILE_COLUMNS = ["part", "attribute", "kind", "value", "subtype", "share_or_mean", "sd", "n"]


def profile(
    table: pd.DataFrame,
    subtype: "pd.Series[int]",
    *,
    kinds: Mapping[str, Kind] | None = None,
    n_permutations: int = 999,
    random_state: int = 0,
) -> pd.DataFrame:
    """
    Describe each subtype by each attribute, among training and held-out patients.

    Parameters
    ----------
    table : DataFrame
        Patients as in `codes.csv`.
    subtype : Series
        Subtype of each row, the same for all samples of a person.
    kinds : mapping, default=None
        "categorical" or "continuous" by attribute; by default as `score_codes` infers them.
    n_permutations : int, default=999
        Permutations of the subtypes behind each p-value; people keep their samples.
    random_state : int, default=0
        Seed of the permutations.

    Returns
    -------
    DataFrame
        One row per part (train, test), attribute, value (of classes) and subtype: share_or_mean (share of
        the class, or mean), sd (of amounts), n (samples with a known value), p_value (whether subtypes
        differ) and p_adjusted (false discovery rate over the attributes of the part, Benjamini and
        Hochberg). Both are missing with one subtype.
    """
    rng = np.random.default_rng(random_state)
    part_of = table["split"].where(table["split"] == "test", "train")  # validation is of the training people
    rows: list[dict[str, object]] = []
    p_values: dict[tuple[str, str], float] = {}
    for part in ("train", "test"):
        for attribute, kind, known in known_values(table[part_of == part], kinds):
            if attribute == "label" or (kind == "categorical" and known["value"].nunique() > MAX_CLASSES):
                continue
            of_known = subtype.loc[known.index]
            p_values[part, attribute] = difference_p(known, of_known, kind, n_permutations, rng)
            about = {"part": part, "attribute": attribute, "kind": kind}
            rows += [about | row for row in _described(known, of_known, kind)]
    found = pd.DataFrame(rows, columns=PROFILE_COLUMNS)
    p = pd.Series(p_values, dtype=float)
    adjusted = pd.concat([adjust_p(p.loc[[part]]) for part in p.index.unique(0)]) if len(p) else p
    keys = [*zip(found["part"], found["attribute"], strict=True)]
    return found.assign(p_value=[p[key] for key in keys], p_adjusted=[adjusted[key] for key in keys])


def _described(known: pd.DataFrame, subtype: "pd.Series[int]", kind: Kind) -> list[dict[str, object]]:
    """Return the mean, or the share of each class, of each subtype."""
    rows: list[dict[str, object]] = []
    for one, part in known.groupby(subtype.to_numpy()):
        values = part["value"]
        about: dict[str, object] = {"subtype": one, "n": len(part)}
        if kind == "continuous":
            amounts = values.astype(float)
            rows.append(about | {"value": "", "share_or_mean": amounts.mean(), "sd": amounts.std()})
        else:
            classes = sorted(known["value"].unique())
            rows += [about | {"value": c, "share_or_mean": (values == c).mean()} for c in classes]
    return sorted(rows, key=lambda row: str(row["value"]))


def difference_p(
    known: pd.DataFrame,
    subtype: "pd.Series[int]",
    kind: Kind,
    n_permutations: int,
    rng: np.random.Generator,
) -> float:
    """
    Return the p-value of the hypothesis that people of all subtypes are alike in an attribute.

    The statistic is chi-squared of classes, or that of Kruskal and Wallis of amounts; subtypes are permuted
    over people (column group). NaN with one subtype, or one value.
    """
    first = ~known["group"].duplicated().to_numpy()  # samples of a person are no more people
    values, of_people = known["value"].to_numpy()[first], subtype.to_numpy()[first]
    if len(np.unique(of_people)) < 2 or len(np.unique(values)) < 2:
        return np.nan
    if kind == "continuous":
        columns = stats.zscore(stats.rankdata(values.astype(float)))[:, None]
    else:
        indicator = values[:, None] == np.unique(values)
        columns = (indicator - indicator.mean(axis=0)) / np.sqrt(indicator.mean(axis=0))
    inside = (of_people[:, None] == np.unique(of_people)).astype(float)

    def between(order: IntArray) -> float:
        sums = inside[order].T @ columns
        return float((sums**2 / inside.sum(axis=0)[:, None]).sum())

    observed = between(np.arange(len(values)))
    shuffled = [between(rng.permutation(len(values))) for _ in range(n_permutations)]
    return (sum(one >= observed - 1e-9 for one in shuffled) + 1) / (n_permutations + 1)


def prediction_strength(clusters: Clusters, held_out: FloatArray) -> float:
    """
    Return how well clusters of training people predict those of held-out people, from 0 to 1.

    Held-out codes (m, dimensions) are clustered on their own. Of each of these clusters, it is the share of
    pairs of people that the training clusters keep together; the smallest share is returned [1]_. NaN with
    fewer than 10 held-out people a cluster.

    References
    ----------
    .. [1] R. Tibshirani, G. Walther, "Cluster Validation by Prediction Strength", Journal of Computational
       and Graphical Statistics 14, 2005.
    """
    if len(held_out) < max(30, MIN_HELD_OUT * clusters.n_clusters):
        return np.nan
    own, assigned = Clusters(held_out, clusters.n_clusters).assign(held_out), clusters.assign(held_out)
    shares = []
    for one in np.unique(own):
        sizes = np.bincount(assigned[own == one])
        pairs = sizes.sum() * (sizes.sum() - 1)
        shares.append((sizes * (sizes - 1)).sum() / pairs if pairs else 1.0)
    return float(min(shares))


def null_strengths(
    codes: FloatArray, held_out: FloatArray, n_clusters: int, *, n_null: int, random_state: int = 0
) -> AnyArray:
    """Return the prediction strengths of clusters of single Gaussians (n_null,), of as many people."""
    rng = np.random.default_rng(random_state)
    draws = zip(single_gaussian(codes, n_null, rng), single_gaussian(held_out, n_null, rng), strict=True)
    return np.array([prediction_strength(Clusters(train, n_clusters), test) for train, test in draws])
