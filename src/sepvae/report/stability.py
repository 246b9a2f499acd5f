"""Sentences on the agreement of several fits, for the terminal and the page."""

from collections.abc import Hashable, Iterator, Mapping
from typing import Any

import pandas as pd

from sepvae.errors import count
from sepvae.evaluation.consensus import is_consensus
from sepvae.evaluation.metrics import MAX_P
from sepvae.evaluation.subtypes import STABLE
from sepvae.run_folder import REPRODUCED

SAME = 0.8  # of the way from chance to 1
QUESTIONS = {
    ("salient", "alignment"): "salient codes of targets",
    ("salient", "neighbours"): "nearest targets",
    ("salient", "map"): "group map",
    ("common", "alignment"): "common codes",
}


def describe_stability(table: pd.DataFrame) -> list[str]:
    """
    Return sentences on a table such as `stability.csv`: whether another fit says the same, which is central.

    Another fit says the same from 0.8 of the way from chance to 1, and in part from half of it.
    """
    lines, table = [], table.fillna({"first": "", "second": ""})
    for (contender, of), rows in table.groupby(["contender", "of"], sort=False):
        n_fits = int((rows["measure"] == "central").sum())
        lines.append(f"{contender!s}, {count(n_fits, str(of)[:-1])}")
        lines += [f"  {line}" for line in _sentences(rows, "seed" if of == "seeds" else "sample of people")]
    salient = table.query("measure == 'alignment' and space == 'salient' and first == '' and second == ''")
    best = salient.sort_values("score", ascending=False, kind="stable")
    for of, means in sorted(best.groupby("of"), reverse=True, key=lambda part: str(part[0])):
        if len(means) > 1:
            names = [f"{row['contender']} {row['score']:.2f}" for row in means.to_dict("records")]
            lines.append(f"most reproducible salient codes over {of!s}: {', '.join(names)}")
    return lines


def _sentences(rows: pd.DataFrame, other: str) -> Iterator[str]:
    """Yield a line for each question, then on subtypes, axes, and the most central fit."""
    fit, central = rows.loc[rows["measure"] == "central", ["first", "score"]].iloc[0]
    all_means = rows.query("first == '' and second == ''").to_dict("records")
    means = {(mean["space"], mean["measure"]): mean for mean in all_means}
    consensus = [mean for (_, measure), mean in means.items() if measure.startswith("consensus")]
    if other == "seed" and central > 1 - 1e-9:
        yield "all seeds give the same codes: nothing here is random; compare bootstraps (sepvae stability)"
        yield from map(consensus_line, consensus)
        return
    for key, name in QUESTIONS.items():
        if key in means:
            yield f"{name}: {_number(means[key])}; {answer(means[key], other)}"
    subtypes = [mean for (_, measure), mean in means.items() if measure.startswith("subtypes")]
    if subtypes and not consensus:  # which has more people, and a null
        best = max(subtypes, key=lambda mean: mean["score"])
        n = best["measure"].rpartition(" ")[2]
        yield f"subtypes: at best with {n} clusters, {_number(best)}; {answer(best, other)}"
    yield from map(consensus_line, consensus)
    axes = rows.loc[(rows["measure"] == "axis") & (rows["first"] == fit), "score"]
    yield f"salient axes of {fit} found in the other fits: {(axes >= REPRODUCED).sum()} of {len(axes)}"
    if share := means.get(("salient", "map share")):
        yield f"share of the map that reproduces (ICC {REPRODUCED:g} or more): {share['score']:.0%}"
    yield f"most central: {fit} (mean alignment with the others {central:.2f})"


def consensus_line(row: Mapping[Hashable, Any]) -> str:
    """Return in words a row on consensus subtypes, whose p is missing where fits do not agree."""
    n, agreement, p = row["measure"].rpartition(" ")[2], row["score"], row["p_value"]
    agree = f"fits agree by {agreement:.2f} (adjusted Rand index of {n} clusters of training patients)"
    if is_consensus(agreement, p):
        return f"{n} consensus subtypes: {agree}, and one Gaussian has no such clusters (p = {p:.2g})"
    if agreement < STABLE:
        return f"no consensus subtypes: {agree}, wanted {STABLE}"
    return f"no consensus subtypes: {agree}, but so would one Gaussian or a continuum (p = {p:.2g})"


def answer(mean: Mapping[Hashable, Any], other: str) -> str:
    """Return in words whether another fit says the same, from a mean over pairs of fits."""
    if mean["p_value"] > MAX_P:
        return f"another {other} agrees no better than with shuffled people"
    way = (mean["score"] - mean["chance"]) / (1 - mean["chance"])
    said = "the same" if way >= SAME else "the same in part" if way >= REPRODUCED else "little of the same"
    return f"another {other} says {said}"


def _number(mean: Mapping[Hashable, Any]) -> str:
    """Return the score with its interval, where it has one, and chance."""
    interval = f" ({mean['low']:.2f} to {mean['high']:.2f})" if pd.notna(mean["low"]) else ""
    return f"{mean['score']:.2f}{interval}, chance {mean['chance']:.2f}".replace("-0.00", "0.00")
