"""`judge`: are the codes of a run separated? One answer a question, by fixed thresholds on `scores.csv`."""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import pandas as pd

from sepvae.report.covariates import BEYOND, is_beyond, known_among_background, unscored
from sepvae.report.scores import (
    Score,
    gain,
    has_information,
    is_known,
    limit_of_nats,
    main_rows,
    of_both_spaces,
    of_everyone,
    reading,
    rows_of,
)
from sepvae.report.warnings import MIN_VARIANCE_RATIO, NOTHING_LEARNT

Light = Literal["green", "amber", "red"]
WORDS: dict[Light, str] = {"green": "yes", "amber": "in part", "red": "no"}
Overall = Literal["separated", "partly separated", "not separated", "not known"]

SALIENT_KNOWS = "Does the salient code tell background and target apart?"
COMMON_FREE = "Is the common code free of the label?"
APART = "Do common and salient hold different things?"
IN_USE = "Are both spaces in use?"
AT_REST = "Is the background at rest in the salient space?"
FREE_OF_COMMON = "Is the salient code free of what everyone has?"
FREE_OF_SALIENT = "Is the common code free of what only targets have?"
NOT_A_COVARIATE = "Is it the disease, and not a covariate such as site?"
SINGLE = "Do reconstructions show single samples?"
QUESTIONS = [SALIENT_KNOWS, COMMON_FREE, APART, IN_USE, AT_REST, FREE_OF_COMMON, FREE_OF_SALIENT]
QUESTIONS += [NOT_A_COVARIATE, SINGLE]
GOOD_AUC = 0.8  # of background or target from salient
SOME = 0.2  # of information where at most LITTLE should be: a share of the label's, or nats
GOOD_RATIO = 5.0  # salient variance of targets over that of background
MOST_REMAINS = 0.5  # of what salient tells of the label, once covariates are given
GOOD_EXPLAINED = 0.3  # share of the variance of held-out samples that reconstructions explain
NUMBERS = ("space", "attribute", "population", "metric", "score", "low", "high", "chance", "p_value")


@dataclass(frozen=True)
class Answer:
    """Answer to one question about the separation, with the score behind it and what to try if not green."""

    question: str
    light: Light
    seen: str
    advice: str
    score: dict[str, Any]

    @property
    def word(self) -> str:
        """The answer in a word."""
        return WORDS[self.light]

    @classmethod
    def of(cls, question: str, light: Light, seen: str, advice: str, row: Score) -> "Answer":
        """Return the answer; one that is as wanted needs no advice."""
        known = {name: row[name] for name in NUMBERS if not pd.isna(row.get(name))}
        return cls(question, light, seen, "" if light == "green" else advice, known)


@dataclass(frozen=True)
class Verdict:
    """Verdict on a run, and the answers that it rests on."""

    verdict: Overall
    answers: list[Answer]

    def __str__(self) -> str:
        return f"{self.verdict} (without a score: {' '.join(self.open)})" if self.open else self.verdict

    @property
    def open(self) -> list[str]:
        """Questions without a score."""
        asked = {answer.question for answer in self.answers}
        return [question for question in QUESTIONS if question not in asked]

    def as_json(self) -> dict[str, Any]:
        """Return the content of `verdict.json`."""
        return asdict(self)


def judge(scores: pd.DataFrame, inspection: dict[str, Any] | None = None) -> Verdict:
    """
    Judge the separation of common and salient codes by the scores of a run, and by what its check found.

    It is "separated" if all answers are green, and "not separated" if salient does not tell background and
    target apart or if at least half of the answers are red. Questions without a score are left out; without
    one of the first three the verdict is "not known".
    """
    rows = main_rows(scores)
    answers = [
        *_of_label(rows, scores),
        *_of_shared(scores),
        *_of_use(scores),
        *_of_background(scores),
        *_of_everyone(rows),
        *_of_targets(rows),
        *_of_confounds(rows, scores, inspection),
        *_of_reconstructions(scores),
    ]
    lights = [answer.light for answer in answers]
    if not {SALIENT_KNOWS, COMMON_FREE, APART} <= {answer.question for answer in answers}:
        return Verdict("not known", answers)
    if lights[0] == "red" or lights.count("red") >= len(lights) / 2:
        return Verdict("not separated", answers)
    return Verdict("separated" if set(lights) == {"green"} else "partly separated", answers)


