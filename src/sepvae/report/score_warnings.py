"""Warnings from `scores.csv`: collapse, leaks, spread, weak evidence."""

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sepvae.codes import SPACES, code_columns
from sepvae.evaluation.metrics import AT_CHANCE, MAX_P
from sepvae.report.scores import (
    Score,
    gain,
    is_known,
    main_rows,
    number,
    of_everyone,
    question,
    reading,
    verdict,
    words_of,
)

if TYPE_CHECKING:
    import pandas as pd

NEARLY_COLLAPSED = 0.1  # share of dimensions in use up to which a space has nearly collapsed
MIN_VARIANCE_RATIO = 2.0  # least ratio of the salient variance of targets to that of background
MIN_SUBJECTS = 5  # with fewer, under 93 of 100 intervals held the true value in simulations
KEYWORDS = (  # SepVAE's
    *("beta_common", "beta_salient", "kappa", "gamma", "background_prior_var", "max_epochs"),
    *("removal_common", "removal_salient", "swap_common", "swap_salient"),
)
MOST = 5  # maximum number of items in a list; "and .. more" follows


@dataclass(frozen=True)
class ReportWarning:
    """One warning: its title, the evidence with numbers, the possible meaning, and what to do."""

    title: str
    seen: list[str]
    meaning: str
    action: str


def of_spaces(
    scores: "pd.DataFrame | None", codes: "pd.DataFrame | None", keywords: Collection[str] = KEYWORDS
) -> Iterator[ReportWarning]:
    """
    Yield warnings if a space has collapsed, or if background samples spread in the salient space.

    Scores that `scores` lacks are computed from the codes.
    """
    plain = _from_codes(codes)
    if scores is not None:
        plain |= {(row["metric"], row["space"]): row["score"] for row in scores.to_dict("records")}
    collapsed = False
    for space in reversed(SPACES):
        units = plain.get(("active_units", space), math.nan)
        dimensions = 0 if codes is None else len(code_columns(codes, space))
        if not (units == 0 or units <= NEARLY_COLLAPSED * dimensions):
            continue
        collapsed |= space == "salient"
        nearly = "" if units == 0 else "nearly "
        of_all = f" of {dimensions}" if dimensions else ""
        yield ReportWarning(
            f"The {space} space has {nearly}collapsed",
            [f"{units:.0f}{of_all} {space} dimensions vary over targets (variance above 0.01)."],
            f"The model has put {nearly and 'next to '}nothing into it, so what a probe finds or does not "
            "find there says little.",
            _advice(
                {f"beta_{space}": "lower it"} | ({"gamma": "raise it"} if space == "salient" else {}),
                keywords,
            )
            + " Or train longer." * ("max_epochs" in keywords),
        )
    ratio = plain.get(("variance_ratio", "salient"), math.inf)
    if ratio < MIN_VARIANCE_RATIO or (math.isnan(ratio) and not collapsed):
        seen = (
            "The variance ratio of the salient space cannot be computed."
            if math.isnan(ratio)
            else f"Salient codes of targets vary {ratio:.2g} times as much as those of background "
            f"(warned of below {MIN_VARIANCE_RATIO:g})."
        )
        yield ReportWarning(
            "Background samples spread in the salient space",
            [seen],
            "The salient space may describe what background samples have too, not only what targets add.",
            _advice(
                {
                    "background_prior_var": "make it smaller",
                    "gamma": "raise it",
                    "background_mmd": "raise it",
                },
                keywords,
            ),
        )


def _advice(moves: dict[str, str], keywords: Collection[str]) -> str:
    """Return advice on keywords that the method has; of those, linear methods have alpha only."""
    known = [f"{name}: {move}" for name, move in moves.items() if name in keywords]
    if not known and "alpha" in keywords:
        known = ["alpha: try another"]
    return "Keywords to try: " + "; ".join(known) + "." if known else ""


