"""`write_report` and `write_comparison`: read run folders, write a page on one or on several."""

import base64
import gzip
import math
from dataclasses import replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd

from sepvae.errors import RunFolderError, listed
from sepvae.evaluation.metrics import ABOVE_CHANCE, AT_CHANCE, against_chance
from sepvae.report.contents import (
    Contents,
    command,
    settings,
    settings_by_part,
    severity_section,
    title,
)
from sepvae.report.counterfactuals import counterfactual_rows
from sepvae.report.covariates import covariate_sentences
from sepvae.report.first_screen import key_numbers, strip, top_features
from sepvae.report.html import render, scripts_within, write_page
from sepvae.report.inference import found_words, inference_words
from sepvae.report.regions import region_section
from sepvae.report.scatter import scatter_data
from sepvae.report.scores import (
    Score,
    Section,
    cell,
    flags,
    main_scores,
    number,
    p_values,
    sections,
    spaces_of,
    subject,
    summary,
)
from sepvae.report.stability import describe_stability
from sepvae.report.subtypes import people_section, subtype_section
from sepvae.report.verdict import judge
from sepvae.report.visits import visit_section
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
NOT_COMPARED = ("seconds.fit", "seconds.all", "data.fingerprint")  # facts, not settings
NO_VALUE = "-"
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
        scripts = [files("sepvae.report").joinpath("scatter.js").read_text("utf-8")]
        script, plotly = _plotly()
        inner = [script, *inner]
    page = render("page.html.j2", context | {"plotly": plotly}, scripts, inner)
    return write_page(contents.folder.report if out is None else Path(out), page)


@cache
def _plotly() -> tuple[str, str]:
    """Return plotly's script, and the same packed for a small page; our script unpacks it."""
    from plotly.offline import get_plotlyjs  # type: ignore[import-untyped]

    script = str(get_plotlyjs())
    return script, base64.b64encode(gzip.compress(script.encode(), mtime=0)).decode()


def _page_context(contents: Contents, *, images: bool) -> dict[str, Any]:
    """Return the context of the template; None for missing parts."""
    scores, removal, correlations = contents.scores, contents.removal, contents.correlations
    spaces, moved = spaces_of(scores), contents.counterfactuals
    found = None if scores is None else sections(scores, contents.words["value"], spaces)
    scatter, scatters = scatter_data(contents, images=images), contents.scatters()
    if not images:  # a legend may name samples: keep the figures of columns that the scatter shows
        kept = {"label", *(column["name"] for column in (scatter or {}).get("columns", []))}
        scatters = [picture for picture in scatters if picture.about in kept]
    maps, warnings = _maps(contents), find_warnings(contents)
    people, features = strip(contents) if images else None, top_features(contents)
    return {
        "run": contents,
        "images": images,
        "title": title(contents.recipe),
        "stability": [] if contents.stability is None else describe_stability(contents.stability),
        "verdict": None if scores is None else judge(scores, contents.inspection),
        "covariates": [] if scores is None else covariate_sentences(scores),
        "summary": None if scores is None else summary(scores),
        "warnings": warnings,
        "warned": listed([warning.title for warning in warnings], 2),
        "numbers": key_numbers(contents),
        "strip": people,
        "features": features,
        "picture": None if people or features or maps is None else maps["group"],
        "idea": _idea(),
        "spaces": spaces,
        "sections": found,
        "main_scores": main_scores(found or []),
        "flags": flags(found or []),
        "p_values": "" if scores is None else p_values(scores),
        "scatter": scatter,
        "scatters": scatters,
        "removal": None if removal is None else removal_sections(removal),
        "without_removal": settings(contents.recipe).get("protocol.removal") is False,
        "counterfactuals": None if moved is None else counterfactual_rows(moved, contents.words),
        "severity": severity_section(contents),
        "subtypes": subtype_section(contents),
        "people": people_section(contents),
        "visits": visit_section(contents),
        "maps": maps,
        "regions": region_section(contents),
        "correlations": None if correlations is None else correlation_rows(correlations),
        "blocks": contents.folder.blocks(),
        "settings": settings_by_part(contents.recipe),
        "command": command(contents.recipe),
    }


def _maps(contents: Contents) -> dict[str, Any] | None:
    """Return figures, tests, viewer and tables of maps; None without maps."""
    maps, viewer, tests = contents.folder.maps, contents.viewer(), contents.inference
    figures = {name: contents.figure(f"map_{name}") for name in ("regions", "group", "axes")}
    if viewer is None and tests is None and not any(figures.values()):
        return None
    return {
        **figures,
        "tested": None if tests is None else inference_words(tests),
        "tests": None if tests is None else contents.figure("map_inference"),
        "found": None if tests is None else found_words(tests),
        "viewer": viewer,
        "files": [file.path.name for file in (maps.samples, maps.regions) if file.exists()],
    }


@cache
def _idea() -> str:
    """Return the picture of the idea as a data URI: styles of an SVG in the page would be of the page."""
    drawn = files("sepvae.report").joinpath("idea.svg").read_bytes()
    return "data:image/svg+xml;base64," + base64.b64encode(drawn).decode()


def removal_sections(removal: pd.DataFrame) -> list[dict[str, Any]]:
    """Return one section per classifier, the label first, with rows from real to swapped images."""
    found = []
    for attribute in sorted(removal["attribute"].unique(), key=lambda name: name != "label"):
        rows = removal[removal["attribute"] == attribute].to_dict("records")
        full = [row for row in rows if (row["images"], row.get("population")) == ("full", "all")]
        section = {
            # A chance below 1/2 is that of background and several targets.
            "title": "which label"
            if attribute == "label" and rows[0]["chance"] < 0.5
            else subject(attribute),
            "n_train": rows[0].get("n_train", math.nan),
            "at_chance": bool(full) and against_chance(full[0]) != ABOVE_CHANCE,
            "rows": sorted(map(_removal_row, rows), key=lambda row: row["place"]),
        }
        found.append(section)
    return found


