"""Warnings about a run; each rests on a number and a stated threshold."""

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from sepvae.batch import AnyArray
from sepvae.codes import SPACES, code_columns
from sepvae.evaluation.metrics import AT_CHANCE
from sepvae.evaluation.scores import separation_scores
from sepvae.losses import CHANCE, MARGIN
from sepvae.report.contents import Contents, divided_groups
from sepvae.report.scores import (
    Score,
    gain,
    has_information,
    is_known,
    main_rows,
    of_everyone,
    reading,
    rows_of,
    verdict,
)

NO_INFORMATION = 1e-6  # nats
MIN_EPOCHS_OF_CRITIC = 3  # fewer epochs are too few to judge a critic
STILL_FALLING = 0.05  # share of the loss's total fall; more in the last tenth of epochs is not the end
MIN_EPOCHS_OF_FALL = 10
NOTHING_LEARNT = 0.9  # share of the mean's squared error from which on nothing was learnt
NEARLY_COLLAPSED = 0.1  # share of dimensions in use up to which a space has nearly collapsed
MIN_VARIANCE_RATIO = 2.0  # least ratio of the salient variance of targets to that of background
MIN_SUBJECTS = 5  # with fewer, under 93 of 100 intervals held the true value in simulations
KEYWORDS = (  # SepVAE's
    *("beta_common", "beta_salient", "kappa", "gamma", "background_prior_var", "max_epochs"),
    *("removal_common", "removal_salient", "swap_common", "swap_salient"),
)
MOST = 5  # maximum number of items in a list; "and .. more" follows
RAISE, LOWER, TRAIN_LONGER = "raise it", "lower it", "train longer"


@dataclass(frozen=True)
class ReportWarning:
    """One warning: its evidence with numbers, its possible meaning, what to do, and keywords to change."""

    title: str
    seen: list[str]
    meaning: str
    action: str = ""
    moves: dict[str, str] = field(default_factory=dict)


def find_warnings(contents: Contents) -> list[ReportWarning]:
    """Return all warnings about a run, the most serious first; none advises against an earlier one."""
    examples, scores, metrics = contents.examples or {}, contents.scores, contents.metrics
    known = contents.recipe.get("keywords")
    keywords: dict[str, Any] = known if isinstance(known, dict) else dict.fromkeys(KEYWORDS)
    found = [
        *of_data(contents.findings or []),
        *(() if contents.split is None else of_split(contents.split)),
        *(of_reconstructions(**examples) if "full" in examples else ()),
        *of_spaces(scores, contents.codes),
        *(() if scores is None else of_leaks(scores)),
        *(
            ()
            if metrics is None
            else of_training(metrics, scores, critic_counts=keywords.get("kappa", 0) != 0)
        ),
        *(() if scores is None else of_evidence(scores)),
    ]
    advised: dict[str, str] = {}
    return [_advise(warning, keywords, advised) for warning in found]


def _advise(warning: ReportWarning, keywords: Collection[str], advised: dict[str, str]) -> ReportWarning:
    """Put advice on keywords that the method has into a warning; what is `advised` already comes first."""
    in_epochs = "max_epochs" in keywords
    if warning.moves and not in_epochs:  # a linear method, with one weight of its own
        tries = [f"{name}: try another" for name in ("alpha", "gamma") if name in keywords]
    else:
        tries = []
        for name in [name for name in warning.moves if name in keywords]:
            move = advised.setdefault(name, warning.moves[name])
            tries.append(f"{name}: {move}" + ", as said above" * (move != warning.moves[name]))
    action = warning.action
    if action == TRAIN_LONGER:
        action = ("Or train longer." if tries else "Train longer.") if in_epochs else ""
    advice = f"Keywords to try: {'; '.join(tries)}. " if tries else ""
    return replace(warning, action=(advice + action).rstrip())


def of_data(findings: list[dict[str, Any]]) -> Iterator[ReportWarning]:
    """Yield what the check of the data found: one warning for its errors, one for its warnings."""
    for level in ("error", "warning"):
        messages = [finding["message"] for finding in findings if finding["level"] == level]
        if messages:
            yield ReportWarning(
                f"The check of the data found {len(messages)} {level}{'s' * (len(messages) > 1)}",
                _some(messages),
                "Scores may then show how the data were gathered rather than what the groups are.",
                "See what check found, further down; fix the data or the split, then fit again.",
            )


def of_split(split: pd.DataFrame) -> Iterator[ReportWarning]:
    """Yield a warning if subjects are on both sides of the split."""
    if divided := divided_groups(split):
        yield ReportWarning(
            "Subjects on both sides of the split",
            [f"{divided} subjects have samples in more than one split."],
            "Scores are optimistically biased: the model has seen other samples of the same subject.",
            "Split by subject, then fit again.",
        )


