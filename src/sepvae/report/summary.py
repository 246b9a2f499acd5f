"""What the scores say, in a few sentences that claim no more than the numbers do."""

from typing import TYPE_CHECKING

from sepvae.report.scores import (
    AT_CHANCE,
    BELOW_CHANCE,
    MAIN_METRICS,
    WORDS,
    Score,
    is_known,
    number,
    question,
    reading,
    verdict,
)

if TYPE_CHECKING:
    import pandas as pd


def summary(scores: "pd.DataFrame") -> list[str]:
    """
    Say what both spaces know of an attribute of targets, and of background against target.

    Parameters
    ----------
    scores : DataFrame
        As in `scores.csv`.

    Returns
    -------
    list of str
        Sentences; none where nothing was probed.
    """
    rows = scores.dropna(subset=["attribute", "score", "chance"]).to_dict("records")
    return [*_attribute(rows), *_label(rows)]


def _attribute(rows: list[Score]) -> list[str]:
    """Speak of the attribute on which the salient space is farthest ahead, one of targets only if any is."""
    pairs = _salient_and_common(rows)
    everyone = {salient["attribute"] for salient, _ in pairs if salient["population"] == "all"}
    of_targets = [pair for pair in pairs if pair[0]["attribute"] not in everyone]
    asked = of_targets or pairs
    if not asked:
        return []
    salient, common = max(asked, key=lambda pair: _gain(pair[0]) - _gain(pair[1]))
    sentences = [
        f"Asked for {question(salient['attribute'], salient['population'])}, a linear probe gets "
        f"{WORDS[salient['metric']]} {reading(salient)}{_doubt(salient)} from the salient space, and "
        f"{reading(common)}{_doubt(common)} from the common space; "
        f"chance is {number(common['chance'], common['metric'])}."
    ]
    if len(asked) > 1:
        kind = " about what only targets have" if of_targets else ""
        sentences.append(
            f"Of {len(asked)} questions{kind} this is the one on which the salient space is farthest ahead, "
            "and such a choice flatters."
        )
    if _gain(salient) <= _gain(common):
        sentences.append("So the salient space is not ahead of the common one.")
    if of_targets and is_known(common):
        sentences.append("What the common space knows of it is a leak.")
    return sentences


def _salient_and_common(rows: list[Score]) -> list[tuple[Score, Score]]:
    """Main scores of each attribute and population, where both spaces have one."""
    main = {
        (row["attribute"], row["population"], row["space"]): row
        for row in rows
        if row["metric"] in MAIN_METRICS and row["attribute"] != "label"
    }
    return [
        (row, main[attribute, population, "common"])
        for (attribute, population, space), row in main.items()
        if space == "salient" and (attribute, population, "common") in main
    ]


def _gain(row: Score) -> float:
    """How far a score has come on the way from chance to perfect."""
    return float((row["score"] - row["chance"]) / max(1 - row["chance"], 1e-9))


def _label(rows: list[Score]) -> list[str]:
    """Compare the two spaces on background against target."""
    asked = {row["space"]: row for row in rows if row["attribute"] == "label" and row["metric"] == "auc"}
    if not {"salient", "common"} <= set(asked):
        return []
    salient, common = asked["salient"], asked["common"]
    sentence = (
        f"A probe tells background from target with an AUC of {reading(salient)}{_doubt(salient)} from the "
        f"salient space, and of {reading(common)}{_doubt(common)} from the common space; "
        f"chance is {number(common['chance'], 'auc')}."
    )
    return [sentence, "So the common space leaks: it knows the label."] if is_known(common) else [sentence]


def _doubt(row: Score) -> str:
    return {
        AT_CHANCE: ", not to be told from chance,",
        BELOW_CHANCE: ", worse than chance,",
    }.get(verdict(row), "")
