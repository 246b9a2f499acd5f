"""`judge`: are the codes of a run separated? One answer a question, by fixed thresholds on `scores.csv`."""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

import pandas as pd

from sepvae.evaluation.metrics import MAX_P
from sepvae.report.scores import Score, gain, is_known, main_rows, of_everyone, reading, subject
from sepvae.report.warnings import MIN_VARIANCE_RATIO

Light = Literal["green", "amber", "red"]
Overall = Literal["separated", "partly separated", "not separated", "not known"]

SALIENT_KNOWS = "Does the salient code tell background and target apart?"
COMMON_FREE = "Is the common code free of the label?"
APART = "Do common and salient hold different things?"
GOOD_AUC = 0.8  # of background or target from salient
LITTLE, SOME = 0.05, 0.2  # of information where none should be, as a share; in nats where no share is known
GOOD_RATIO = 5.0  # salient variance of targets over that of background


@dataclass(frozen=True)
class Answer:
    """Answer to one question about the separation, with its number and what to try; green is as wanted."""

    question: str
    light: Light
    seen: str
    advice: str = ""

    @classmethod
    def of(cls, question: str, light: Light, seen: str, advice: str) -> "Answer":
        """Return the answer; one that is as wanted needs no advice."""
        return cls(question, light, seen, "" if light == "green" else advice)


@dataclass(frozen=True)
class Verdict:
    """Verdict on a run, and the answers that it rests on."""

    verdict: Overall
    answers: list[Answer]

    def as_json(self) -> dict[str, Any]:
        """Return the content of `verdict.json`."""
        return asdict(self)


def judge(scores: pd.DataFrame) -> Verdict:
    """
    Judge the separation of common and salient codes by the scores of a run.

    It is "separated" if all answers are green, and "not separated" if salient does not tell background and
    target apart or if at least half of the answers are red. Questions without a score are left out; without
    one of the first three the verdict is "not known".
    """
    rows = main_rows(scores)
    answers = [
        *_of_label(rows, scores),
        *_of_shared(scores),
        *_of_background(scores),
        *_of_everyone(rows),
        *_of_targets(rows),
    ]
    lights = [answer.light for answer in answers]
    if not {SALIENT_KNOWS, COMMON_FREE, APART} <= {answer.question for answer in answers}:
        return Verdict("not known", answers)
    if lights[0] == "red" or lights.count("red") >= len(lights) / 2:
        return Verdict("not separated", answers)
    return Verdict("separated" if set(lights) == {"green"} else "partly separated", answers)


def _of_label(rows: list[Score], scores: pd.DataFrame) -> Iterator[Answer]:
    """Judge the label: salient should tell it, and common should hold no information about it."""
    for row in rows:
        if row["attribute"] == "label" and row["space"] == "salient":
            light: Light = "red" if not is_known(row) else "green" if row["score"] >= GOOD_AUC else "amber"
            advice = "more samples, more epochs or another network; groups that do not differ look like this"
            yield Answer.of(SALIENT_KNOWS, light, reading(row), advice)
    found = _rows(scores, metric="information_share", attribute="label", space="common")
    for row in found:
        light = _by_share(row, row["score"])
        advice = (
            "see whether age or site differ between the groups; else raise the weight that empties common"
        )
        seen = f"it holds at least {_percent(row)} of the information in the label{_p(row)}."
        yield Answer.of(COMMON_FREE, light, seen, advice)


def _of_shared(scores: pd.DataFrame) -> Iterator[Answer]:
    """Judge what both codes share, among targets."""
    shares = _rows(scores, metric="shared_information_share", population="target")
    for nats in _rows(scores, metric="shared_information", population="target"):
        share = shares[0]["score"] if shares else nats["score"]
        of_salient = f", {_percent(shares[0])} of what the salient code holds" if shares else ""
        light = _by_share(nats, share)
        seen = f"among targets they share at least {max(nats['score'], 0):.2f} nats{of_salient}{_p(nats)}."
        advice = "raise the weight that keeps the spaces apart, or make the spaces smaller"
        yield Answer.of(APART, light, seen, advice)


