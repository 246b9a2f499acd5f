"""Checks of table features: constants, missing values, outliers, and features that reveal the label."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from sepvae.data.missing_codes import FAR, MAD_TO_SD
from sepvae.inspection.record import Finding, Level
from sepvae.inspection.samples import Samples, count, listed
from sepvae.preprocessing.scaler import LEAST_SD

MANY_GAPS = 0.2  # share of missing values of a feature or a sample
TELLING = 0.9  # twice the distance of the AUC from 0.5


def region_findings(samples: Samples, features: pd.DataFrame) -> Iterator[Finding]:
    """Check features for constants, missing values, outliers, and values that reveal the label."""
    table, n = region_table(features), features.shape[1]
    if names := table.loc[table["constant"], "feature"].tolist():
        message = f"{len(names)} of {n} features are constant or all missing: a fit drops them"
        yield Finding("warning", "constant-features", message, tuple(names), {"features": len(names)})
    gaps = table[(table["missing"] > 0) & ~table["constant"]].sort_values("missing", ascending=False)
    if len(gaps):
        worst, share = gaps["feature"].iloc[0], float(gaps["missing"].iloc[0])
        level: Level = "warning" if share > MANY_GAPS else "note"
        message = (
            f"{len(gaps)} of {n} features have gaps, most of them {worst} ({share:.1%}): a fit fills them "
            "with the mean of all who have a value"
        )
        numbers = {"features": len(gaps), "share": share}
        yield Finding(level, "features-with-gaps", message, tuple(gaps["feature"]), numbers)
    yield from _telling(samples, features)
    lacking = features.loc[:, ~table["constant"].to_numpy()].isna().mean(axis=1).fillna(0)
    if few := int((many := lacking > MANY_GAPS).sum()):
        message = (
            f"{count(few, 'sample')} with gaps in more than {MANY_GAPS:.0%} of the features, up to "
            f"{lacking.max():.0%}: what fills them is ordinary; see why, or leave them out"
        )
        numbers = {"samples": few, "share": float(lacking.max())}
        yield Finding("warning", "samples-with-gaps", message, samples.ids(many), numbers)
    yield from _far_out(samples, features)


def region_table(features: pd.DataFrame) -> pd.DataFrame:
    """
    Describe each feature: missing values, median, range, whether it is constant, and outliers.

    `missing` is a share, `far_out` the number of values more than 10 robust standard deviations from the
    median.

    >>> features = pd.DataFrame({"lh_v": [1.0, 2, 3, 4, 99], "rh_v": [5.0, 5, None, 5, 5]})
    >>> region_table(features)[["feature", "missing", "constant", "far_out"]].to_numpy().tolist()
    [['lh_v', 0.0, False, 1], ['rh_v', 0.2, True, 0]]
    """
    spread = (features / features.abs().max().replace(0, 1)).std(ddof=0)
    return pd.DataFrame(
        {
            "feature": features.columns.astype(str),
            "missing": features.isna().mean().to_numpy(),
            "median": features.median().to_numpy(),
            "min": features.min().to_numpy(),
            "max": features.max().to_numpy(),
            "constant": ~(spread > LEAST_SD).to_numpy(),
            "far_out": (robust_z(features).abs() > FAR).sum().to_numpy(),
        }
    )


def robust_z(features: pd.DataFrame) -> pd.DataFrame:
    """
    Return distances from the median in robust standard deviations.

    Columns in which half of the values or more are the same are NaN.
    """
    centred = features - features.median()
    return centred / (MAD_TO_SD * centred.abs().median().replace(0, np.nan))


def _far_out(samples: Samples, features: pd.DataFrame) -> Iterator[Finding]:
    z = robust_z(features).abs().to_numpy()
    rows, columns = np.nonzero(z > FAR)
    if not len(rows):
        return
    order = np.argsort(-z[rows, columns], kind="stable")
    values, ids = features.to_numpy()[rows, columns], samples.about["id"].astype(str).to_numpy()[rows]
    named = [f"{features.columns[columns[i]]} of {ids[i]}: {values[i]:g}" for i in order]
    message = (
        f"{count(len(rows), 'value')} of {count(len(set(columns.tolist())), 'feature')} more than {FAR} "
        f"robust standard deviations from the median ({listed(named, 2)}): "
        "a slip, another unit, or a number that stands for a gap? fix them, or make them missing"
    )
    numbers = {"values": len(rows), "samples": len(set(rows.tolist()))}
    yield Finding("warning", "far-out", message, samples.ids(np.unique(rows)), numbers)


def _telling(samples: Samples, features: pd.DataFrame) -> Iterator[Finding]:
    """Yield a warning on features that alone reveal the label, by their values or by being missing."""
    if len(samples.labels) < 2:
        return
    target, known = samples.is_target, features.notna()
    n_target, n_others = known[target].sum(), known[~target].sum()
    above = features.rank()[target].sum() - n_target * (n_target + 1) / 2  # Mann-Whitney U
    auc = (above / (n_target * n_others)).fillna(0.5)
    of_one_only = (n_target == 0) != (n_others == 0)
    if names := features.columns[(2 * (auc - 0.5).abs() > TELLING) | of_one_only].tolist():
        tell = f"{count(len(names), 'feature')} {'tells' if len(names) == 1 else 'tell'}"
        message = (
            f"{tell} the label almost alone, or by having a value: name a diagnosis, or a score of patients, "
            "as an attribute, so that it is no feature"
        )
        yield Finding("warning", "telling-features", message, tuple(names), {"features": len(names)})
