"""`scores.csv` for pages: spaces side by side, numbers as text, verdicts against chance, and a summary."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from sepvae.evaluation.metrics import ABOVE_CHANCE, AT_CHANCE, BELOW_CHANCE, MAX_P, against_chance

SPACES = ("salient", "common", "both")
WORDS = {
    "balanced_accuracy": "balanced accuracy",
    "auc": "AUC",
    "mae": "mean absolute error",
    "r2": "R²",
    "active_units": "dimensions in use",
    "variance_ratio": "variance ratio",
    "reconstruction_error": "reconstruction error",
    "information_share": "share of the information in the label",
    "shared_information": "information that both codes share",
    "label_information_given": "information of the label beyond it",
    "information_given_covariates": "information beyond all covariates",
    "explained_variance": "share of the variance that reconstructions explain",
}
NOTES = {
    "mae": "lower is better",
    "variance_ratio": "of targets over background",
    "reconstruction_error": "mean squared error of a {value}; lower is better",
    "information": "at least so many nats, as a logistic regression or boosted trees find them",
    "shared_information": "at least so many nats; 0 is best",
    "label_information_given": "at least so many nats, of people who are alike in it",
    "information_given_covariates": "at least so many nats, of people who are alike in what everyone has",
    "explained_variance": "around the mean {value}",
}
FROM_0_TO_1 = ("accuracy", "balanced_accuracy", "auc", "information_share")
NATS = ("information", "shared_information", "label_information_given", "information_given_covariates")
BEST_IS_1 = (*FROM_0_TO_1, "r2", "explained_variance")
MAIN_METRICS = {"label": ("auc",), "": ()}  # of a question, by attribute; none without a probe
MAIN_METRICS_ELSE = ("balanced_accuracy", "r2")  # of a categorical and of a continuous attribute
LITTLE = 0.05  # of information where none should be: a share of the label's, or nats
NEAR_LIMIT = 0.9  # share of the most that a bound can reach
AT_LIMIT = "at its limit"
FLAGS = (
    (AT_CHANCE, "is not distinguishable from chance: its interval includes chance, or p is above 0.05."),
    (BELOW_CHANCE, "is worse than chance: its whole interval is."),
    (
        AT_LIMIT,
        "is near the logarithm of the number of test samples, the most that it can be: more is shared.",
    ),
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
    """One metric, with a cell or None for each space, or for each space of each run."""

    metric: str
    name: str
    note: str
    chance: str
    cells: dict[Any, Cell | None]


@dataclass(frozen=True)
class Section:
    """One question, an attribute of a population, or all scores without a probe."""

    title: str
    note: str
    rows: list[Row]
    attribute: str


def sections(scores: pd.DataFrame, value: str = "value", places: Sequence[Any] = SPACES) -> list[Section]:
    """
    Return the scores by question, the label first, scores without a probe last.

    `value` is the word for one number of a sample, such as pixel. `places` are the cells of a row: the
    spaces, or what a column `place` of the scores holds.
    """
    scores = scores.assign(attribute=scores["attribute"].fillna("")).sort_values(
        "attribute", key=lambda names: names.map({"label": 0, "": 2}).fillna(1), kind="stable"
    )
    found: dict[str, Section] = {}
    for key, rows in scores.groupby(["attribute", "population", "metric"], sort=False):
        attribute, population, metric = map(str, key)
        asked = question(attribute, population) if attribute else "Without a probe"
        section = Section(asked, _counts(rows) if attribute else "", [], attribute)
        low, high = _scale(metric, rows)
        known = {row.get("place", row["space"]): row for row in rows.to_dict("records")}
        chances = dict.fromkeys(number(chance, metric) for chance in rows["chance"].dropna())
        row = Row(
            metric,
            metric_words(metric) + ("" if attribute else f", {population} samples"),
            NOTES.get(metric, "").format(value=value),
            " or ".join(chances),
            {place: cell(known[place], low, high) if place in known else None for place in places},
        )
        found.setdefault(asked, section).rows.append(row)
    return list(found.values())


def spaces_of(scores: pd.DataFrame | None) -> list[str]:
    """Return the spaces of a page: salient, common, both, then the blocks of salient that have scores."""
    return list(dict.fromkeys([*SPACES, *([] if scores is None else scores["space"])]))


def rows_of(scores: pd.DataFrame, **where: str) -> list[Score]:
    """Return the rows of `scores.csv` with these values."""
    for column, value in where.items():
        scores = scores[scores[column] == value]
    rows: list[Score] = scores.to_dict("records")
    return rows


def main_rows(scores: pd.DataFrame) -> list[Score]:
    """Return the rows of `scores.csv` with the main metric of each question, which they name."""
    rows: list[Score] = scores.dropna(subset=["attribute", "score", "chance"]).to_dict("records")
    main = [row for row in rows if _is_main(row["attribute"], row["metric"])]
    return [{**row, "question": question(row["attribute"], row["population"])} for row in main]


def main_scores(found: list[Section]) -> list[Section]:
    """Keep the main metric of each question, and drop sections without one."""
    rows = [[row for row in part.rows if _is_main(part.attribute, row.metric)] for part in found]
    return [replace(part, rows=kept) for part, kept in zip(found, rows, strict=True) if kept]


def _is_main(attribute: str, metric: str) -> bool:
    return metric in MAIN_METRICS.get(attribute, MAIN_METRICS_ELSE)


def of_everyone(rows: list[Score]) -> set[str]:
    """Return the attributes that background samples have too, without the label."""
    return {row["attribute"] for row in rows if row["population"] == "all"} - {"label"}


def subject(attribute: str) -> str:
    """Return an attribute as pages name it; "target" tells several targets apart, unless that is taken."""
    names = {"label": "background or target", "target": "which target", "target_label": "which target"}
    return names.get(attribute, str(attribute))


def question(attribute: str, population: str) -> str:
    """
    Return the title of a question: an attribute of a population.

    >>> question("subtype", "target")
    'subtype among target samples'
    """
    return f"{subject(attribute)} among {population} samples"


def number(value: float, metric: str) -> str:
    """
    Format a score: two decimals if 1 is best, none for counts, else three significant digits.

    >>> number(0.9, "auc"), number(0.003124, "mae"), number(16.0, "active_units"), number(float("nan"), "r2")
    ('0.90', '0.00312', '16', '-')
    """
    if math.isnan(value):
        return "-"
    if metric in (*BEST_IS_1, *NATS) and abs(value) < 100:
        return f"{value:z.2f}"
    if metric == "active_units" or 1000 <= abs(value) < 1e6:
        return f"{value:.0f}"
    return f"{value:#.3g}".rstrip(".")


def metric_words(metric: str) -> str:
    """Return a metric as pages name it."""
    return WORDS.get(metric, metric).replace("_", " ")


def flags(found: list[Section]) -> list[tuple[str, str]]:
    """Return the marks that occur in sections, with their meanings."""
    seen = {one.verdict for part in found for row in part.rows for one in row.cells.values() if one}
    return [(mark, meaning) for mark, meaning in FLAGS if mark in seen]


def p_values(scores: pd.DataFrame) -> str:
    """Return a sentence on the largest p-value of scores without a mark; empty if no score has a p-value."""
    known = scores.dropna(subset=["p_value"]).to_dict("records")
    if not known:
        return ""
    unmarked = [row["p_value"] for row in known if not verdict(row)]
    if not unmarked:
        return "The p-value of each score is in scores.csv."
    most = f"The p-value of each score without a mark is {max(unmarked):.2g} at most"
    return f"{most}; scores.csv has them all."


def _counts(rows: pd.DataFrame) -> str:
    """Return on how many samples a probe was fitted and scored; empty if that is not known."""
    n_train, n_test, n_groups = rows.reindex(columns=["n_train", "n_test", "n_test_groups"]).max()
    if math.isnan(n_train + n_test + n_groups):
        return ""
    groups = f", {n_groups:.0f} subjects" if n_groups != n_test else ""
    return f"learnt on {n_train:.0f}, scored on {n_test:.0f} samples{groups}"


def _scale(metric: str, scores: pd.DataFrame) -> tuple[float, float]:
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
    score, worst, best = (number(row[name], row["metric"]) for name in ("score", "low", "high"))
    interval = "" if math.isnan(row["low"]) else f"{worst} to {best}"
    return Cell(score, interval, AT_LIMIT if limit_of_nats(row) else verdict(row), marks)


def limit_of_nats(row: Score) -> str:
    """
    Return the limit of information that both codes share, if the score is near it, else nothing.

    >>> limit_of_nats({"metric": "shared_information", "score": 2.9, "n_test": 20})
    'ln 20 = 3.00'
    """
    n = row.get("n_test", math.nan)
    if row["metric"] != "shared_information" or not row["score"] >= NEAR_LIMIT * math.log(max(n, 2)):
        return ""
    return f"ln {n:.0f} = {math.log(n):.2f}"


def has_information(row: Score) -> bool:
    """Return whether information is more than little, and more than that of shuffled people."""
    return bool(row["p_value"] <= MAX_P and row["score"] > LITTLE)


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
    """Format a score with its interval, if any, and chance, and with its p-value if that is above 0.05."""
    shown, chance = cell(row, 0, 0), number(row["chance"], row["metric"])
    interval = f" (95 % interval {shown.interval})" if shown.interval else ""
    p = f", p = {row['p_value']:.2f}" if row["p_value"] > MAX_P else ""
    return f"{metric_words(row['metric'])} {shown.score}{interval}, chance {chance}{p}."


def of_both_spaces(rows: list[Score]) -> list[tuple[Score, Score]]:
    """Return the salient and the common score of each question that has both."""
    common = {(row["attribute"], row["population"]): row for row in rows if row["space"] == "common"}
    return [
        (row, common[row["attribute"], row["population"]])
        for row in rows
        if row["space"] == "salient" and (row["attribute"], row["population"]) in common
    ]


def summary(scores: pd.DataFrame) -> list[str]:
    """Return sentences on the attribute on which salient leads most, and on background against target."""
    pairs = of_both_spaces(main_rows(scores))
    of_all = of_everyone([salient for salient, _ in pairs])
    attributes = [pair for pair in pairs if pair[0]["attribute"] != "label"]
    of_targets = [pair for pair in attributes if pair[0]["attribute"] not in of_all]
    sentences = []
    if asked := of_targets or attributes:
        known = [pair for pair in asked if is_known(pair[0]) or is_known(pair[1])]
        lead = max(known or asked, key=lambda pair: gain(pair[0]) - gain(pair[1]))
        among = ", among targets" * (lead[0]["attribute"] in of_all and lead[0]["population"] == "target")
        name = subject(lead[0]["attribute"])
        name = name if name == lead[0]["attribute"] else name.capitalize()
        sentences.append(_sentence(name, *lead, leak=bool(of_targets), among=among))
    if len(asked) > 1:
        kind = " about what only targets have" if of_targets else ""
        chosen = "this is the one on which the salient space does best, compared with the common one."
        sentences.append(f"Of {len(asked)} questions{kind}, {chosen}")
    of_label = [pair for pair in pairs if pair[0]["attribute"] == "label"]
    sentences += [_sentence("Background or target", *pair, leak=True) for pair in of_label]
    return sentences + _of_blocks(main_rows(scores), of_all)


def _of_blocks(rows: list[Score], of_all: set[str]) -> list[str]:
    """Return a sentence for each salient block: what it holds best of what only targets have."""
    sentences = []
    for block in dict.fromkeys(row["space"] for row in rows if row["space"] not in SPACES):
        asked = [row for row in rows if row["space"] == block and row["attribute"] not in of_all | {"label"}]
        if known := [row for row in asked if is_known(row)]:
            best = max(known, key=gain)
            sentences.append(f"The block '{block}' holds {best['question']} best: {reading(best)}")
        elif asked:
            sentences.append(f"The block '{block}' is not shown to hold anything that only targets have.")
    return sentences


def _sentence(name: str, salient: Score, common: Score, *, leak: bool, among: str = "") -> str:
    """Return both scores, chance, and the conclusion; with `leak`, common should not hold any of it."""
    metric = salient["metric"]
    if math.isnan(salient["low"]) or math.isnan(common["low"]):
        conclusion = "without intervals this says nothing of either space"
    elif not is_known(salient) and not is_known(common):
        conclusion = "neither space is shown to hold it"
    elif not is_known(common):
        conclusion = "the salient space holds it, and the common space is not shown to"
    elif not is_known(salient):
        conclusion = "the common space holds it, and the salient space is not shown to"
    elif salient["low"] > common["high"]:
        part = "part of it leaks into the common space" if leak else "the common space part of it"
        conclusion = f"the salient space holds it, and {part}"
    elif common["low"] > salient["high"]:
        conclusion = "the common space holds more of it than the salient space"
    else:
        conclusion = "both spaces hold it, and neither is clearly ahead"
    return (
        f"{name} reads at {number(salient['score'], metric)} from the salient code and "
        f"{number(common['score'], metric)} from the common code ({WORDS[metric]}{among}, "
        f"chance {number(common['chance'], metric)}): {conclusion}."
    )
