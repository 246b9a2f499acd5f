"""Comparison of two run folders: which numbers are identical bit for bit, and how far the others differ."""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from safetensors import SafetensorError
from safetensors.numpy import load_file

from sepvae.batch import AnyArray
from sepvae.data.nifti import NiftiFiles
from sepvae.files import read_cells, read_file
from sepvae.model_files import WEIGHTS
from sepvae.run_folder import RunFolder

TIMES = re.compile(r"(^|_)(seconds|time)$")  # columns of metrics.csv that differ between any two fits

Arrays = Mapping[str, AnyArray]
Reader = Callable[[Path], Arrays]


class Gap(NamedTuple):
    """
    Largest difference of two files or arrays; `identical` means bit for bit.

    `absolute` and `relative` are infinite where text differs or one side is missing.
    """

    identical: bool
    absolute: float = 0.0
    relative: float = 0.0
    where: str = ""


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
        One row for each kind of numbers that either folder has, with columns what, identical, absolute,
        relative and where. Identical means bit for bit, except for columns of times. Absolute and relative
        are the largest differences; where is the place of the largest.

    Raises
    ------
    RunFolderError
        If a file is damaged.
    """
    runs = RunFolder(first), RunFolder(second)
    run = runs[0]
    files: dict[str, dict[str, Reader]] = {"weights": {f"{run.model.name}/{WEIGHTS}": _weights}}
    for table in (run.metrics, run.codes, run.scores, run.correlations, run.removal):
        name = table.path.name
        files[name] = {name: _metrics if table is run.metrics else _table}
    files["maps"] = dict(sorted({name: how for run in runs for name, how in _map_files(run)}.items()))
    rows = [
        {"what": what, **gap._asdict()}
        for what, readers in files.items()
        if (gap := _largest(Path(first), Path(second), readers)) is not None
    ]
    return pd.DataFrame(rows, columns=["what", *Gap._fields])


def compare_conditions(first: str | Path, second: str | Path) -> pd.DataFrame:
    """
    List the conditions in which two runs differ: versions of packages, and threads.

    Parameters
    ----------
    first, second : str or Path
        Run folders.

    Returns
    -------
    DataFrame
        Columns what, first and second, as text; differences only. Empty text means not recorded.

    Raises
    ------
    RunFolderError
        If a file is damaged.
    """
    folders = RunFolder(first), RunFolder(second)
    then, now = (
        (run.versions.read() or {}) | {"threads": run.recipe.required().get("threads")} for run in folders
    )
    rows = [(name, *(str(run.get(name) or "") for run in (then, now))) for name in {**then, **now}]
    return pd.DataFrame([row for row in rows if row[1] != row[2]], columns=["what", "first", "second"])


def _largest(first: Path, second: Path, files: Mapping[str, Reader]) -> Gap | None:
    """Return the largest gap over some files; None if neither folder has any of them."""
    gaps = []
    for name, reader in files.items():
        a, b = first / name, second / name
        if not a.is_file() and not b.is_file():
            continue
        if not (a.is_file() and b.is_file()):
            gaps.append(Gap(False, np.inf, np.inf, f"{name} is only in {first if a.is_file() else second}"))
            continue
        if a.read_bytes() == b.read_bytes():
            gaps.append(Gap(True))
            continue
        gap = _gap(read_file(a, reader) or {}, read_file(b, reader) or {})
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
    if a.dtype.kind in "UO":
        a, b = (
            pd.to_numeric(pd.Series(x.ravel()), errors="coerce").to_numpy(float).reshape(x.shape)
            for x in (a, b)
        )
    else:
        same |= np.isnan(a) & np.isnan(b)
        a, b = a.astype(np.float64), b.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        apart = np.abs(a - b)
        shares = apart / np.maximum(np.abs(a), np.abs(b))
    infinite = ~np.isfinite(apart) & ~same
    apart, shares = np.where(same, 0.0, apart), np.where(same | (apart == 0), 0.0, shares)
    return np.where(infinite, np.inf, apart), np.where(infinite, np.inf, shares)


def _size(array: AnyArray) -> str:
    kind = "cells" if array.dtype.kind in "UO" else array.dtype
    return f"{' x '.join(map(str, array.shape)) or 'one'} {kind}"


def _map_files(run: RunFolder) -> Iterator[tuple[str, Reader]]:
    """Yield the map files that hold numbers, not the pictures drawn from them, each with its reader."""
    readers: dict[str, Reader] = {".csv": _table, ".npz": _arrays, ".nii.gz": _volume}
    for path in run.maps.path.rglob("*"):
        for suffix, reader in readers.items():
            if path.name.endswith(suffix):
                yield path.relative_to(run.path).as_posix(), reader


def _weights(path: Path) -> Arrays:
    try:
        return dict(load_file(path))
    except SafetensorError as error:
        raise ValueError(str(error)) from error


def _table(path: Path) -> Arrays:
    """Read cells as text: pandas writes numbers so that equal text means equal numbers."""
    return {str(name): cells.to_numpy(dtype=object) for name, cells in read_cells(path).items()}


def _metrics(path: Path) -> Arrays:
    return {name: cells for name, cells in _table(path).items() if not TIMES.search(name)}


def _arrays(path: Path) -> Arrays:
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def _volume(path: Path) -> Arrays:
    return {"voxels": NiftiFiles([path])(0)}
