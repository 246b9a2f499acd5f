"""`run_stability`: one method fitted several times on the same people, and how far the fits agree."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from sepvae.batch import AnyArray, Source
from sepvae.benchmark.cells import Cell, Contender, read_codes
from sepvae.benchmark.folder import BenchmarkFolder, States
from sepvae.benchmark.running import make_cells, run_benchmark
from sepvae.codes import Kind
from sepvae.data.nifti import write_volume
from sepvae.errors import DataError, TrainingError
from sepvae.evaluation.agreement import PeopleByFits, check_held_out, compare_fits, correlations
from sepvae.files import plain_name, write_arrays
from sepvae.interpretation.map_folder import can_map
from sepvae.interpretation.maps import SalientMaps
from sepvae.interpretation.tested_values import voxels_to_test
from sepvae.methods import load
from sepvae.plotting.stability import stability_figure
from sepvae.progress import Say, silence, stage
from sepvae.registry import find_method
from sepvae.run_folder import REPRODUCED
from sepvae.runs.figures import save_figure


class FitMaps(NamedTuple):
    """Group maps of several fits, (fits, ...), in units of the networks, and their agreement, (...)."""

    maps: AnyArray
    icc: AnyArray  # NaN where no map varies
    valid: AnyArray  # (...), whether any fit adds anything there: not in air, nor beyond a mask
    features: Sequence[str]  # names of the columns of a table, else empty


def make_fits(contenders: Sequence[Contender], seeds: int = 5, bootstraps: int = 0) -> list[Cell]:
    """
    Create the fits that `run_stability` compares.

    A fit of seed s is that of `sepvae fit --set random_state=s`: it has the validation part of the method's
    default, which a benchmark leaves out.

    Parameters
    ----------
    contenders : sequence of Contender
        Methods with their keywords.
    seeds : int, default=5
        Fits with seeds 0, 1, .. on all training people.
    bootstraps : int, default=0
        Fits with seed 0 on resamples of the training people, whole groups.

    Returns
    -------
    list of Cell
        Fits of all contenders.

    Raises
    ------
    DataError
        If there are not two seeds or two bootstraps to compare.
    """
    if max(seeds, bootstraps) < 2:
        raise DataError(f"fits: got --seeds {seeds} and --bootstraps {bootstraps}; wanted 2 or more of one")
    as_fitted = [_with_validation(contender) for contender in contenders]
    once = make_cells(as_fitted, [0], 1)
    resamples = [replace(cell, bootstrap=b + 1) for b in range(bootstraps) for cell in once]
    return make_cells(as_fitted, range(seeds), 1) + resamples


def _with_validation(contender: Contender) -> Contender:
    """Return the contender with the validation part of its method's default, unless a keyword says else."""
    defaults = find_method(contender.method)().get_params()
    part = {name: defaults[name] for name in ("validation_fraction",) if name in defaults}
    return replace(contender, keywords=part | dict(contender.keywords))


def run_stability(
    fits: Sequence[Cell],
    train: Source,
    test: Source,
    out: str | Path,
    *,
    background: str,
    kinds: Mapping[str, Kind],
    recipe: str = "",
    jobs: int | None = None,
    threads: int = 1,
    watch: Callable[[States], None] | None = None,
    say: Say = silence,
) -> pd.DataFrame:
    """
    Run the missing fits as cells of a benchmark, compare them on held-out people, and write what is found.

    Seeds change the model, bootstraps the training people. Pairs of seeds and pairs of bootstraps are
    compared apart, and so are contenders.

    Parameters
    ----------
    fits : sequence of Cell
        Fits as `make_fits` creates them.
    train, test : Source
        Training people, and the people on whom fits are compared.
    out : str or Path
        Folder to make, or to continue: `stability.csv`, figures, maps, and all that a benchmark leaves.
    background, kinds, recipe, jobs, threads, watch
        As for `run_benchmark`.
    say : callable, default=silence
        Called with each progress message.

    Returns
    -------
    DataFrame
        Content of `stability.csv`: columns contender, of ("seeds" or "bootstraps"), and those of
        `compare_fits`. Of methods with a decoder, "map" is the correlation of group maps over voxels, pixels
        or features, "map icc" the mean of their intraclass correlations over people, and "map share" the
        share of them with 0.5 or more.

    Raises
    ------
    TrainingError
        If a fit failed; the others are kept.
    DataError
        If there are too few held-out targets.
    RunFolderError
        If the folder holds other fits.

    Examples
    --------
    >>> from sepvae.benchmark import parse_contender
    >>> fits = make_fits([parse_contender("SepVAE")], seeds=3)
    >>> [fit.name for fit in fits]
    ['SepVAE-default-seed0', 'SepVAE-default-seed1', 'SepVAE-default-seed2']
    >>> how = {"background": "control", "kinds": {}}
    >>> table = run_stability(fits, train, test, "stability", **how)  # doctest: +SKIP
    """
    check_held_out(int(_is_target(test, background).sum()))  # before long fits
    folder = BenchmarkFolder(out)
    how: dict[str, Any] = {"recipe": recipe, "background": background, "kinds": kinds, "jobs": jobs}
    results = run_benchmark(fits, [(train, test)], out, **how, threads=threads, baseline=False, watch=watch)
    if len(failed := results["error"].dropna()):
        raise TrainingError(f"{len(failed)} of {len(fits)} fits failed, such as: {failed.iloc[0]}")
    tables, alone = [], len({fit.contender.name for fit in fits}) == 1
    for (contender, of), some in _by_kind(fits).items():
        name = "-".join(["stability", of, *([] if alone else [plain_name(contender)])])
        with stage(f"comparing {len(some)} {of} of {contender}", say):
            table = _compare(folder, some, test, name)
        table.insert(0, "contender", contender)
        table.insert(1, "of", of)
        tables.append(table)
    found = pd.concat(tables, ignore_index=True)
    folder.write("stability", csv=found)
    return found


