"""`removal.csv` and `correlations.csv` formatted for the page."""

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sepvae.evaluation.metrics import ABOVE_CHANCE, MAX_P, against_chance
from sepvae.report.scores import Cell, cell, number

if TYPE_CHECKING:
    import pandas as pd

# Kinds of images in words, by `images` and `population`; that of swapped images is the donors'.
IMAGES = {
    ("real", "all"): "real test {many}",
    ("full", "all"): "full reconstructions",
    ("full", "target"): "full reconstructions of targets",
    ("salient removed", "target"): "targets without their salient part",
    ("salient removed", "background"): "background samples without their salient part",
    ("swapped", "target"): "background samples with the salient part of a target",
    ("swapped", "background"): "targets with the salient part of a background sample",
}
WANTED = {"own": "its own class", "donor's": "the class of the donor"}
REFERENCE = ("full", "background")  # images and wanted with nothing removed, for comparison; low is good
SYMBOLS = {"spearman": "\N{GREEK SMALL LETTER RHO}", "eta": "\N{GREEK SMALL LETTER ETA}"}


@dataclass(frozen=True)
class RemovalRow:
    """Score of a classifier on one kind of image, with a note and the chance level."""

    images: str
    wanted: str
    note: str
    cell: Cell
    chance: str


@dataclass(frozen=True)
class RemovalSection:
    """One classifier: its attribute, a note on its training, and its rows."""

    title: str
    note: str
    rows: list[RemovalRow]


@dataclass(frozen=True)
class CorrelationCell:
    """Correlation as text, whether it is marked, its strength from -1 to 1, and its p-values as text."""

    text: str
    marked: bool
    strength: float
    p_value: str


@dataclass(frozen=True)
class CorrelationRow:
    """One attribute: name, measure, a note on population and n, and a cell or None per axis."""

    attribute: str
    measure: str
    note: str
    cells: list[CorrelationCell | None]


def removal_sections(removal: "pd.DataFrame", many: str = "samples") -> list[RemovalSection]:
    """Return one section per classifier, the label first, with rows from real to swapped images."""
    attributes = sorted(removal["attribute"].unique(), key=lambda name: name != "label")
    found = []
    for attribute in attributes:
        rows = removal[removal["attribute"] == attribute].to_dict("records")
        title = "background or target" if attribute == "label" else str(attribute)
        shown = [_removal_row(row, many) for row in sorted(rows, key=_place)]
        found.append(RemovalSection(title, _learnt_on(rows[0], many) + _void(rows), shown))
    return found


def _void(rows: list[dict[Any, Any]]) -> str:
    """Return a warning if full reconstructions are read at chance: removal and swaps then show nothing."""
    full = [row for row in rows if (row["images"], row.get("population")) == ("full", "all")]
    if not full or against_chance(full[0]) == ABOVE_CHANCE:
        return ""
    return (
        "; warning: full reconstructions are read no better than by chance, "
        "so the rows below them say nothing of removal or swaps"
    )


def _place(row: dict[Any, Any]) -> int:
    order = list(IMAGES)
    key = (row["images"], row.get("population", "all"))
    return order.index(key) if key in order else len(order)


def _removal_row(row: dict[Any, Any], many: str) -> RemovalRow:
    name = IMAGES.get((row["images"], row.get("population", "all")))
    scored = cell({**row, "metric": "balanced_accuracy", "p_value": math.nan}, 0, 1)
    reference = (row["images"], row["wanted"]) == REFERENCE
    notes = ["for comparison: nothing is removed"] * reference
    notes += [f"share of {many}"] * (row.get("metric") == "share")
    return RemovalRow(
        str(row["images"]) if name is None else name.format(many=many),
        WANTED.get(row["wanted"], str(row["wanted"])),
        "; ".join(notes),
        replace(scored, verdict="") if reference else scored,
        number(row["chance"], "balanced_accuracy"),
    )


def _learnt_on(row: dict[Any, Any], many: str) -> str:
    n = row.get("n_train", math.nan)
    return "" if math.isnan(n) else f"a classifier that learnt on {n:.0f} real training {many}"


def correlation_rows(correlations: "pd.DataFrame") -> tuple[list[str], list[CorrelationRow]]:
    """Return the axes, and one row per attribute, measure and population with one cell per axis."""
    axes = correlations["axis"].unique().tolist()
    rows = []
    for (attribute, measure, population), part in correlations.groupby(
        ["attribute", "measure", "population"], sort=False
    ):
        by_axis = part.set_index("axis").to_dict("index")
        note = f"{population}, n = {part['n'].max():.0f}"
        cells = [_correlation(by_axis[axis]) if axis in by_axis else None for axis in axes]
        rows.append(CorrelationRow(str(attribute), SYMBOLS.get(str(measure), str(measure)), note, cells))
    return axes, rows


def _correlation(row: dict[Any, Any]) -> CorrelationCell | None:
    if math.isnan(row["value"]):
        return None
    p, adjusted = (_p(row[name]) for name in ("p_value", "p_adjusted"))
    return CorrelationCell(
        f"{row['value']:z.2f}",
        bool(row["p_adjusted"] <= MAX_P),
        round(max(-1.0, min(1.0, row["value"])), 3),
        f"p {p}, adjusted {adjusted}",
    )


def _p(value: float) -> str:
    return "not known" if math.isnan(value) else "< 0.001" if value < 0.001 else f"= {value:.3f}"
