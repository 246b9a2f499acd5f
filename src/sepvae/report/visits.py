"""Visits, for the page and the terminal: change per year, and reliability of scan and rescan."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from sepvae.codes import code_columns
from sepvae.evaluation.metrics import MAX_P
from sepvae.evaluation.visits import ALL, CHANGE, ICC
from sepvae.report.contents import Contents

LOAD = "salient_load"


def visit_lines(scores: pd.DataFrame) -> list[str]:
    """
    Return sentences on `visits.csv`: the salient load first, then salient and common codes.

    >>> row = {"measure": "salient_load", "quantity": "icc", "group": "all", "n_people": 30, "time": "age"}
    >>> visit_lines(pd.DataFrame([row | {"score": 0.9, "low": 0.8, "high": 0.95, "p_value": None}]))
    ['ICC(2,1) of scan and rescan, all: salient load 0.90 [0.80, 0.95], 30 people']
    """
    return [*_changes(scores[scores["quantity"] == CHANGE]), *_reliability(scores[scores["quantity"] == ICC])]


def _changes(rows: pd.DataFrame) -> Iterator[str]:
    """Yield the change of the load of each group, and how many codes change."""
    for row in rows[rows["measure"] == LOAD].to_dict("records"):
        score = f"{row['score']:+.2f} [{row['low']:+.2f}, {row['high']:+.2f}]"
        people = f"{row['n_people']} people, p = {row['p_value']:.2g}"
        yield f"change of the salient load per year, {row['group']}: {score}, {people}"
    axes = rows[rows["measure"] != LOAD]
    for group, part in axes.groupby("group", sort=False):
        found = part["p_adjusted"] <= MAX_P
        counts = ", ".join(
            f"{found[part['measure'].isin(names)].sum()} of {len(names)} {space}"
            for space, names in _spaces(rows)
        )
        yield f"codes that change, {group}: {counts} (adjusted p at most {MAX_P})"


def _reliability(rows: pd.DataFrame) -> Iterator[str]:
    """Yield ICC of the load, and its range over codes, of each label; of all where none is known."""
    groups = rows["group"].unique().tolist()
    for group in [name for name in groups if name != ALL] or groups:
        part = rows[rows["group"] == group]
        found = [
            f"salient load {row['score']:.2f} [{row['low']:.2f}, {row['high']:.2f}]"
            for row in part[part["measure"] == LOAD].to_dict("records")
        ]
        for space, names in _spaces(rows):
            scores = part.loc[part["measure"].isin(names), "score"].dropna()
            if len(scores):
                ends = f"{scores.min():.2f} to {scores.max():.2f}"
                found.append(f"{space} codes {ends} (median {scores.median():.2f})")
        yield f"ICC(2,1) of scan and rescan, {group}: {', '.join(found)}, {part['n_people'].iloc[0]} people"


def _spaces(rows: pd.DataFrame) -> list[tuple[str, list[str]]]:
    """Return the codes of each space among the measures."""
    table = pd.DataFrame(columns=rows["measure"].unique())
    return [(space, names) for space in ("salient", "common") if (names := code_columns(table, space))]


def visit_section(contents: Contents) -> dict[str, Any] | None:
    """Return sentences and figure; None if visits were not scored."""
    if (scores := contents.folder.visits.read()) is None:
        return None
    return {"lines": visit_lines(scores), "figure": contents.figure("visits")}