def _by_kind(fits: Sequence[Cell]) -> dict[tuple[str, str], list[Cell]]:
    """Return the fits of each contender that differ in the seed, and those in their people, if several."""
    kinds: dict[tuple[str, str], list[Cell]] = {}
    for fit in fits:
        kinds.setdefault((fit.contender.name, "bootstraps" if fit.bootstrap else "seeds"), []).append(fit)
    return {kind: some for kind, some in kinds.items() if len(some) > 1}


def most_central(table: pd.DataFrame) -> int:
    """Return the seed whose fit agrees best with the others; of several contenders, of the first."""
    return int(table.query("measure == 'central' and of == 'seeds'")["first"].iloc[0].split()[1])


def _compare(folder: BenchmarkFolder, cells: Sequence[Cell], test: Source, name: str) -> pd.DataFrame:
    """Compare the fits of some cells; write their maps and a figure under this name."""
    folders = {
        f"bootstrap {c.bootstrap}" if c.bootstrap else f"seed {c.seed}": folder.cell(c.name) for c in cells
    }
    table = compare_fits({fit: read_codes(cell) for fit, cell in folders.items()})
    maps = _maps([cell.model for cell in folders.values()], test)
    if maps is not None:
        table = pd.concat([table, _map_rows(maps, [*folders])], ignore_index=True)
        _write_maps(folder, maps, test, name)
    drawn = () if maps is None else (maps.maps.mean(axis=0), maps.icc, maps.features)
    save_figure(folder.figures, name, stability_figure(table, *drawn))
    return table


def _maps(paths: Sequence[Path], test: Source) -> FitMaps | None:
    """Return what the salient part adds to held-out targets by each fit; None without a decoder or place."""
    models = [load(path) for path in paths]
    if not can_map(models[0], test):
        return None
    every = [SalientMaps(model, test) for model in models]
    is_table, found = len(test.sample_shape) == 1, PeopleByFits(len(models))
    target = _is_target(test, models[0].background_)
    for parts in zip(*every, strict=True):
        rows = parts[0][0]
        unit = every[0].unit if is_table or every[0].grid is None else every[0].unit[rows]
        scale = np.where(unit == 0, 1, unit)
        found.add(np.stack([maps.added / scale for _, maps in parts]), target[rows])
    maps, icc = found.group_maps(), found.icc()
    inside = None if every[0].grid is None else voxels_to_test(every[0])
    if inside is not None:  # voxels of air would agree, and there are many
        maps, icc = maps * inside, np.where(inside, icc, np.nan)
    features = test.feature_names or [f"feature{i}" for i in range(maps.shape[1])]
    return FitMaps(maps, icc, np.asarray(maps.any(axis=0)), features if is_table else ())


def _is_target(source: Source, background: Any) -> AnyArray:
    """Return which samples are targets, (n,)."""
    return np.asarray(np.asarray(source.labels).astype(str) != str(background))


def _map_rows(found: FitMaps, fits: Sequence[str]) -> pd.DataFrame:
    """Return the rows of `stability.csv` on maps: independent ones have a correlation of 0 on average."""
    inside = found.maps[:, found.valid]
    rows: list[dict[str, Any]] = [
        {
            "measure": "map",
            "first": fits[i],
            "second": fits[j],
            "score": correlations(a[:, None], b[:, None])[0],
        }
        for (i, a), (j, b) in combinations(enumerate(inside), 2)
    ]
    icc = np.nan_to_num(found.icc[found.valid])
    means = {"map": np.mean([row["score"] for row in rows]), "map icc": icc.mean()}
    means["map share"] = np.mean(icc >= REPRODUCED)
    rows += [
        {"measure": name, "first": "", "second": "", "score": float(score)} for name, score in means.items()
    ]
    return pd.DataFrame(rows).assign(space="salient", chance=0.0)


def _write_maps(folder: BenchmarkFolder, found: FitMaps, test: Source, name: str) -> None:
    """Write mean map and agreement: a table of features, volumes as NIfTI, images as arrays."""
    mean, spread, icc = found.maps.mean(axis=0), found.maps.std(axis=0, ddof=1), found.icc
    if found.features:
        table = pd.DataFrame({"feature": found.features, "map": mean, "sd_over_fits": spread, "icc": icc})
        folder.write(
            f"{name}-features", csv=table.sort_values("map", key=abs, ascending=False, kind="stable")
        )
    elif (grid := test.grid) is not None:
        for what, values in (("map", mean), ("icc", np.nan_to_num(icc))):
            write_volume(folder.path / f"{name}-{what}.nii.gz", grid.back(values[0]), grid)
    else:
        write_arrays(folder.path / f"{name}-maps.npz", {"map": mean, "sd_over_fits": spread, "icc": icc})
