"""All cells of a benchmark, in parallel, each kept when it is finished; a killed benchmark goes on."""

import hashlib
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import yaml
from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits

from sepvae.batch import Source
from sepvae.benchmark.cells import SCORES, Cell, run_cell
from sepvae.benchmark.contenders import Contender
from sepvae.benchmark.pixels import NAME, score_pixels
from sepvae.codes import Kind
from sepvae.errors import RunFolderError
from sepvae.files import write_whole
from sepvae.runs.fitting import fingerprint
from sepvae.runs.folder import read_recipe, write_table

CLAIM, STARTED, ERROR, RESULTS = "benchmark.yaml", "started", "error.txt", "results.csv"
LOOK_EVERY = 2.0  # seconds
Parts = Sequence[tuple[Source, Source]]
States = dict[str, str]


def make_cells(contenders: Sequence[Contender], seeds: Sequence[int], n_folds: int) -> list[Cell]:
    """
    Lay out the cells, seed by seed, so that a benchmark that is stopped early has some of each contender.

    Parameters
    ----------
    contenders : sequence of Contender
        What to compare.
    seeds : sequence of int
        Of weights, order and noise.
    n_folds : int
        Parts of the data in turn; 1 for one split that all cells share.

    Returns
    -------
    list of Cell
        All of them.
    """
    folds: list[int | None] = list(range(n_folds)) if n_folds > 1 else [None]
    return [Cell(c, seed, fold) for seed in seeds for fold in folds for c in contenders]


def run_benchmark(
    cells: Sequence[Cell],
    parts: Parts,
    out: str | Path,
    *,
    recipe: str,
    background: str,
    kinds: Mapping[str, Kind],
    n_permutations: int = 100,
    jobs: int | None = None,
    threads: int = 1,
    watch: Callable[[States], None] | None = None,
) -> pd.DataFrame:
    """
    Run what is missing of a benchmark, and gather all scores.

    Cells run in parallel by joblib: `joblib.parallel_config` chooses where, on a dask cluster for instance,
    whose workers must see the folder `out`. A cell that fails leaves its error there, and the others go on.

    Parameters
    ----------
    cells : sequence of Cell
        As `make_cells` lays them out.
    parts : sequence of tuple of two Source
        Train and test: of each fold, or of the one split.
    out : str or Path
        Folder of the benchmark; one of an earlier start goes on.
    recipe : str
        Name, for the tables.
    background : str
        Its label.
    kinds : mapping
        "categorical" or "continuous" for each attribute.
    n_permutations : int, default=100
        Shuffles behind each p-value.
    jobs : int or None, default=None
        Cells at once; None leaves it to `joblib.parallel_config`, or takes one.
    threads : int, default=1
        Of each cell; numbers depend on it in their last digits, so it stays what it was.
    watch : callable, default=None
        Told the state of each cell ("waiting", "running", "finished", "failed") every other second.

    Returns
    -------
    DataFrame
        What `results.csv` holds.

    Raises
    ------
    RunFolderError
        If the folder holds a benchmark of other data, or cells with other keywords.
    """
    out = Path(out)
    _claim(out, recipe=recipe, parts=parts, threads=threads, permutations=n_permutations, kinds=kinds)
    _check_old(cells, out)
    todo = [cell for cell in cells if not (out / "cells" / cell.name / SCORES).is_file()]
    for cell in todo:
        for file in (STARTED, ERROR):
            (out / "cells" / cell.name / file).unlink(missing_ok=True)
    how = {"kinds": dict(kinds), "n_permutations": n_permutations, "threads": threads}
    with _watched(cells, out, recipe, watch):
        _score_pixels(cells, parts, out, background, kinds=kinds, n_permutations=n_permutations)
        Parallel(n_jobs=jobs, batch_size=1)(
            delayed(_attempt)(cell, *parts[cell.fold or 0], out / "cells" / cell.name, **how) for cell in todo
        )
    return collect(cells, out, recipe)


def collect(cells: Sequence[Cell], out: Path, recipe: str) -> pd.DataFrame:
    """
    Gather what is finished into `results.csv`.

    Parameters
    ----------
    cells : sequence of Cell
        All of the benchmark.
    out : Path
        Its folder.
    recipe : str
        Name, for the tables.

    Returns
    -------
    DataFrame
        A row per cell and score; one row with its error for a cell that failed.
    """
    tables = []
    for cell in cells:
        folder = out / "cells" / cell.name
        if (folder / SCORES).is_file():
            seconds = read_recipe(folder).get("seconds")
            tables.append(pd.read_csv(folder / SCORES).assign(**cell.about, seconds=seconds, error=None))
        elif (folder / ERROR).is_file():
            tables.append(pd.DataFrame([{**cell.about, "error": (folder / ERROR).read_text().strip()}]))
    for file in sorted(out.glob(f"cells/{NAME}*/{SCORES}")):
        fold = file.parent.name.removeprefix(f"{NAME}-fold")
        about = {"contender": NAME, "method": NAME, "fold": int(fold) if fold.isdigit() else None}
        tables.append(pd.read_csv(file).assign(**about))
    if not tables:
        return pd.DataFrame(columns=COLUMNS)
    results = pd.concat([table.dropna(axis=1, how="all") for table in tables], ignore_index=True)
    results = results.assign(recipe=recipe).reindex(columns=COLUMNS)
    write_table(out / RESULTS, results)
    return results


