"""Summary of the scores in a few sentences, which claim no more than the numbers show."""

import math
from typing import TYPE_CHECKING

from sepvae.report.scores import WORDS, Score, gain, is_known, main_rows, number, of_everyone

if TYPE_CHECKING:
    import pandas as pd


def summary(scores: "pd.DataFrame") -> list[str]:
    """Return sentences on how well both spaces predict one attribute, and background against target."""
    rows = main_rows(scores)
    return [*_attribute(rows), *_label(rows)]


def _attribute(rows: list[Score]) -> list[str]:
    """Describe the attribute on which salient leads most, among those of targets only if any exist."""
    pairs = _salient_and_common(rows)
    of_all = of_everyone([salient for salient, _ in pairs])
    of_targets = [pair for pair in pairs if pair[0]["attribute"] not in of_all]
    asked = of_targets or pairs
    if not asked:
        return []
    salient, common = max(asked, key=lambda pair: gain(pair[0]) - gain(pair[1]))
    kind = " about what only targets have" if of_targets else ""
    chosen = f"Of {len(asked)} questions{kind}, this is the one on which the salient space is farthest ahead."
    return [
        _sentence(str(salient["attribute"]), salient, common, leak=bool(of_targets)),
        *[chosen] * (len(asked) > 1),
    ]


def _sentence(name: str, salient: Score, common: Score, *, leak: bool) -> str:
    """Return a sentence with both scores, chance, and the conclusion."""
    metric = salient["metric"]
    return (
        f"{name} reads at {number(salient['score'], metric)} from the salient code and "
        f"{number(common['score'], metric)} from the common code ({WORDS[metric]}, "
        f"chance {number(common['chance'], metric)}): {_verdict(salient, common, leak=leak)}."
    )


def _verdict(salient: Score, common: Score, *, leak: bool) -> str:
    """Return which space holds an attribute; with `leak`, it counts as leaked if common holds part of it."""
    if math.isnan(salient["low"]) or math.isnan(common["low"]):
        return "without intervals this says nothing of either space"
    if not is_known(salient) and not is_known(common):
        return "neither space is shown to hold it"
    if not is_known(common):
        return "the salient space holds it, and the common space is not shown to"
    if not is_known(salient):
        return "the common space holds it, and the salient space is not shown to"
    if salient["low"] > common["high"]:
        part = "part of it leaks into the common space" if leak else "the common space part of it"
        return f"the salient space holds it, and {part}"
    if common["low"] > salient["high"]:
        return "the common space holds more of it than the salient space"
    return "both spaces hold it, and neither is clearly ahead"


def _salient_and_common(rows: list[Score]) -> list[tuple[Score, Score]]:
    """Return the main scores of each attribute and population for which both spaces have one."""
    asked = [row for row in rows if row["attribute"] != "label"]
    main = {(row["attribute"], row["population"], row["space"]): row for row in asked}
    return [
        (row, main[attribute, population, "common"])
        for (attribute, population, space), row in main.items()
        if space == "salient" and (attribute, population, "common") in main
    ]


def _label(rows: list[Score]) -> list[str]:
    """Compare the two spaces on background against target."""
    asked = {row["space"]: row for row in rows if row["attribute"] == "label"}
    if not {"salient", "common"} <= set(asked):
        return []
    return [_sentence("Background or target", asked["salient"], asked["common"], leak=True)]
