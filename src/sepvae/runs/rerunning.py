"""Repeat the fit of a run; compare two runs: which numbers are identical, and how far the others differ."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from safetensors import SafetensorError
from safetensors.numpy import load_file

from sepvae.batch import AnyArray, Source
from sepvae.data.nifti import NiftiFiles
from sepvae.errors import RunFolderError
from sepvae.files import read_cells, read_file
from sepvae.methods.base import ContrastiveEstimator
from sepvae.model_files import WEIGHTS
from sepvae.progress import Say, stage
from sepvae.registry import find_method, method_names
from sepvae.run_folder import RunFolder
from sepvae.runs.fitting import fit_run
from sepvae.runs.resume import check_same_data, use_threads

TIMES = re.compile(r"(^|_)(seconds|time)$")  # columns of metrics.csv that differ between any two fits

NUMBERS = (".csv", ".npz", ".nii.gz")  # suffixes of maps, without the pictures that are drawn from them

Arrays = Mapping[str, AnyArray]


def model_of(run: str | Path) -> ContrastiveEstimator:
    """Return an unfitted estimator as that of a run; raise RunFolderError if its fit cannot be repeated."""
    folder = RunFolder(run)
    recipe = folder.recipe.required()
    name, keywords, threads = str(recipe.get("method")), recipe.get("keywords"), recipe.get("threads", 1)
    problem = ""
    if not folder.is_finished(recipe):
        problem = "is not finished; finish it, or run `sepvae fit` again, before it is repeated"
    elif name not in method_names() or not isinstance(keywords, dict):
        problem = "its recipe.yaml names no method that is installed, so it cannot be repeated"
    elif isinstance(keywords.get("network"), list):
        problem = "was fitted with modules of your own, which no file holds; repeat it in Python, by fit_run"
    elif keywords.get("augment") is not None:
        problem = "was fitted with augment, code that no file may name; repeat it in Python, by fit_run"
    elif keywords.get("random_state", 0) is None:
        problem = "was fitted with random_state=None, so that no two fits of it are alike"
    elif not isinstance(threads, int) or threads < 1:
        problem = f"threads in its recipe.yaml: wanted a whole number from 1, got {threads!r}"
    elif unknown := sorted(keywords.keys() - find_method(name)().get_params().keys()):
        problem = (
            f"its recipe.yaml has {unknown[0]}, which {name} does not know here; take the version of sepvae "
            "that versions.json names"
        )
    if problem:
        raise RunFolderError(f"{run}: {problem}")
    return find_method(name)(**recipe["keywords"])


def rerun(
    run: str | Path,
    train: Source,
    test: Source,
    out: str | Path,
    *,
    quality_metrics: pd.DataFrame | None = None,
    say: Say = print,
) -> pd.DataFrame | None:
    """
    Repeat the fit of a run, with its recipe and number of threads, in another run folder.

    Parameters
    ----------
    run : str or Path
        The run folder.
    train, test : Source
        The samples of the run, in the order of its `split.csv`.
    out : str or Path
        The run folder to create.
    quality_metrics : DataFrame, default=None
        As in `fit_run`.
    say : callable, default=print
        Called with each progress message.

    Returns
    -------
    DataFrame or None
        The scores, as in `fit_run`; `compare_runs` compares both folders.

    Raises
    ------
    RunFolderError
        As in `model_of`, or if `out` exists.
    DataError
        If the samples are not those of the run; nothing is fitted then.
    """
    recipe, model = RunFolder(run).recipe.required(), model_of(run)
    if model.is_first_process():
        with stage("comparing the data with those of the run", say):
            check_same_data(run, train, test)
    protocol = recipe.get("protocol", {})
    with use_threads(recipe.get("threads")):
        return fit_run(
            model,
            train,
            test,
            out,
            about_data={k: v for k, v in recipe["data"].items() if k != "fingerprint"},
            kinds=recipe.get("attributes"),
            quality_metrics=quality_metrics,
            command=recipe.get("command"),
            n_permutations=protocol.get("n_permutations", 0),
            removal=protocol.get("removal", True),  # older runs trained these classifiers without a bound
            thumbnails=protocol.get("thumbnails", True),
            say=say,
        )


def compare_runs(first: str | Path, second: str | Path) -> pd.DataFrame:
    """
    Compare the numbers of two run folders: weights, metrics, codes, scores, correlations, removal and maps.

    Parameters
    ----------
    first, second : str or Path
        Finished run folders.

    Returns
    -------
    DataFrame
        One row for each kind of numbers that either folder has: what, identical (bit for bit, but for times),
        absolute and relative (the largest differences), and where the largest is.

    Raises
    ------
    RunFolderError
        If a file is damaged.
    """
    runs = RunFolder(first), RunFolder(second)
    run = runs[0]
    tables = (run.metrics, run.codes, run.scores, run.correlations, run.removal, run.counterfactuals)
    files = {"weights": [f"{run.model.name}/{WEIGHTS}"]}
    files |= {table.path.name: [table.path.name] for table in tables}
    maps = [file.relative_to(one.path) for one in runs for file in one.maps.path.rglob("*")]
    files["maps"] = sorted({file.as_posix() for file in maps if file.name.endswith(NUMBERS)})
    rows = [
        {"what": what, **gap._asdict()}
        for what, names in files.items()
        if (gap := _largest(Path(first), Path(second), names)) is not None
    ]
    return pd.DataFrame(rows, columns=["what", *Gap._fields])


def compare_conditions(first: str | Path, second: str | Path) -> pd.DataFrame:
    """Return versions and threads in which two runs differ, as text in columns what, first, second."""
    folders = RunFolder(first), RunFolder(second)
    then, now = (
        (run.versions.read() or {}) | {"threads": run.recipe.required().get("threads")} for run in folders
    )
    rows = [(name, *(str(run.get(name) or "") for run in (then, now))) for name in {**then, **now}]
    return pd.DataFrame([row for row in rows if row[1] != row[2]], columns=["what", "first", "second"])


class Gap(NamedTuple):
    """Largest difference of two files or arrays; infinite where text differs or one side is missing."""

    identical: bool
    absolute: float = 0.0
    relative: float = 0.0
    where: str = ""


def _largest(first: Path, second: Path, files: Sequence[str]) -> Gap | None:
    """Return the largest gap over some files; None if neither folder has any of them."""
    gaps = []
    for name in files:
        a, b = first / name, second / name
        if not a.is_file() and not b.is_file():
            continue
        if not (a.is_file() and b.is_file()):
            gaps.append(Gap(False, np.inf, np.inf, f"{name} is only in {first if a.is_file() else second}"))
            continue
        if a.read_bytes() == b.read_bytes():
            gaps.append(Gap(True))
            continue
        gap = _gap(read_file(a, _read) or {}, read_file(b, _read) or {})
        gaps.append(gap._replace(where=f"{name}: {gap.where}") if gap.where and len(files) > 1 else gap)
    if not gaps:
        return None
    worst = max(gaps, key=lambda gap: (not gap.identical, gap.absolute))
    return worst._replace(relative=max(gap.relative for gap in gaps))


def _gap(first: Arrays, second: Arrays) -> Gap:
    """Return the largest gap over arrays of the same name."""
    if only := sorted(first.keys() ^ second.keys()):
        return Gap(False, np.inf, np.inf, f"{only[0]} is in one of them only")
    worst, relative = Gap(True), 0.0
    for name, a in first.items():
        b = second[name]
        text = a.dtype.kind in "UO"
        if a.shape != b.shape or not (text or a.dtype == b.dtype):
            return Gap(False, np.inf, np.inf, f"{name} is {_size(a)} and {_size(b)}")
        if np.array_equal(a, b) if text else a.tobytes() == b.tobytes():
            continue
        apart, shares = _apart(a, b)
        relative = max(relative, float(shares.max()))
        if worst.identical or apart.max() > worst.absolute:
            place = np.unravel_index(int(apart.argmax()), apart.shape)
            at = f"row {place[0] + 1}" if text and a.ndim == 1 else str([int(i) for i in place])
            worst = Gap(False, float(apart.max()), 0.0, f"{name}, {at}")
    return worst._replace(relative=relative)


def _apart(a: AnyArray, b: AnyArray) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return absolute and relative differences; infinite where only one is a number, or text differs."""
    same = a == b
    if a.dtype.kind not in "UO":
        same |= np.isnan(a) & np.isnan(b)
    flat = (pd.to_numeric(pd.Series(x.ravel()), errors="coerce").to_numpy(np.float64) for x in (a, b))
    a, b = (x.reshape(same.shape) for x in flat)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        apart = np.abs(a - b)
        shares = apart / np.maximum(np.abs(a), np.abs(b))
    infinite = ~np.isfinite(apart) & ~same
    apart, shares = np.where(same, 0.0, apart), np.where(same | (apart == 0), 0.0, shares)
    return np.where(infinite, np.inf, apart), np.where(infinite, np.inf, shares)


def _size(array: AnyArray) -> str:
    kind = "cells" if array.dtype.kind in "UO" else array.dtype
    return f"{' x '.join(map(str, array.shape)) or 'one'} {kind}"


def _read(path: Path) -> Arrays:
    """Read a file as arrays by name; cells of tables as text, since equal text means equal numbers."""
    if path.suffix == ".csv":
        timed = path.name == RunFolder(path.parent).metrics.path.name
        cells = {str(name): column.to_numpy(dtype=object) for name, column in read_cells(path).items()}
        return {name: column for name, column in cells.items() if not (timed and TIMES.search(name))}
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    if path.suffix == ".gz":
        return {"voxels": NiftiFiles([path])(0)}
    try:
        return dict(load_file(path))
    except SafetensorError as error:
        raise ValueError(str(error)) from error