def _of_label(rows: list[Score], scores: pd.DataFrame) -> Iterator[Answer]:
    """Judge the label: salient should tell it, and common should hold no information about it."""
    of_label = {row["space"]: row for row in rows if row["attribute"] == "label"}
    if row := of_label.get("salient"):
        light: Light = "red" if not is_known(row) else "green" if row["score"] >= GOOD_AUC else "amber"
        advice = "more samples, more epochs or another network; groups that do not differ look like this"
        yield Answer.of(SALIENT_KNOWS, light, reading(row), advice, row)
    for row in rows_of(scores, metric="information_share", attribute="label", space="common"):
        light = _by_information(row)
        read = of_label.get("common")
        if light == "green" and read and is_known(read):
            light = "amber"  # a linear probe sees what the bound does not show
        share, low, high = (f"{100 * row[name]:.0f}" for name in ("score", "low", "high"))
        seen = f"{share} % of the information in the label (95 % interval {low} to {high}), {_p(row)}"
        seen += f"; {reading(read)}" if read else "."
        advice = (
            "see whether age or site differ between the groups; else raise the weight that empties common"
        )
        yield Answer.of(COMMON_FREE, light, seen, advice, row)


def _of_shared(scores: pd.DataFrame) -> Iterator[Answer]:
    """Judge what both codes share, among targets."""
    for row in rows_of(scores, metric="shared_information", population="target"):
        interval = f"95 % interval {row['low']:z.2f} to {row['high']:z.2f}"
        seen = f"among targets they share {max(row['score'], 0):.2f} nats or more ({interval}), {_p(row)}"
        limit = limit_of_nats(row)
        seen += (
            f"; so many test samples cannot show more than {limit}, so they may share more." if limit else "."
        )
        advice = "raise the weight that keeps the spaces apart, or make the spaces smaller"
        yield Answer.of(APART, _by_information(row), seen, advice, row)


def _of_use(scores: pd.DataFrame) -> Iterator[Answer]:
    """Judge whether both codes vary over targets: what a space without use does not know says nothing."""
    units = {row["space"]: row for row in rows_of(scores, metric="active_units", population="target")}
    if {"common", "salient"} <= units.keys():
        least = min((units["common"], units["salient"]), key=lambda row: row["score"])
        numbers = " and ".join(f"{units[space]['score']:.0f} {space}" for space in ("common", "salient"))
        light: Light = "green" if least["score"] > 0 else "red"
        advice = "train longer, or lower the weight of the prior of the empty space"
        yield Answer.of(IN_USE, light, f"{numbers} dimensions vary.", advice, least)


def _of_background(scores: pd.DataFrame) -> Iterator[Answer]:
    """Judge the spread of background samples in the salient space."""
    for row in rows_of(scores, metric="variance_ratio", space="salient", population="all"):
        if math.isnan(ratio := row["score"]):
            continue
        light: Light = "green" if ratio >= GOOD_RATIO else "amber" if ratio >= MIN_VARIANCE_RATIO else "red"
        seen = f"salient codes of targets vary {ratio:.3g} times as much as those of background."
        advice = "make the prior of salient codes of the background narrower, or raise its weight"
        yield Answer.of(AT_REST, light, seen, advice, row)


def _of_everyone(rows: list[Score]) -> Iterator[Answer]:
    """Judge what everyone has, such as age or site: salient should not know it, of targets or background."""
    everyone = of_everyone(rows)
    found = sorted(of_both_spaces(rows), key=lambda pair: str(pair[0]["population"]))  # all, then target
    pairs = list({pair[0]["attribute"]: pair for pair in found if pair[0]["attribute"] in everyone}.values())
    advice = (
        "a confound, or a leak: balance or residualise it, or raise the weight that keeps the spaces apart"
    )
    at_rest = [str(row["attribute"]) for row in known_among_background(rows) if row["attribute"] in everyone]
    for answer in _worst(FREE_OF_COMMON, pairs, advice):
        if answer.light == "green" and at_rest:
            seen = f"{answer.seen[:-1]}; but among background salient knows {', '.join(at_rest)}."
            yield replace(answer, light="amber", seen=seen, advice=advice)
        else:
            yield answer