def of_reconstructions(inputs: AnyArray, full: AnyArray) -> Iterator[ReportWarning]:
    """Yield a warning if reconstructions (n, ...) are hardly better than the mean of the examples."""
    known = ~np.isnan(inputs).any(axis=tuple(range(1, inputs.ndim)))
    inputs, full = inputs[known].astype(float), full[known].astype(float)
    spread = float(((inputs - inputs.mean(axis=0)) ** 2).mean()) if len(inputs) > 1 else 0.0
    error = float(((inputs - full) ** 2).mean()) if len(inputs) else 0.0
    if spread > 0 and error >= NOTHING_LEARNT * spread:
        seen = (
            f"On the {len(inputs)} examples the squared error is {error:.3g}, and that of drawing their mean "
            f"each time {spread:.3g}."
        )
        yield ReportWarning(
            "Reconstructions show next to nothing",
            [seen],
            "The model has learnt little about single samples, so its codes can say little.",
            TRAIN_LONGER,
            {"beta_common": LOWER, "beta_salient": LOWER},
        )


def of_spaces(scores: pd.DataFrame | None, codes: pd.DataFrame | None) -> Iterator[ReportWarning]:
    """Yield warnings if a space has collapsed, or if background samples spread in the salient space."""
    plain = _from_codes(codes)  # of scores that are missing
    if scores is not None:
        plain |= {(row["metric"], row["space"]): row["score"] for row in scores.to_dict("records")}
    collapsed = False
    for space in reversed(SPACES):
        units = plain.get(("active_units", space), math.nan)
        dimensions = 0 if codes is None else len(code_columns(codes, space))
        if not (units == 0 or units <= NEARLY_COLLAPSED * dimensions):
            continue
        collapsed |= space == "salient"
        nearly, of_all = "nearly " * (units > 0), f" of {dimensions}" if dimensions else ""
        yield ReportWarning(
            f"The {space} space has {nearly}collapsed",
            [f"{units:.0f}{of_all} {space} dimensions vary over targets (variance above 0.01)."],
            f"The model has put {nearly and 'next to '}nothing into it, so what a probe finds or does not "
            "find there says little.",
            TRAIN_LONGER,
            {f"beta_{space}": LOWER} | ({"gamma": RAISE} if space == "salient" else {}),
        )
    ratio = plain.get(("variance_ratio", "salient"), math.inf)
    if ratio < MIN_VARIANCE_RATIO or (math.isnan(ratio) and not collapsed):
        seen = f"Salient codes of targets vary {ratio:.2g} times as much as those of background"
        unknown = "The variance ratio of the salient space cannot be computed."
        yield ReportWarning(
            "Background samples spread in the salient space",
            [unknown if math.isnan(ratio) else f"{seen} (warned of below {MIN_VARIANCE_RATIO:g})."],
            "The salient space may describe what background samples have too, not only what targets add.",
            moves={
                **{"background_prior_var": "make it smaller", "gamma": RAISE},
                **{"background_mmd": RAISE, "background_weight": RAISE},
            },
        )


def _from_codes(codes: pd.DataFrame | None) -> dict[tuple[str, str], float]:
    """Return scores that need no probe, over the test samples; empty with fewer than two of a label."""
    test = None if codes is None else codes[codes["split"] == "test"]
    if test is None or min((test["y"] == y).sum() for y in (0, 1)) < 2:
        return {}
    found = separation_scores(test).to_dict("records")
    return {(row["metric"], row["space"]): row["score"] for row in found}


def of_leaks(scores: pd.DataFrame) -> Iterator[ReportWarning]:
    """Yield a warning for each space that predicts, above chance, what belongs in the other space."""
    rows = main_rows(scores)
    of_all = of_everyone(rows)
    common = [row for row in rows if row["space"] == "common" and row["attribute"] not in of_all]
    salient = [row for row in rows if row["space"] == "salient" and row["attribute"] in of_all]
    yield from _leak(
        "Target information is left in the common space",
        common,
        "Not all of what makes a target a target has moved to the salient space. A label that goes with age, "
        "site or another attribute of everyone can be read from it too.",
        "See whether attributes differ between the labels.",
        ("removal_common", "kappa", "common_mmd"),
    )
    yield from _leak(
        "Common information is in the salient space",
        [row for row in salient if row["population"] == "all"],
        "The salient space describes more than what targets add. An attribute that differs between "
        "background and targets is read from it too, without any fault of the model.",
        "Compare with the same attribute among targets only.",
        ("swap_salient", "kappa", "beta_salient", "background_mmd"),
    )


def _leak(
    title: str, asked: list[Score], meaning: str, action: str, to_raise: tuple[str, ...]
) -> Iterator[ReportWarning]:
    """Yield a warning with the questions whose score is above chance, if any."""
    known = sorted(filter(is_known, asked), key=gain, reverse=True)
    if known:
        count = f"{len(known)} of {len(asked)} question{'s' * (len(asked) > 1)}"
        seen = [f"{row['question']}: {reading(row)}" for row in known]
        moves = dict.fromkeys(to_raise, RAISE)
        yield ReportWarning(f"{title}: {count}", _some(seen), meaning, action, moves)


