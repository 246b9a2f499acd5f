"""Comparison of a score with chance: the one rule behind terminal output, reports and warnings."""

import math
from collections.abc import Mapping
from typing import Any

from sepvae.evaluation.metrics import METRICS

MAX_P = 0.05  # scores with a larger p-value are at chance
ABOVE_CHANCE, AT_CHANCE, BELOW_CHANCE = "above chance", "≈ chance", "worse than chance"
LOWER_IS_BETTER = tuple(
    metric.name for of_kind in METRICS.values() for metric in of_kind if metric.better < 0
)


def against_chance(row: Mapping[Any, Any]) -> str:
    """
    Classify a score as above, at or below chance, by its 95 % interval and its p-value.

    Errors, too, are "above chance" if they are better than chance. The result is "" if a score has no
    interval and no p-value above 0.05.

    >>> row = {"metric": "auc", "low": 0.6, "high": 0.8, "chance": 0.5}
    >>> against_chance(row), against_chance(row | {"p_value": 0.2}), against_chance(row | {"low": 0.45})
    ('above chance', '≈ chance', '≈ chance')
    """
    sign = -1 if row.get("metric") in LOWER_IS_BETTER else 1
    worst, best = sorted((sign * row["low"], sign * row["high"]))
    chance = sign * row["chance"]
    if best < chance:
        return BELOW_CHANCE
    if worst <= chance or row.get("p_value", math.nan) > MAX_P:
        return AT_CHANCE
    return ABOVE_CHANCE if worst > chance else ""