def _from_codes(codes: "pd.DataFrame | None") -> dict[tuple[str, str], float]:
    """Return scores that need no probe, over the test samples; empty with fewer than two of a label."""
    from sepvae.evaluation.scores import separation_scores

    if codes is None:
        return {}
    test = codes[codes["split"] == "test"]
    if min((test["y"] == y).sum() for y in (0, 1)) < 2:
        return {}
    found = separation_scores(test)
    return {(row["metric"], row["space"]): row["score"] for row in found.to_dict("records")}


def of_leaks(scores: "pd.DataFrame", keywords: Collection[str] = KEYWORDS) -> Iterator[ReportWarning]:
    """Yield a warning for each space that predicts, above chance, what belongs in the other space."""
    rows = main_rows(scores)
    of_all = of_everyone(rows)
    for space, title, meaning, action in (
        (
            "common",
            "Target information is left in the common space",
            "Not all of what makes a target a target has moved to the salient space. A label that goes with "
            "age, site or another attribute of everyone can be read from it too.",
            _advice(dict.fromkeys(("removal_common", "kappa", "common_mmd"), "raise it"), keywords)
            + " See whether attributes differ between the labels.",
        ),
        (
            "salient",
            "Common information is in the salient space",
            "The salient space describes more than what targets add. An attribute that differs between "
            "background and targets is read from it too, without any fault of the model.",
            _advice(
                dict.fromkeys(("swap_salient", "kappa", "beta_salient", "background_mmd"), "raise it"),
                keywords,
            )
            + " Compare with the same attribute among targets only.",
        ),
    ):
        asked = [
            row
            for row in rows
            if row["space"] == space
            and (row["attribute"] in of_all) == (space == "salient")
            and (space == "common" or row["population"] == "all")
        ]
        known = sorted(filter(is_known, asked), key=gain, reverse=True)
        if known:
            seen = [
                f"{question(row['attribute'], row['population'])}: {_score_and_chance(row)}" for row in known
            ]
            yield ReportWarning(
                f"{title}: {len(known)} of {len(asked)} question{'s' * (len(asked) > 1)}",
                some(seen),
                meaning,
                action,
            )


def of_evidence(scores: "pd.DataFrame") -> Iterator[ReportWarning]:
    """Yield a warning if salient scores are not distinguishable from chance, or test subjects are too few."""
    rows = main_rows(scores)
    of_all = of_everyone(rows)
    wanted = [row for row in rows if row["space"] == "salient" and row["attribute"] not in of_all]
    seen = []
    for row in wanted:
        doubt = verdict(row)
        if doubt:
            word = "not distinguishable from chance" if doubt == AT_CHANCE else doubt
            seen.append(f"{_asked(row)}, salient space: {word}, {_score_and_chance(row)}")
    few = {
        _asked(row): row["n_test_groups"] for row in rows if row.get("n_test_groups", math.inf) < MIN_SUBJECTS
    }
    seen += [f"{asked}: only {n:.0f} test subjects." for asked, n in few.items()]
    if seen:
        yield ReportWarning(
            "The evidence is weak",
            some(seen),
            "Too few samples, or nothing there: these numbers cannot say which. Below "
            f"{MIN_SUBJECTS} subjects the interval itself is uncertain.",
            "Score more test subjects, or other splits and seeds, before drawing conclusions.",
        )


def _asked(row: Score) -> str:
    return question(row["attribute"], row["population"])


def _score_and_chance(row: Score) -> str:
    """Format a score with its interval and chance, and with its p-value if that is above 0.05."""
    p = "" if math.isnan(row["p_value"]) or row["p_value"] <= MAX_P else f", p = {row['p_value']:.2f}"
    chance = number(row["chance"], row["metric"])
    return f"{words_of(row['metric'])} {reading(row)}, chance {chance}{p}."


def some(seen: list[str]) -> list[str]:
    """Return a list cut to its first MOST items and the number of the others."""
    return seen if len(seen) <= MOST + 1 else [*seen[:MOST], f"and {len(seen) - MOST} more."]