def of_training(
    metrics: pd.DataFrame, scores: pd.DataFrame | None = None, *, critic_counts: bool = True
) -> Iterator[ReportWarning]:
    """Yield warnings if the critic stayed at chance, or if the loss was still falling at the end."""
    if critic_counts and len(metrics) >= MIN_EPOCHS_OF_CRITIC:
        critic, information = (metrics.get(f"train_{name}") for name in ("critic_loss", "mutual_information"))
        seen = []
        if critic is not None and critic.min() > CHANCE - MARGIN:
            seen.append(
                f"The critic's loss ({_curve('train_critic_loss')}) was never below {critic.min():.3f} in "
                f"{len(metrics)} epochs; {CHANCE:.3f} is chance."
            )
        if information is not None and information.abs().max() < NO_INFORMATION:
            curve = _curve("train_mutual_information")
            seen.append(f"The mutual information that it estimates ({curve}) was 0 in all epochs.")
        if seen:
            yield _of_critic(seen, scores)
    names = [f"{part}_{loss}" for part in ("validation", "train") for loss in ("loss_without_mi", "loss")]
    name = next((name for name in names if name in metrics and metrics[name].notna().any()), None)
    if name is not None:
        yield from _of_end(name, metrics[name].dropna().to_numpy(float))


def _of_critic(seen: list[str], scores: pd.DataFrame | None) -> ReportWarning:
    """Return the warning about a critic at chance: a cause, or what it missed, if codes share information."""
    title, action = "The critic was at chance from the start", "Train longer (max_epochs)"
    asked = {"metric": "shared_information", "population": "target"}
    for row in [] if scores is None else rows_of(scores, **asked):
        if has_information(row):
            fact = f"Common and salient codes of test targets share {row['score']:.2f} nats or more"
            meaning = f"{fact}: the critic missed it, and the term that keeps them apart had no effect."
            return ReportWarning(title, seen, meaning, f"{action}.")
    return ReportWarning(
        title,
        seen,
        "Either common and salient codes were independent all along, or the critic learnt nothing and the "
        "term that keeps them apart had no effect.",
        f"{action}; the probes tell whether the spaces share anything.",
    )


def _curve(column: str) -> str:
    """Return a column of metrics.csv in words, with the panel of its curve on the page."""
    from sepvae.plotting.tables import panel_title

    part, _, term = column.partition("_")
    return f'{column} in metrics.csv, {part} in panel "{panel_title(term)}" of the learning curves'


def _of_end(name: str, loss: AnyArray) -> Iterator[ReportWarning]:
    """Yield a warning if a loss still falls in the last tenth of its epochs."""
    if len(loss) < MIN_EPOCHS_OF_FALL:
        return
    tenth = len(loss) // 10
    fall = loss[0] - loss.min()
    last = loss[-2 * tenth : -tenth].mean() - loss[-tenth:].mean()
    if fall > 0 and last > STILL_FALLING * fall:
        seen = (
            f"{100 * last / fall:.0f} % of all that the {name.replace('_', ' ')} fell, it fell in the last "
            f"{tenth} of {len(loss)} epochs (warned of above {100 * STILL_FALLING:.0f} %; {_curve(name)})."
        )
        yield ReportWarning(
            "The loss was still falling at the end",
            [seen],
            "Training was stopped before it had settled; scores may change with more of it.",
            "Raise max_epochs.",
        )


def of_evidence(scores: pd.DataFrame) -> Iterator[ReportWarning]:
    """Yield a warning if salient scores are not distinguishable from chance, or test subjects are too few."""
    rows = main_rows(scores)
    of_all = of_everyone(rows)
    seen = []
    for row in (row for row in rows if row["population"] != "background"):
        if row["space"] == "salient" and row["attribute"] not in of_all and (doubt := verdict(row)):
            doubt = "not distinguishable from chance" if doubt == AT_CHANCE else doubt
            seen.append(f"{row['question']}, salient space: {doubt}, {reading(row)}")
    few = [row for row in rows if row.get("n_test_groups", math.inf) < MIN_SUBJECTS]
    counts = {row["question"]: row["n_test_groups"] for row in few}
    seen += [f"{asked}: only {n:.0f} test subjects." for asked, n in counts.items()]
    if seen:
        yield ReportWarning(
            "The evidence is weak",
            _some(seen),
            "Too few samples, or nothing there: these numbers cannot say which. Below "
            f"{MIN_SUBJECTS} subjects the interval itself is uncertain.",
            "Score more test subjects, or other splits and seeds, before drawing conclusions.",
        )


def _some(seen: list[str]) -> list[str]:
    """Return a list cut to its first MOST items and the number of the others."""
    return seen if len(seen) <= MOST + 1 else [*seen[:MOST], f"and {len(seen) - MOST} more."]
