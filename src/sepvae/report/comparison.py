"""`write_comparison`: several run folders side by side on one page."""

from pathlib import Path
from typing import Any

import pandas as pd

from sepvae.errors import RunFolderError
from sepvae.report.contents import Contents, settings, title
from sepvae.report.html import render, write_page
from sepvae.report.scores import SPACES, Section, sections, summary
from sepvae.report.warnings import find_warnings

NOT_COMPARED = ("seconds.fit", "seconds.all", "data.fingerprint")  # facts, not settings
NO_VALUE = "-"


def write_comparison(runs: list[Path], out: Path, *, images: bool = True) -> Path:
    """
    Write a page that compares several run folders.

    Parameters
    ----------
    runs : list of Path
        Two run folders or more.
    out : Path
        The page to write; an older one is replaced.
    images : bool, default=True
        Whether the page may show images of single samples.

    Returns
    -------
    Path
        Path of the page.

    Raises
    ------
    RunFolderError
        If fewer than two are given, one of them is no run folder, or one of its files cannot be read.
    """
    if len(runs) < 2:
        raise RunFolderError(f"a comparison needs two run folders or more, got {len(runs)}")
    found = [Contents(Path(run)) for run in runs]
    return write_page(Path(out), render("comparison.html.j2", _page_context(found, images=images)))


def _page_context(runs: list[Contents], *, images: bool) -> dict[str, Any]:
    names, known = _names(runs), [run.facts() for run in runs]
    rows = dict.fromkeys(name for found in known for name in found)
    return {
        "images": images,
        "names": names,
        "titles": [title(run.recipe) for run in runs],
        "obstacles": obstacles(runs),
        "facts": [(name, [found.get(name, NO_VALUE) for found in known]) for name in rows],
        "settings": differing_settings(runs),
        "summaries": [None if run.scores is None else summary(run.scores) for run in runs],
        "warnings": [find_warnings(run) for run in runs],
        "spaces": SPACES,
        "sections": compared_scores(runs),
        "unscored": [name for name, run in zip(names, runs, strict=True) if run.scores is None],
        "reconstructions": [run.figure("reconstructions") if images else None for run in runs],
        "curves": [run.figure("learning_curves") for run in runs],
        "epochs": [run.has_epochs() for run in runs],
    }


def _names(runs: list[Contents]) -> list[str]:
    """Return the names of the folders, numbered where several are equal."""
    names = [run.folder.path.resolve().name for run in runs]
    return [
        f"{name} ({names[: i + 1].count(name)})" if names.count(name) > 1 else name
        for i, name in enumerate(names)
    ]


def obstacles(runs: list[Contents]) -> list[str]:
    """Return reasons why the numbers of runs are not comparable: other data, or another split."""
    found = []
    prints = [settings(run.recipe).get("data.fingerprint") for run in runs]
    if len({value for value in prints if value}) > 1:
        found.append("The data differ between these runs (fingerprints in their recipes).")
    elif not all(prints):
        found.append("It is not known whether the data are the same: a recipe has no fingerprint of them.")
    known = [None if run.split is None else _test_part(run.split) for run in runs]
    if any(part != known[0] for part in known if part is not None and known[0] is not None):
        found.append("The split differs between these runs: they are scored on different samples.")
    elif any(part is None for part in known):
        found.append("It is not known whether the split is the same: a run has no split.csv.")
    return found


def _test_part(split: pd.DataFrame) -> set[tuple[Any, ...]]:
    """Return the rows of a split with validation counted as train: fits may draw their own validation."""
    part = split.assign(split=split["split"].replace("validation", "train"))
    return set(part[["id", "group", "label", "split"]].itertuples(index=False, name=None))


def differing_settings(runs: list[Contents]) -> list[tuple[str, list[Any]]]:
    """Return the settings in which runs differ: name, and the value of each run."""
    known = [settings(run.recipe) for run in runs]
    names = dict.fromkeys(name for found in known for name in found if name not in NOT_COMPARED)
    rows = [(name, [found.get(name, NO_VALUE) for found in known]) for name in names]
    return [(name, values) for name, values in rows if len({str(value) for value in values}) > 1]


def compared_scores(runs: list[Contents]) -> list[Section]:
    """Return the scores of several runs by question, with one cell for each space of each run."""
    known = [(i, run.scores) for i, run in enumerate(runs) if run.scores is not None]
    if not known:
        return []
    tables = [scores.assign(place=scores["space"].map(lambda space, i=i: (i, space))) for i, scores in known]
    places = [(i, space) for i in range(len(runs)) for space in SPACES]
    return sections(pd.concat(tables, ignore_index=True), places=places)
