"""`scores.csv` formatted for pages: spaces side by side, numbers as text, verdicts against chance."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sepvae.evaluation.metrics import ABOVE_CHANCE, AT_CHANCE, BELOW_CHANCE, against_chance

if TYPE_CHECKING:
    import pandas as pd

SPACES = ("salient", "common", "both")
WORDS = {
    "balanced_accuracy": "balanced accuracy",
    "auc": "AUC",
    "mae": "mean absolute error",
    "r2": "R²",
    "active_units": "dimensions in use",
    "variance_ratio": "variance ratio",
    "reconstruction_error": "reconstruction error",
}
NOTES = {
    "mae": "lower is better",
    "variance_ratio": "of targets over background",
    "reconstruction_error": "mean squared error of a {value}; lower is better",
}
FROM_0_TO_1 = ("accuracy", "balanced_accuracy", "auc")
BEST_IS_1 = (*FROM_0_TO_1, "r2")
MAIN_METRICS = ("balanced_accuracy", "r2")  # main metric of a categorical and a continuous attribute
FLAGS = (
    (AT_CHANCE, "is not distinguishable from chance: its interval includes chance, or p is above 0.05."),
    (BELOW_CHANCE, "is worse than chance: its whole interval is."),
)

Score = dict[Any, Any]  # one row of scores.csv


@dataclass(frozen=True)
class Cell:
    """Score of one space: numbers as text, verdict against chance, and positions on a line from 0 to 100."""

    score: str
    interval: str
    verdict: str
    marks: dict[str, float]


@dataclass(frozen=True)
class Row:
    """One metric, with a cell or None for each space."""

    metric: str
    name: str
    note: str
    chance: str
    cells: dict[str, Cell | None]


@dataclass(frozen=True)
class Section:
    """One question, an attribute of a population, or all scores without a probe."""

    title: str
    note: str
    rows: list[Row]
    attribute: str = ""


def sections(scores: "pd.DataFrame", value: str = "value") -> list[Section]:
    """
    Return the scores by question, the label first, scores without a probe last.

    `value` is the word for one number of a sample, such as pixel.
    """
    probed = scores.dropna(subset=["attribute"])
    probed = probed.sort_values("attribute", key=lambda names: names != "label", kind="stable")
    found = [
        Section(question(str(attribute), str(population)), _counts(rows), list(_rows(rows)), str(attribute))
        for (attribute, population), rows in probed.groupby(["attribute", "population"], sort=False)
    ]
    others = scores[scores["attribute"].isna()]
    if len(others):
        rows = [
            Row(
                row.metric,
                f"{row.name}, {population} samples",
                row.note.format(value=value),
                row.chance,
                row.cells,
            )
            for (_, population), part in others.groupby(["metric", "population"], sort=False)
            for row in _rows(part)
        ]
        found.append(Section("Without a probe", "", rows))
    return found


def main_metrics(attribute: str) -> tuple[str, ...]:
    """Return the metrics that can be the main one of an attribute; none for ""."""
    return {"label": ("auc",), "": ()}.get(attribute, MAIN_METRICS)


def main_rows(scores: "pd.DataFrame") -> list[Score]:
    """Return the rows of `scores.csv` with the main metric of each question, one per space."""
    rows: list[Score] = scores.dropna(subset=["attribute", "score", "chance"]).to_dict("records")
    return [row for row in rows if row["metric"] in main_metrics(row["attribute"])]


def of_everyone(rows: list[Score]) -> set[str]:
    """Return the attributes that background samples have too, without the label."""
    return {row["attribute"] for row in rows if row["population"] == "all"} - {"label"}


def main_scores(found: list[Section]) -> list[Section]:
    """Keep the main metric of each question, and drop sections without one."""
    kept = [
        replace(part, rows=[row for row in part.rows if row.metric in main_metrics(part.attribute)])
        for part in found
    ]
    return [part for part in kept if part.rows]


def question(attribute: str, population: str) -> str:
    """
    Return the title of a question: an attribute of a population.

    >>> question("subtype", "target")
    'subtype among target samples'
    """
    name = "background or target" if attribute == "label" else attribute
    return f"{name} among {population} samples"


def number(value: float, metric: str) -> str:
    """
    Format a score: two decimals if 1 is best, none for counts, else three significant digits.

    >>> number(0.9, "auc"), number(0.003124, "mae"), number(16.0, "active_units"), number(float("nan"), "r2")
    ('0.90', '0.00312', '16', '-')
    """
    if math.isnan(value):
        return "-"
    if metric in BEST_IS_1 and abs(value) < 100:
        return f"{value:z.2f}"
    if metric == "active_units" or 1000 <= abs(value) < 1e6:
        return f"{value:.0f}"
    return f"{value:#.3g}".rstrip(".")


def words_of(metric: str) -> str:
    """Return a metric in words."""
    return WORDS.get(metric, metric.replace("_", " "))


def flags(found: list[Section]) -> list[tuple[str, str]]:
    """Return the marks that occur in sections, with their meanings."""
    cells = [one for part in found for row in part.rows for one in row.cells.values() if one]
    seen = {one.verdict for one in cells}
    return [(mark, meaning) for mark, meaning in FLAGS if mark in seen]


def p_values(scores: "pd.DataFrame") -> str:
    """Return a sentence on the largest p-value of scores without a mark; empty if no score has a p-value."""
    known = scores.dropna(subset=["p_value"])
    if known.empty:
        return ""
    unmarked = known[[not verdict(row) for row in known.to_dict("records")]]
    most = f" is {unmarked['p_value'].max():.2g} at most" if len(unmarked) else " is in the file"
    return f"The p-value of each score without a mark{most}; scores.csv has them all."


def _counts(rows: "pd.DataFrame") -> str:
    counts = {name: rows[name].max() for name in ("n_train", "n_test", "n_test_groups") if name in rows}
    if any(math.isnan(count) for count in counts.values()) or len(counts) < 3:
        return ""
    groups = (
        f", {counts['n_test_groups']:.0f} subjects" if counts["n_test_groups"] != counts["n_test"] else ""
    )
    return f"learnt on {counts['n_train']:.0f}, scored on {counts['n_test']:.0f} samples{groups}"


def _rows(part: "pd.DataFrame") -> Iterator[Row]:
    """Yield one row per metric of a question."""
    for metric, scores in part.groupby("metric", sort=False):
        by_space = scores.set_index("space").to_dict("index")
        low, high = scale(str(metric), scores)
        chances = scores["chance"].dropna()
        yield Row(
            str(metric),
            words_of(str(metric)),
            NOTES.get(str(metric), ""),
            number(float(chances.iloc[0]), str(metric)) if len(chances) else "",
            {space: cell(by_space[space], low, high) if space in by_space else None for space in SPACES},
        )


def scale(metric: str, scores: "pd.DataFrame") -> tuple[float, float]:
    """Return the ends of the line that all cells of a row share; equal if nothing can be drawn."""
    if metric in FROM_0_TO_1:
        return 0.0, 1.0
    values = scores[["score", "low", "high", "chance"]].to_numpy(float)
    values = values[abs(values) < math.inf]
    margin = 0.08 * (values.max() - values.min()) if len(values) else 0
    return (values.min() - margin, values.max() + margin) if margin else (0.0, 0.0)


def cell(row: Score, low: float, high: float) -> Cell:
    """Format a row of `scores.csv` as a cell, on a line from `low` to `high`."""
    marks = {}
    if high > low and not math.isnan(row["chance"]):
        places = {name: 100 * (row[name] - low) / (high - low) for name in ("score", "low", "high", "chance")}
        marks = {name: round(place, 1) for name, place in places.items() if math.isfinite(place)}
    metric = row["metric"]
    return Cell(
        number(row["score"], metric),
        "" if math.isnan(row["low"]) else f"{number(row['low'], metric)} to {number(row['high'], metric)}",
        verdict(row),
        marks,
    )


def gain(row: Score) -> float:
    """Return the position of a score between chance (0) and a perfect score (1)."""
    return float((row["score"] - row["chance"]) / max(1 - row["chance"], 1e-9))


def verdict(row: Score) -> str:
    """Return "≈ chance" or "worse than chance" as `against_chance` says; empty for a score above chance."""
    found = against_chance(row)
    return "" if found == ABOVE_CHANCE else found


def is_known(row: Score) -> bool:
    """Return whether a score is above chance by its interval and p-value; False without an interval."""
    return against_chance(row) == ABOVE_CHANCE


def reading(row: Score) -> str:
    """Format a score with its interval, if it has one."""
    score, low, high = (number(row[name], row["metric"]) for name in ("score", "low", "high"))
    return score if math.isnan(row["low"]) else f"{score} (95 % interval {low} to {high})"