def _of_background(scores: pd.DataFrame) -> Iterator[Answer]:
    """Judge the spread of background samples in the salient space."""
    for row in _rows(scores, metric="variance_ratio", space="salient", population="all"):
        if math.isnan(ratio := row["score"]):
            continue
        light: Light = "green" if ratio >= GOOD_RATIO else "amber" if ratio >= MIN_VARIANCE_RATIO else "red"
        seen = f"salient codes of targets vary {ratio:.3g} times as much as those of background."
        advice = "raise the weight of the salient prior, or make that of the background narrower"
        yield Answer.of("Is the background at rest in the salient space?", light, seen, advice)


def _of_everyone(rows: list[Score]) -> Iterator[Answer]:
    """Judge what everyone has, such as age or site: salient should not know it; of targets, who are alike."""
    everyone = of_everyone(rows)
    found = sorted(_pairs(rows), key=lambda pair: str(pair[0]["population"]))  # all, then target
    pairs = list({pair[0]["attribute"]: pair for pair in found if pair[0]["attribute"] in everyone}.values())
    advice = (
        "a confound, or a leak: balance or residualise it, or raise the weight that keeps the spaces apart"
    )
    question = "Is the salient code free of what everyone has?"
    yield from _worst(question, pairs, advice)


def _of_targets(rows: list[Score]) -> Iterator[Answer]:
    """Judge what only targets have, such as a subtype: common should not know it."""
    everyone = of_everyone(rows)
    pairs = [
        (common, salient)
        for salient, common in _pairs(rows)
        if salient["attribute"] not in everyone | {"label"} and (is_known(salient) or is_known(common))
    ]
    yield from _worst(
        "Is the common code free of what only targets have?",
        pairs,
        "raise the weight that empties common, or that keeps the spaces apart",
    )


def _pairs(rows: list[Score]) -> list[tuple[Score, Score]]:
    """Return the salient and the common score of each question that has both."""
    common = {(row["attribute"], row["population"]): row for row in rows if row["space"] == "common"}
    salient = [row for row in rows if row["space"] == "salient"]
    keys = [(row["attribute"], row["population"]) for row in salient]
    return [(row, common[key]) for row, key in zip(salient, keys, strict=True) if key in common]


def _worst(question: str, pairs: list[tuple[Score, Score]], advice: str) -> Iterator[Answer]:
    """Judge the attribute that the wrong space knows best, compared with the right one."""
    if not pairs:
        return
    wrong, right = max(pairs, key=lambda pair: (is_known(pair[0]), gain(pair[0]) - gain(pair[1])))
    if not is_known(wrong):
        some = (
            f"none of {len(pairs)} attributes is"
            if len(pairs) > 1
            else f"{subject(wrong['attribute'])} is not"
        )
        yield Answer(question, "green", f"{some} distinguishable from chance.")
        return
    light: Light = "amber" if _is_clearly_less(wrong, right) else "red"
    known = sum(is_known(pair[0]) for pair in pairs)
    count = f" ({known} of {len(pairs)} attributes are known)" if len(pairs) > 1 else ""
    name = f"{wrong['question']}, {wrong['space']}"
    yield Answer(
        question,
        light,
        f"{name}: {reading(wrong)[:-1]}; from {right['space']} {right['score']:.2f}{count}.",
        advice,
    )


def _is_clearly_less(wrong: Score, right: Score) -> bool:
    """Return whether the wrong space is worse than the right one by more than their intervals overlap."""
    return bool(wrong["high"] < right["low"])


def _by_share(row: Score, share: float) -> Light:
    """Return the light of information where none should be; green if shuffles have as much."""
    if not row["p_value"] <= MAX_P or share <= LITTLE:
        return "green"
    return "amber" if share <= SOME else "red"


def _rows(scores: pd.DataFrame, **where: str) -> list[Score]:
    """Return the rows with these values."""
    kept = scores
    for column, value in where.items():
        kept = kept[kept[column] == value]
    rows: list[Score] = kept.to_dict("records")
    return rows


def _percent(row: Score) -> str:
    return f"{100 * row['score']:.0f} % (95 % interval {100 * row['low']:.0f} to {100 * row['high']:.0f})"


def _p(row: Score) -> str:
    """Return the p-value where it is above 0.05."""
    return f", p = {row['p_value']:.2f}" if row["p_value"] > MAX_P else ""
