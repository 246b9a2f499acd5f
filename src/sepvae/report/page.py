"""`write_report`: read a run folder, write its page."""

import base64
import gzip
import math
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd

from sepvae.evaluation.metrics import ABOVE_CHANCE, against_chance
from sepvae.report.contents import Contents, Picture, command, settings_by_part, title
from sepvae.report.html import render, scripts_within, write_page
from sepvae.report.scatter import scatter_data
from sepvae.report.scores import (
    SPACES,
    Score,
    cell,
    flags,
    main_scores,
    number,
    p_values,
    sections,
    subject,
    summary,
)
from sepvae.report.warnings import find_warnings

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


def write_report(run: Path, out: Path | None = None, *, images: bool = True) -> Path:
    """
    Write a run folder as one self-contained HTML page.

    Parts that the folder lacks are left out, and the page says so. The page is replaced atomically.

    Parameters
    ----------
    run : Path
        A run folder, which has a `recipe.yaml`. All other files of a fit are read as well, except the model.
    out : Path or None, default=None
        The page; None writes `report.html` into the run folder.
    images : bool, default=True
        Whether the page may show single samples. False leaves out images, thumbnails, ids, groups, and
        attributes whose values name samples; tables, curves and points of codes stay.

    Returns
    -------
    Path
        Path of the page.

    Raises
    ------
    RunFolderError
        If the folder is no run folder, or one of its files cannot be read.
    """
    contents = Contents(Path(run))
    context = _page_context(contents, images=images)
    scripts, inner, plotly = [], scripts_within((context["maps"] or {}).get("viewer")), ""
    if context["scatter"]:
        from plotly.offline import get_plotlyjs  # type: ignore[import-untyped]

        scripts = [files("sepvae.report").joinpath("scatter.js").read_text("utf-8")]
        inner = [get_plotlyjs(), *inner]  # for a small page it is packed; our script unpacks it
        plotly = base64.b64encode(gzip.compress(inner[0].encode(), mtime=0)).decode()
    page = render("page.html.j2", context | {"plotly": plotly}, scripts, inner)
    return write_page(contents.folder.report if out is None else Path(out), page)


def _page_context(contents: Contents, *, images: bool) -> dict[str, Any]:
    """Return the context of the template; None for missing parts."""
    scores, removal, correlations = contents.scores, contents.removal, contents.correlations
    of_samples = ("reconstructions", "traversals", "swaps")
    found = None if scores is None else sections(scores, contents.words["value"])
    scatter, scatters = scatter_data(contents, images=images), contents.scatters()
    if not images:  # a legend may name samples: keep the figures of columns that the scatter shows
        kept = {"label", *(column["name"] for column in (scatter or {}).get("columns", []))}
        scatters = [picture for picture in scatters if picture.about in kept]
    maps, picture = _maps(contents, images=images)
    return {
        "images": images,
        "words": contents.words,
        "title": title(contents.recipe),
        "facts": contents.facts(),
        "summary": None if scores is None else summary(scores),
        "warnings": find_warnings(contents),
        "picture": picture,
        "spaces": SPACES,
        "sections": found,
        "main_scores": main_scores(found or []),
        "flags": flags(found or []),
        "p_values": "" if scores is None else p_values(scores),
        "scatter": scatter,
        "scatters": scatters,
        "removal": None if removal is None else removal_sections(removal, contents.words["many"]),
        "maps": maps,
        **{name: contents.figure(name) if images else None for name in of_samples},
        "correlations": None if correlations is None else correlation_rows(correlations),
        "correlation_map": contents.figure("correlations"),
        "samples": contents.samples(),
        "curves": contents.figure("learning_curves"),
        "epochs": contents.has_epochs(),
        "findings": contents.findings,
        "settings": settings_by_part(contents.recipe),
        "versions": contents.versions,
        "command": command(contents.recipe),
    }


def _maps(contents: Contents, *, images: bool) -> tuple[dict[str, Any] | None, tuple[Picture, str] | None]:
    """Return figures and viewer of maps, None without maps, and the picture below the verdict."""
    maps, names = contents.folder.maps, ("people", "regions", "group") if images else ("regions", "group")
    figures = {name: figure for name in names if (figure := contents.figure(f"map_{name}"))}
    viewer, first, picture = contents.viewer(), next(iter(figures), None), None
    if first is not None:
        picture = figures[first], first
    elif images and (figure := contents.figure("reconstructions")):
        picture = figure, "reconstructions"
    if viewer is None and first is None:
        return None, picture
    tables = [file.path.name for file in (maps.samples, maps.regions) if file.exists()]
    shown = {name: figures.get(name) for name in ("regions", "group")}
    return {**shown, "viewer": viewer, "first": first, "files": tables}, picture


def removal_sections(removal: pd.DataFrame, many: str) -> list[dict[str, Any]]:
    """Return one section per classifier, the label first, with rows from real to swapped images."""
    found = []
    for attribute in sorted(removal["attribute"].unique(), key=lambda name: name != "label"):
        rows = removal[removal["attribute"] == attribute].to_dict("records")
        n = rows[0].get("n_train", math.nan)
        notes = [] if math.isnan(n) else [f"a classifier that learnt on {n:.0f} real training {many}"]
        full = [row for row in rows if (row["images"], row.get("population")) == ("full", "all")]
        if full and against_chance(full[0]) != ABOVE_CHANCE:
            notes.append(
                "warning: full reconstructions are read no better than by chance, "
                "so the rows below them say nothing of removal or swaps"
            )
        shown = [_removal_row(row, many) for row in sorted(rows, key=_place)]
        found.append({"title": subject(attribute), "note": "; ".join(notes), "rows": shown})
    return found


def _kind(row: Score) -> tuple[str, str]:
    return row["images"], row.get("population", "all")


def _place(row: Score) -> int:
    return [*IMAGES, _kind(row)].index(_kind(row))


def _removal_row(row: Score, many: str) -> dict[str, Any]:
    """Return the words of a row, and its score as a cell, without a verdict where nothing was removed."""
    name, reference = IMAGES.get(_kind(row)), (row["images"], row["wanted"]) == REFERENCE
    scored = cell({**row, "metric": "balanced_accuracy", "p_value": math.nan}, 0, 1)
    notes = ["for comparison: nothing is removed"] * reference
    notes += [f"share of {many}"] * (row.get("metric") == "share")
    return {
        "images": str(row["images"]) if name is None else name.format(many=many),
        "wanted": WANTED.get(row["wanted"], str(row["wanted"])),
        "note": "; ".join(notes),
        "cell": replace(scored, verdict="") if reference else scored,
        "chance": number(row["chance"], "balanced_accuracy"),
    }


def correlation_rows(correlations: pd.DataFrame) -> tuple[list[str], list[dict[str, Any]]]:
    """Return the axes, and one row per attribute, measure and population with a cell or None per axis."""
    from sepvae.plotting.tables import SYMBOLS

    axes, rows = correlations["axis"].unique().tolist(), []
    keys = ["attribute", "measure", "population"]
    for (attribute, measure, population), part in correlations.groupby(keys, sort=False):
        by_axis = part.dropna(subset="value").set_index("axis").to_dict("index")
        note = f"{population}, n = {part['n'].max():.0f}"
        row = {"attribute": attribute, "measure": SYMBOLS.get(str(measure), measure), "note": note}
        rows.append(row | {"cells": [by_axis.get(axis) for axis in axes]})
    return axes, rows
