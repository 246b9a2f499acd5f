"""`write_comparison`: several run folders side by side on one page."""

import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sepvae.errors import RunFolderError
from sepvae.report.contents import Contents
from sepvae.report.facts import facts, has_epochs, settings, title
from sepvae.report.html import render, write_page
from sepvae.report.scores import NOTES, SPACES, Cell, cell, number, question, scale, words_of
from sepvae.report.summary import summary
from sepvae.report.warnings import find_warnings

if TYPE_CHECKING:
    import pandas as pd

NOT_COMPARED = ("seconds.fit", "seconds.all", "data.fingerprint")  # facts, not settings
NO_VALUE = "-"


@dataclass(frozen=True)
class ComparedRow:
    """One metric of a question: a cell or None per run and space, and the chance levels of all runs."""

    name: str
    note: str
    cells: list[Cell | None]
    chance: str


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
    known = [facts(run) for run in runs]
    names = list(dict.fromkeys(name for found in known for name in found))
    return {
        "images": images,
        "names": _names(runs),
        "titles": [title(run.recipe) for run in runs],
        "obstacles": obstacles(runs),
        "facts": [(name, [found.get(name, NO_VALUE) for found in known]) for name in names],
        "settings": differing_settings(runs),
        "summaries": [None if run.scores is None else summary(run.scores) for run in runs],
        "warnings": [find_warnings(run) for run in runs],
        "spaces": SPACES,
        "sections": compared_scores([run.scores for run in runs]),
        "unscored": [name for name, run in zip(_names(runs), runs, strict=True) if run.scores is None],
        "reconstructions": [run.figure("reconstructions") if images else None for run in runs],
        "curves": [run.figure("learning_curves") for run in runs],
        "epochs": [has_epochs(run.recipe) for run in runs],
    }


def _names(runs: list[Contents]) -> list[str]:
    """Return the names of the folders, numbered where several are equal."""
    names = [run.folder.path.resolve().name for run in runs]
    counts, seen = Counter(names), Counter[str]()
    numbered = []
    for name in names:
        seen[name] += 1
        numbered.append(f"{name} ({seen[name]})" if counts[name] > 1 else name)
    return numbered


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


def _test_part(split: "pd.DataFrame") -> set[tuple[Any, ...]]:
    """Return the rows of a split with validation counted as train: fits may draw their own validation."""
    part = split.assign(split=split["split"].replace("validation", "train"))
    return set(part[["id", "group", "label", "split"]].itertuples(index=False, name=None))


def differing_settings(runs: list[Contents]) -> list[tuple[str, list[Any]]]:
    """Return the settings in which runs differ: name, and the value of each run."""
    known = [settings(run.recipe) for run in runs]
    names = dict.fromkeys(name for found in known for name in found if name not in NOT_COMPARED)
    rows = [(name, [found.get(name, NO_VALUE) for found in known]) for name in names]
    return [(name, values) for name, values in rows if len({str(value) for value in values}) > 1]


def compared_scores(tables: "list[pd.DataFrame | None]") -> list[tuple[str, list[ComparedRow]]]:
    """Return the scores of several runs by question, the label first, scores without a probe last."""
    import pandas as pd

    parts = [table.assign(run=i) for i, table in enumerate(tables) if table is not None]
    if not parts:
        return []
    scores = pd.concat(parts, ignore_index=True)
    scores["attribute"] = scores["attribute"].fillna("")
    scores = scores.sort_values(
        "attribute", key=lambda names: names.map(lambda n: {"label": 0, "": 2}.get(n, 1)), kind="stable"
    )
    found: dict[str, list[ComparedRow]] = {}
    keys = ["attribute", "population", "metric"]
    for (attribute, population, metric), rows in scores.groupby(keys, sort=False):
        asked = question(str(attribute), str(population)) if attribute else "Without a probe"
        name = words_of(str(metric)) + ("" if attribute else f", {population} samples")
        found.setdefault(asked, []).append(_compared(name, str(metric), rows, len(tables)))
    return list(found.items())


def _compared(name: str, metric: str, rows: "pd.DataFrame", n_runs: int) -> ComparedRow:
    low, high = scale(metric, rows)
    by_place = {(row["run"], row["space"]): row for row in rows.to_dict("records")}
    places = [(run, space) for run in range(n_runs) for space in SPACES]
    cells = [cell(by_place[place], low, high) if place in by_place else None for place in places]
    chances = dict.fromkeys(number(c, metric) for c in rows["chance"] if not math.isnan(c))
    return ComparedRow(name, NOTES.get(metric, "").format(value="value"), cells, " or ".join(chances))
