"""Run all cells of a benchmark in parallel. Finished cells are kept, so that a killed benchmark continues."""

import hashlib
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
from joblib import Parallel, delayed
from joblib.externals.loky.process_executor import TerminatedWorkerError

from sepvae.batch import Source
from sepvae.benchmark.cells import Cell, Contender, Pixels
from sepvae.benchmark.folder import BenchmarkFolder, CellFolder, States, without_folders
from sepvae.codes import Kind
from sepvae.errors import DataError, RunFolderError, collapses_told
from sepvae.files import write_whole
from sepvae.registry import find_method
from sepvae.run_files import plain
from sepvae.runs.resume import fingerprint, use_threads

LOOK_EVERY = 2.0  # seconds
COLUMNS = [
    *("recipe", "contender", "method", "preset", "ablation", "seed", "fold"),
    *("probe", "space", "attribute", "population", "metric", "score", "low", "high", "chance", "p_value"),
    *("n_train", "n_test", "n_test_groups", "seconds", "error"),
]
Cells = Sequence[Cell | Pixels]
Parts = Sequence[tuple[Source, Source]]


def make_cells(contenders: Sequence[Contender], seeds: Sequence[int], n_folds: int) -> list[Cell]:
    """
    Create the cells, seed by seed, so that a benchmark that is stopped early has some of each contender.

    Parameters
    ----------
    contenders : sequence of Contender
        Contenders to compare.
    seeds : sequence of int
        Seeds of weights, order and noise.
    n_folds : int
        Number of folds; 1 for one split that all cells share.

    Returns
    -------
    list of Cell
        Cells of all seeds, folds and contenders.
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
    n_permutations: int = 0,
    information: bool = False,
    jobs: int | None = None,
    threads: int = 1,
    baseline: bool = True,
    watch: Callable[[States], None] | None = None,
) -> pd.DataFrame:
    """
    Run the missing cells of a benchmark, and collect all scores.

    `joblib.parallel_config` chooses where cells run, such as on a dask cluster, whose workers must see the
    folder `out`. A cell that fails writes its error there, and the others continue.

    Parameters
    ----------
    cells : sequence of Cell
        Cells as `make_cells` creates them.
    parts : sequence of tuple of two Source
        Training and test samples of each fold, or of the one split.
    out : str or Path
        Folder of the benchmark; an interrupted benchmark continues.
    recipe : str
        Name of the recipe, for the tables.
    background : str
        Label of the background.
    kinds : mapping
        "categorical" or "continuous" for each attribute.
    n_permutations : int, default=0
        Number of permutations for each p-value; 0 for none.
    information : bool, default=False
        Whether cells have scores in nats with fewer than 19 permutations, too.
    jobs : int or None, default=None
        Number of cells that run at once; None uses `joblib.parallel_config`, or one.
    threads : int, default=1
        Threads of each cell, on which last digits depend: the same on a restart.
    baseline : bool, default=True
        Whether principal components of the input are scored, too.
    watch : callable, default=None
        Called every two seconds with the state of each cell: "waiting", "running", "finished" or "failed".

    Returns
    -------
    DataFrame
        Content of `results.csv`.

    Raises
    ------
    RunFolderError
        If the folder holds a benchmark of other data, or cells with other keywords.
    DataError
        If two cells have the same name: contenders that differ only in keywords need a folder each.
    """
    folder = BenchmarkFolder(out)
    if len({cell.name for cell in cells}) < len(cells):
        raise DataError(
            "cells: wanted each contender, seed and fold once; give other keywords another folder"
        )
    digest = hashlib.sha256("".join(fingerprint(*part) for part in parts).encode()).hexdigest()
    settings = {"recipe": recipe, "data": digest, "threads": threads, "permutations": n_permutations}
    folder.claim(settings | {"attributes": dict(kinds)})
    _check_keywords(cells, folder)
    everything: Cells = [*(_pixels(cells, background) if baseline else ()), *cells]
    how = {"n_permutations": n_permutations, "information": information, "threads": threads}
    for cell_folder in (folder.cell(cell.name) for cell in everything):
        if cell_folder.state() != "finished":  # so that cells that failed or stopped run again
            cell_folder.started.unlink(missing_ok=True)
            cell_folder.error.unlink(missing_ok=True)
    with _watched(everything, folder, recipe, watch):
        while todo := [cell for cell in everything if folder.cell(cell.name).state() == "waiting"]:
            try:
                Parallel(n_jobs=jobs, batch_size=1)(
                    delayed(_attempt)(
                        cell, *parts[cell.fold or 0], folder.cell(cell.name, dict(kinds)), **how
                    )
                    for cell in todo
                )
            except TerminatedWorkerError:
                _blame(todo, folder)
    return collect(everything, folder, recipe)


def _pixels(cells: Sequence[Cell], background: str) -> list[Pixels]:
    """Return a baseline cell for each fold, with as many components as the first contender has codes."""
    first = cells[0].contender.estimator(0)
    n = first.common_dim + first.salient_dim
    folds = dict.fromkeys(cell.fold for cell in cells)
    return [Pixels(n, background, fold, first.input_adapter()) for fold in folds]


def _attempt(
    cell: Cell | Pixels, train: Source, test: Source, folder: CellFolder, *, threads: int, **how: Any
) -> None:
    """Run a cell, and print its warnings; write its error to a file, so that the other cells continue."""

    def warn(message: str) -> None:
        sys.stderr.write(f"warning: {cell.name}: {message}\n")

    folder.path.mkdir(parents=True, exist_ok=True)
    folder.started.touch()
    try:
        with use_threads(threads), collapses_told(warn):
            cell.run(train, test, folder, **how)
    except Exception as error:
        write_whole(folder.traceback, without_folders(traceback.format_exc()))
        folder.fail(f"{type(error).__name__}: {error}")


def _blame(cells: Cells, out: BenchmarkFolder) -> None:
    """Mark the running cells as failed when their process died, so that the other cells can continue."""
    running = [cell for cell in cells if out.cell(cell.name).state() == "running"]
    if not running:
        raise RuntimeError("a process of the benchmark died before it began; is there enough memory?")
    for cell in running:
        out.cell(cell.name).fail("its process was killed, perhaps for want of memory")


def _check_keywords(cells: Sequence[Cell], out: BenchmarkFolder) -> None:
    """Raise RunFolderError if a cell was fitted with other keywords under the same name."""
    for cell in cells:
        folder = out.cell(cell.name)
        if (recipe := folder.recipe.read()) is None:
            continue
        now, method = plain(cell.keywords), find_method(cell.contender.method)
        # A cell of an older version lacks keywords that are new since then.
        old = plain(method().get_params() | method.before) | recipe["keywords"]
        if differing := [name for name in now if old[name] != now[name]]:
            name = differing[0]
            raise RunFolderError(
                f"{folder}: was fitted with {name} {old[name]}, now {now[name]}; choose another --out, "
                "or remove that folder"
            )


def collect(cells: Cells, out: BenchmarkFolder, recipe: str) -> pd.DataFrame:
    """Write all scores: one row per cell and score, and one row with its error for each failed cell."""
    tables = []
    for cell in cells:
        folder = out.cell(cell.name)
        if (scores := folder.scores.read()) is not None:
            seconds = (folder.recipe.read() or {}).get("seconds")
            tables.append(scores.assign(**cell.about, seconds=seconds))
        elif folder.error.is_file():
            error = without_folders(folder.error.read_text(encoding="utf-8").strip())
            tables.append(pd.DataFrame([{**cell.about, "error": error}]))
    if not tables:
        return pd.DataFrame(columns=COLUMNS)
    results = pd.concat([table.dropna(axis=1, how="all") for table in tables], ignore_index=True)
    columns = [*COLUMNS, *(name for name in ("bootstrap",) if name in results)]
    results = results.assign(recipe=recipe).reindex(columns=columns)
    out.results.write(results.astype({"seed": "Int64", "fold": "Int64"}))  # no .0 in integers
    return results


@contextmanager
def _watched(
    cells: Cells, out: BenchmarkFolder, recipe: str, watch: Callable[[States], None] | None
) -> Iterator[None]:
    """Every two seconds, pass the states of the cells to `watch`; update `results.csv` when one ends."""
    done, trouble = threading.Event(), list[Exception]()

    def look() -> None:
        finished, last = -1, False
        try:
            while not last:
                last = done.is_set()  # one more pass after the end
                seen = out.states(cell.name for cell in cells)
                if (n := sum(state in ("finished", "failed") for state in seen.values())) != finished:
                    finished = n
                    collect(cells, out, recipe)
                if watch is not None:
                    watch(seen)
                done.wait(LOOK_EVERY)
        except Exception as error:
            trouble.append(error)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
    if trouble:
        raise trouble[0]