def _of_targets(rows: list[Score]) -> Iterator[Answer]:
    """Judge what only targets have, such as a subtype: common should not know it."""
    everyone = of_everyone(rows)
    pairs = [
        (common, salient)
        for salient, common in of_both_spaces(rows)
        if salient["attribute"] not in everyone | {"label"} and (is_known(salient) or is_known(common))
    ]
    yield from _worst(
        FREE_OF_SALIENT,
        pairs,
        "raise the weight that empties common, or that keeps the spaces apart",
    )


def _of_confounds(
    rows: list[Score], scores: pd.DataFrame, inspection: dict[str, Any] | None
) -> Iterator[Answer]:
    """Judge what salient tells of the label beyond covariates, and what it knows of them among background."""
    beyond, known = rows_of(scores, metric=BEYOND), known_among_background(rows)
    missing = unscored(rows, inspection)
    if not beyond and not known and not missing:
        return
    row = (beyond or known or [{}])[0]
    light: Light = "amber" if known or missing else "green"
    seen = []
    if beyond:
        tells = rows_of(scores, metric="information", space="salient", attribute="label")
        without = max(tells[0]["score"], 0.0) if tells else row["score"]
        interval = f"95 % interval {row['low']:z.2f} to {row['high']:z.2f}"
        told = f"beyond the covariates salient tells {row['score']:z.2f} nats of the label ({interval})"
        seen.append(f"{told}, {_p(row)}, and {without:.2f} without them")
        if not is_beyond(row):
            light = "red"
        elif row["score"] < MOST_REMAINS * without:
            light = "amber"
    if known:
        seen.append("among background it knows " + ", ".join(str(one["attribute"]) for one in known))
    if missing:
        seen.append(f"{', '.join(missing)} of the images goes with the label, and has no score")
    of_label = [one for one in rows if (one["attribute"], one["space"]) == ("label", "salient")]
    if light == "green" and not any(map(is_known, of_label)):
        return  # nothing that could be the disease
    advice = "match the groups, residualise or harmonise, or name what is missing as an attribute"
    yield Answer.of(NOT_A_COVARIATE, light, "; ".join(seen) + ".", advice, row)


def _of_reconstructions(scores: pd.DataFrame) -> Iterator[Answer]:
    """Judge what reconstructions explain of the variance of held-out samples, of the group with less."""
    if rows := rows_of(scores, metric="explained_variance", space="both"):
        row = min(rows, key=lambda one: one["score"])
        light: Light = "red" if not row["score"] > 1 - NOTHING_LEARNT else "amber"
        light = "green" if row["score"] >= GOOD_EXPLAINED else light
        share, low, high = (f"{100 * row[name]:.0f}" for name in ("score", "low", "high"))
        interval = f"95 % interval {low} to {high}"
        seen = f"they explain {share} % of the variance of {row['population']} samples ({interval})."
        advice = "train longer, take another network, or lower the weights of the priors"
        yield Answer.of(SINGLE, light, seen, advice, row)


def _worst(question: str, pairs: list[tuple[Score, Score]], advice: str) -> Iterator[Answer]:
    """Judge the attribute that the wrong space knows best, compared with the right one."""
    if not pairs:
        return
    wrong, right = max(pairs, key=lambda pair: (is_known(pair[0]), gain(pair[0]) - gain(pair[1])))
    known = sum(is_known(pair[0]) for pair in pairs)
    light: Light = "green" if not known else "amber" if wrong["high"] < right["low"] else "red"
    best = f"{wrong['question']}, {wrong['space']}: {reading(wrong)[:-1]}"
    seen = f"{known} of {len(pairs)} attributes can be read{', best ' * (len(pairs) > 1) or ': '}{best}; "
    seen += f"from {right['space']} {right['score']:.2f}."
    yield Answer.of(question, light, seen, advice, wrong)


def _by_information(row: Score) -> Light:
    """Return the light of information where none should be; green if shuffles have as much."""
    if not has_information(row):
        return "green"
    return "amber" if row["score"] <= SOME else "red"


def _p(row: Score) -> str:
    return f"p = {row['p_value']:.2g}"
