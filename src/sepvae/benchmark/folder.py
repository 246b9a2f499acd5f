"""Files of a benchmark's folder: its data and settings, the state of each cell, and all scores."""

import hashlib
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from sepvae.batch import Source
from sepvae.benchmark.cells import SCORES, Cell
from sepvae.benchmark.pixels import Pixels
from sepvae.codes import Kind
from sepvae.errors import RunFolderError
from sepvae.files import read_table, write_whole
from sepvae.runs.fitting import fingerprint
from sepvae.runs.folder import read_recipe, write_table, write_versions

CLAIM, RESULTS, STARTED, ERROR = "benchmark.yaml", "results.csv", "started", "error.txt"
COLUMNS = [
    *("recipe", "contender", "method", "preset", "ablation", "seed", "fold"),
    *("probe", "space", "attribute", "population", "metric", "score", "low", "high", "chance", "p_value"),
    *("n_train", "n_test", "n_test_groups", "seconds", "error"),
]
# Path from its root up to the file name; folder names may contain spaces.
FOLDERS = re.compile(r"(?<![\w.:/\\])(?:[A-Za-z]:)?[/\\](?:[^/\\\s:'\"<>|][^/\\\n:'\"<>|]*[/\\])+")
Cells = Sequence[Cell | Pixels]
Parts = Sequence[tuple[Source, Source]]
States = dict[str, str]


def claim(
    out: Path, *, recipe: str, parts: Parts, threads: int, permutations: int, kinds: Mapping[str, Kind]
) -> None:
    """Record data and settings in `benchmark.yaml`; raise RunFolderError for a folder with other content."""
    digest = hashlib.sha256("".join(fingerprint(*part) for part in parts).encode()).hexdigest()
    about: dict[str, Any] = {"recipe": recipe, "data": digest, "threads": threads}
    about |= {"permutations": permutations, "attributes": dict(kinds)}
    if (out / CLAIM).is_file():
        old = yaml.safe_load((out / CLAIM).read_text(encoding="utf-8"))
        for name, value in about.items():
            if old.get(name) != value:
                was = f"{name} was {old.get(name)}, now {value}"
                raise RunFolderError(f"{out}: holds another benchmark ({was}); choose another --out")
        return
    if out.exists() and any(not file.name.startswith(f".{CLAIM}") for file in out.iterdir()):
        raise RunFolderError(f"{out}: wanted a new folder or a benchmark's, but it holds other files")
    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / CLAIM, yaml.safe_dump(about, sort_keys=False))
    write_versions(out)


def check_old(cells: Sequence[Cell], out: Path) -> None:
    """Raise RunFolderError if a cell was fitted with other keywords under the same name."""
    for cell in cells:
        folder = out / "cells" / cell.name
        if not (folder / "recipe.yaml").is_file():
            continue
        old, now = read_recipe(folder)["keywords"], cell.keywords
        if differing := [name for name in now if name in old and old[name] != now[name]]:
            name = differing[0]
            raise RunFolderError(
                f"{folder}: was fitted with {name} {old[name]}, now {now[name]}; choose another --out, "
                "or remove that folder"
            )


def states(cells: Cells, out: Path) -> States:
    """Return the state of each cell by name, from its files: waiting, running, finished or failed."""
    return {cell.name: _state(out / "cells" / cell.name) for cell in cells}


def collect(cells: Cells, out: Path, recipe: str) -> pd.DataFrame:
    """Write `results.csv`: one row per cell and score, and one row with its error for each failed cell."""
    tables = []
    for cell in cells:
        folder = out / "cells" / cell.name
        if (folder / SCORES).is_file():
            scores = read_table(folder / SCORES, ["attribute", "probe"])
            known = (folder / "recipe.yaml").is_file()
            tables.append(
                scores.assign(**cell.about, seconds=read_recipe(folder)["seconds"] if known else None)
            )
        elif (folder / ERROR).is_file():
            error = without_folders((folder / ERROR).read_text(encoding="utf-8").strip())
            tables.append(pd.DataFrame([{**cell.about, "error": error}]))
    if not tables:
        return pd.DataFrame(columns=COLUMNS)
    results = pd.concat([table.dropna(axis=1, how="all") for table in tables], ignore_index=True)
    results = results.assign(recipe=recipe).reindex(columns=COLUMNS)
    write_table(out / RESULTS, results.astype({"seed": "Int64", "fold": "Int64"}))  # no .0 in integers
    return results


def without_folders(text: str) -> str:
    """
    Remove folders from an error, so that a benchmark that is passed on does not reveal paths or users.

    File names stay, and the paths of modules within their package.

    >>> without_folders("DataError: /home/jane doe/study/p1.png: is empty; wanted 3/4 of it")
    'DataError: p1.png: is empty; wanted 3/4 of it'
    """
    for folder in sorted({*sys.path, sys.prefix, str(Path.home())}, key=len, reverse=True):
        if len(Path(folder).parts) > 1:
            place = re.escape(folder)
            text = re.sub(rf"(?<![\w.]){place}[/\\]", "", text)
            text = re.sub(rf"(?<![\w.]){place}(?![\w.-])", "~", text)
    return FOLDERS.sub("", text)


def _state(folder: Path) -> str:
    for file, state in ((SCORES, "finished"), (ERROR, "failed"), (STARTED, "running")):
        if (folder / file).is_file():
            return state
    return "waiting"