COLUMNS = [
    *("recipe", "contender", "method", "preset", "ablation", "seed", "fold"),
    *("probe", "space", "attribute", "population", "metric", "score", "low", "high", "chance", "p_value"),
    *("n_train", "n_test", "n_test_groups", "seconds", "error"),
]


def states(cells: Sequence[Cell], out: Path) -> States:
    """
    See how far each cell is, by its files.

    Parameters
    ----------
    cells : sequence of Cell
        All of the benchmark.
    out : Path
        Its folder.

    Returns
    -------
    dict of str to str
        "waiting", "running", "finished" or "failed" by the cell's name.
    """
    return {cell.name: _state(out / "cells" / cell.name) for cell in cells}


def _state(folder: Path) -> str:
    for file, state in ((SCORES, "finished"), (ERROR, "failed"), (STARTED, "running")):
        if (folder / file).is_file():
            return state
    return "waiting"


def _attempt(cell: Cell, train: Source, test: Source, folder: Path, *, threads: int, **how: Any) -> None:
    """Run a cell; what goes wrong with it is written down, and stops no other."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / STARTED).touch()
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with threadpool_limits(threads):
            run_cell(cell, train, test, folder, **how)
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        reason = re.sub(r"/(?:[^/\s:]+/)+", "", reason)  # a forwarded table tells nothing of a disk
        write_whole(folder / ERROR, reason + "\n")
    finally:
        torch.set_num_threads(before)


def _score_pixels(
    cells: Sequence[Cell],
    parts: Parts,
    out: Path,
    background: str,
    *,
    kinds: Mapping[str, Kind],
    n_permutations: int,
) -> None:
    """The raw input, once for each fold, with as many components as the first contender has codes."""
    folds = dict.fromkeys(cell.fold for cell in cells)
    first = cells[0].contender.estimator(0)
    for fold in folds:
        folder = out / "cells" / (NAME if fold is None else f"{NAME}-fold{fold}")
        if not (folder / SCORES).is_file():
            folder.mkdir(parents=True, exist_ok=True)
            scores = score_pixels(
                *parts[fold or 0],
                background,
                n_components=first.common_dim + first.salient_dim,
                kinds=kinds,
                n_permutations=n_permutations,
            )
            write_table(folder / SCORES, scores)


def _claim(
    out: Path,
    *,
    recipe: str,
    parts: Parts,
    threads: int,
    permutations: int,
    kinds: Mapping[str, Kind],
) -> None:
    """Note what the folder is a benchmark of; refuse another's."""
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
    if out.exists() and any(out.iterdir()):
        raise RunFolderError(f"{out}: wanted a new folder or a benchmark's, but it holds other files")
    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / CLAIM, yaml.safe_dump(about, sort_keys=False))


def _check_old(cells: Sequence[Cell], out: Path) -> None:
    """Refuse to mix fits with other keywords under one name."""
    for cell in cells:
        folder = out / "cells" / cell.name
        if not (folder / "recipe.yaml").is_file():
            continue
        old = read_recipe(folder)["keywords"]
        model = cell.contender.estimator(cell.seed)
        now = {name: value for name, value in model.get_params().items() if name in old}
        differing = [name for name, value in now.items() if old[name] != value]
        if differing:
            name = differing[0]
            raise RunFolderError(
                f"{folder}: was fitted with {name} {old[name]}, now {now[name]}; choose another --out, "
                "or remove that folder"
            )


@contextmanager
def _watched(
    cells: Sequence[Cell], out: Path, recipe: str, watch: Callable[[States], None] | None
) -> Iterator[None]:
    """Look at the cells' files every other second, tell of them, and keep `results.csv` up to date."""
    done = threading.Event()

    def look() -> None:
        finished = -1
        while True:
            last = done.is_set()  # one more look after the end
            seen = states(cells, out)
            if (n := sum(state in ("finished", "failed") for state in seen.values())) != finished:
                finished = n
                collect(cells, out, recipe)
            if watch is not None:
                watch(seen)
            if last:
                return
            done.wait(LOOK_EVERY)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
