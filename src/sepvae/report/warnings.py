"""Warnings about a run; each rests on a number and a stated threshold."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sepvae.losses import CHANCE, MARGIN
from sepvae.report.contents import Contents
from sepvae.report.score_warnings import KEYWORDS, ReportWarning, of_evidence, of_leaks, of_spaces, some

if TYPE_CHECKING:
    import pandas as pd

    from sepvae.batch import AnyArray

NO_INFORMATION = 1e-6  # nats
MIN_EPOCHS_OF_CRITIC = 3  # fewer epochs are too few to judge a critic
STILL_FALLING = 0.05  # share of the loss's total fall; more in the last tenth of epochs is not the end
MIN_EPOCHS_OF_FALL = 10
NOTHING_LEARNT = 0.9  # share of the mean's squared error from which on nothing was learnt


def find_warnings(contents: Contents) -> list[ReportWarning]:
    """Return all warnings about a run, the most serious first."""
    found: list[ReportWarning] = []
    if contents.findings is not None:
        found += of_data(contents.findings)
    if contents.split is not None:
        found += of_split(contents.split)
    if contents.examples is not None and "full" in contents.examples:
        found += of_reconstructions(contents.examples["inputs"], contents.examples["full"])
    recipe = contents.recipe.get("keywords")
    keywords: dict[str, Any] = recipe if isinstance(recipe, dict) else dict.fromkeys(KEYWORDS)
    found += of_spaces(contents.scores, contents.codes, keywords)
    if contents.scores is not None:
        found += of_leaks(contents.scores, keywords)
    if contents.metrics is not None:
        found += of_training(contents.metrics, critic_counts=keywords.get("kappa", 0) != 0)
    if contents.scores is not None:
        found += of_evidence(contents.scores)
    return found


def of_data(findings: list[dict[str, Any]]) -> Iterator[ReportWarning]:
    """Yield what the check of the data found: one warning for its errors, one for its warnings."""
    for level, plural in (("error", "errors"), ("warning", "warnings")):
        messages = [finding["message"] for finding in findings if finding["level"] == level]
        if messages:
            yield ReportWarning(
                f"The check of the data found {len(messages)} {plural if len(messages) > 1 else level}",
                some(messages),
                "Scores may then show how the data were gathered rather than what the groups are.",
                "See what check found, further down; fix the data or the split, then fit again.",
            )


def of_split(split: "pd.DataFrame") -> Iterator[ReportWarning]:
    """Yield a warning if subjects are on both sides of the split."""
    divided = divided_groups(split)
    if divided:
        yield ReportWarning(
            "Subjects on both sides of the split",
            [f"{divided} subjects have samples in more than one split."],
            "Scores are optimistically biased: the model has seen other samples of the same subject.",
            "Split by subject, then fit again.",
        )


def divided_groups(split: "pd.DataFrame") -> int:
    """Count the groups that have samples in more than one split."""
    return int(split[["group", "split"]].drop_duplicates()["group"].value_counts().gt(1).sum())


def of_reconstructions(inputs: "AnyArray", full: "AnyArray") -> Iterator[ReportWarning]:
    """Yield a warning if reconstructions (n, ...) are hardly better than the mean of the examples."""
    import numpy as np

    known = ~np.isnan(inputs).any(axis=tuple(range(1, inputs.ndim)))
    inputs, full = inputs[known].astype(float), full[known].astype(float)
    spread = float(((inputs - inputs.mean(axis=0)) ** 2).mean()) if len(inputs) > 1 else 0.0
    error = float(((inputs - full) ** 2).mean()) if len(inputs) else 0.0
    if spread > 0 and error >= NOTHING_LEARNT * spread:
        yield ReportWarning(
            "Reconstructions show next to nothing",
            [
                f"On the {len(inputs)} examples the squared error is {error:.3g}, and that of drawing their "
                f"mean each time {spread:.3g}."
            ],
            "The model has learnt little about single samples, so its codes can say little.",
            "Train longer, or with smaller beta_common and beta_salient.",
        )


def of_training(metrics: "pd.DataFrame", *, critic_counts: bool = True) -> Iterator[ReportWarning]:
    """Yield warnings if the critic stayed at chance, or if the loss was still falling at the end."""
    critic = metrics.get("train_critic_loss")
    information = metrics.get("train_mutual_information")
    if critic_counts and len(metrics) >= MIN_EPOCHS_OF_CRITIC:
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
            yield ReportWarning(
                "The critic was at chance from the start",
                seen,
                "Either common and salient codes were independent all along, or the critic learnt nothing "
                "and the term that keeps them apart had no effect.",
                "Train longer (max_epochs); the probes tell whether the spaces share anything.",
            )
    names = [f"{part}_{loss}" for part in ("validation", "train") for loss in ("loss_without_mi", "loss")]
    name = next((name for name in names if name in metrics and metrics[name].notna().any()), None)
    if name is not None:
        yield from _of_end(name, metrics[name].dropna().to_numpy(float))


def _curve(column: str) -> str:
    """Return a column of metrics.csv in words, with the panel of its curve on the page."""
    from sepvae.plotting.tables import panel_title

    part, _, term = column.partition("_")
    return f'{column} in metrics.csv, {part} in panel "{panel_title(term)}" of the learning curves'


def _of_end(name: str, loss: "AnyArray") -> Iterator[ReportWarning]:
    """Yield a warning if a loss still falls in the last tenth of its epochs."""
    if len(loss) < MIN_EPOCHS_OF_FALL:
        return
    tenth = len(loss) // 10
    fall = loss[0] - loss.min()
    last = loss[-2 * tenth : -tenth].mean() - loss[-tenth:].mean()
    if fall > 0 and last > STILL_FALLING * fall:
        yield ReportWarning(
            "The loss was still falling at the end",
            [
                f"{100 * last / fall:.0f} % of all that the {name.replace('_', ' ')} fell, it fell in the "
                f"last {tenth} of {len(loss)} epochs (warned of above {100 * STILL_FALLING:.0f} %; "
                f"{_curve(name)})."
            ],
            "Training was stopped before it had settled; scores may change with more of it.",
            "Raise max_epochs.",
        )