def _removal_row(row: Score) -> Score:
    """Return a row with its words, place and cell; the latter has no verdict where nothing was removed."""
    kind = row["images"], row.get("population", "all")
    reference = (row["images"], row["wanted"]) == REFERENCE
    scored = cell({**row, "metric": "balanced_accuracy", "p_value": math.nan}, 0, 1)
    return row | {
        "metric": row.get("metric"),  # old runs have none
        "place": [*IMAGES, kind].index(kind),
        "name": IMAGES.get(kind, f"{row.get('population', '')} {row['images']}".strip()),
        "reference": reference,
        # Low is good, but as low as chance says that the classifier reads nothing.
        "cell": replace(scored, verdict="") if reference and scored.verdict != AT_CHANCE else scored,
        "chance": number(row["chance"], "balanced_accuracy"),
    }


def correlation_rows(correlations: pd.DataFrame) -> tuple[list[str], list[dict[str, Any]]]:
    """Return the axes, and one row per attribute, measure and population with a cell or None per axis."""
    from sepvae.plotting.tables import SYMBOLS

    axes, rows = correlations["axis"].unique().tolist(), []
    for key, part in correlations.groupby(["attribute", "measure", "population"], sort=False):
        attribute, measure, population = map(str, key)
        by_axis = part.dropna(subset="value").set_index("axis").to_dict("index")
        note = f"{population}, n = {part['n'].max():.0f}"
        row = {"attribute": attribute, "measure": SYMBOLS.get(measure, measure), "note": note}
        rows.append(row | {"cells": [by_axis.get(axis) for axis in axes]})
    return axes, rows


def write_comparison(runs: list[Path], out: Path, *, images: bool = True) -> Path:
    """Write a page that compares two run folders or more; without `images`, no page shows a single sample."""
    if len(runs) < 2:
        raise RunFolderError(f"a comparison needs two run folders or more, got {len(runs)}")
    found = [Contents(Path(run)) for run in runs]
    return write_page(Path(out), render("comparison.html.j2", _comparison_context(found, images=images)))


def _comparison_context(runs: list[Contents], *, images: bool) -> dict[str, Any]:
    folders, known = [run.folder.path.resolve().name for run in runs], [run.facts() for run in runs]
    names = [  # numbered where several are equal
        f"{name} ({folders[: i + 1].count(name)})" if folders.count(name) > 1 else name
        for i, name in enumerate(folders)
    ]
    rows = dict.fromkeys(name for found in known for name in found)
    spaces = list(dict.fromkeys(space for run in runs for space in spaces_of(run.scores)))
    return {
        "runs": runs,
        "images": images,
        "names": names,
        "titles": [title(run.recipe) for run in runs],
        "obstacles": _obstacles(runs),
        "facts": [(name, [found.get(name, NO_VALUE) for found in known]) for name in rows],
        "settings": _differing_settings(runs),
        "summaries": [None if run.scores is None else summary(run.scores) for run in runs],
        "warnings": [find_warnings(run) for run in runs],
        "spaces": spaces,
        "sections": _compared_scores(runs, spaces),
        "unscored": [name for name, run in zip(names, runs, strict=True) if run.scores is None],
    }


def _obstacles(runs: list[Contents]) -> list[str]:
    """Return reasons why the numbers of runs are not comparable: other data, or another split."""
    found = []
    prints = [settings(run.recipe).get("data.fingerprint") for run in runs]
    if len({value for value in prints if value}) > 1:
        found.append("The data differ between these runs (fingerprints in their recipes).")
    elif not all(prints):
        found.append("It is not known whether the data are the same: a recipe has no fingerprint of them.")
    known = [None if run.split is None else _split_rows(run.split) for run in runs]
    if any(part != known[0] for part in known if part is not None and known[0] is not None):
        found.append("The split differs between these runs: they are scored on different samples.")
    elif any(part is None for part in known):
        found.append("It is not known whether the split is the same: a run has no split.csv.")
    return found


def _split_rows(split: pd.DataFrame) -> set[tuple[Any, ...]]:
    """Return the rows of a split with validation counted as train: fits may draw their own validation."""
    part = split.assign(split=split["split"].replace("validation", "train"))
    return set(part[["id", "group", "label", "split"]].itertuples(index=False, name=None))


def _differing_settings(runs: list[Contents]) -> list[tuple[str, list[Any]]]:
    """Return the settings in which runs differ: name, and the value of each run."""
    known = [settings(run.recipe) for run in runs]
    names = dict.fromkeys(name for found in known for name in found if name not in NOT_COMPARED)
    rows = [(name, [found.get(name, NO_VALUE) for found in known]) for name in names]
    return [(name, values) for name, values in rows if len({str(value) for value in values}) > 1]


def _compared_scores(runs: list[Contents], spaces: list[str]) -> list[Section]:
    """Return the scores of several runs by question, with one cell for each space of each run."""
    known = [(i, run.scores) for i, run in enumerate(runs) if run.scores is not None]
    if not known:
        return []
    tables = [scores.assign(place=scores["space"].map(lambda space, i=i: (i, space))) for i, scores in known]
    places = [(i, space) for i in range(len(runs)) for space in spaces]
    return sections(pd.concat(tables, ignore_index=True), places=places)
