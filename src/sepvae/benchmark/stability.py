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
from sepvae.benchmark.consensus import write_consensus
from sepvae.benchmark.folder import BenchmarkFolder, States
from sepvae.benchmark.running import make_cells, run_benchmark
from sepvae.codes import Kind
from sepvae.data.nifti import write_volume
from sepvae.data.surfaces import write_surface
from sepvae.errors import DataError, TrainingError
from sepvae.evaluation.agreement import PeopleByFits, check_held_out, compare_fits, correlations
from sepvae.evaluation.patient_sheet import centiles_over_seeds
from sepvae.files import plain_name, write_arrays
from sepvae.interpretation.map_folder import can_map
from sepvae.interpretation.maps import SalientMaps
from sepvae.interpretation.tested_values import voxels_to_test
from sepvae.mesh import Mesh
from sepvae.methods import load
from sepvae.methods.base import ContrastiveEstimator
from sepvae.plotting.stability import stability_figure
from sepvae.progress import Progress, Say, silence, stage
from sepvae.registry import find_method
from sepvae.run_folder import REPRODUCED, surface_files
from sepvae.runs.figures import save_figure


class FitMaps(NamedTuple):
    """Group maps of several fits, (fits, ...), in units of the networks, and their agreement, (...)."""

    maps: AnyArray
    icc: AnyArray  # NaN where no map varies
    valid: AnyArray  # (...), whether any fit adds anything there: not in air, nor beyond a mask
    features: Sequence[str]  # names of the columns of a table, else empty


def make_fits(contenders: Sequence[Contender], seeds: int = 5, bootstraps: int = 0) -> list[Cell]:
    """
    Return the fits of `run_stability`: of seeds 0, 1, .., and of seed 0 on resampled training people.

    A fit of seed s is that of `sepvae fit --set random_state=s`: it has the validation part of the method's
    default, which a benchmark leaves out. DataError is raised without two seeds or two bootstraps to compare,
    or for a single bootstrap.
    """
    if max(seeds, bootstraps) < 2 or bootstraps == 1:
        got = f"got --seeds {seeds} and --bootstraps {bootstraps}"
        raise DataError(f"fits: {got}; wanted 2 or more of one, and no single bootstrap")
    as_fitted = []
    for c in contenders:
        defaults = find_method(c.method)().get_params()
        part = {name: defaults[name] for name in ("validation_fraction",) if name in defaults}
        as_fitted.append(replace(c, keywords=part | dict(c.keywords)))
    resamples = [Cell(c, 0, bootstrap=b + 1) for b in range(bootstraps) for c in as_fitted]
    return make_cells(as_fitted, range(seeds), 1) + resamples


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
    Run the missing fits as cells of a benchmark, and compare seeds, and bootstraps, of each contender.

    Parameters
    ----------
    fits : sequence of Cell
        Fits as `make_fits` creates them.
    train, test : Source
        Training people, and the held-out people on whom fits are compared.
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
    DataError, RunFolderError
        If there are too few held-out targets; if the folder holds other fits.

    Examples
    --------
    >>> from sepvae.benchmark import parse_contender
    >>> fits = make_fits([parse_contender("SepVAE")], seeds=2)
    >>> [fit.name for fit in fits]
    ['SepVAE-default-seed0', 'SepVAE-default-seed1']
    >>> how = {"background": "control", "kinds": {}}
    >>> table = run_stability(fits, train, test, "stability", **how)  # doctest: +SKIP
    """
    check_held_out(int(_is_target(test, background).sum()))  # before long fits
    folder = BenchmarkFolder(out)
    how: dict[str, Any] = {"recipe": recipe, "background": background, "kinds": kinds, "jobs": jobs}
    results = run_benchmark(fits, [(train, test)], out, **how, threads=threads, baseline=False, watch=watch)
    if len(failed := results["error"].dropna()):
        raise TrainingError(f"{len(failed)} of {len(fits)} fits failed, such as: {failed.iloc[0]}")
    apart: dict[tuple[str, str], list[Cell]] = {}  # seeds and bootstraps of each contender
    for fit in fits:
        apart.setdefault((fit.contender.name, "bootstraps" if fit.bootstrap else "seeds"), []).append(fit)
    tables, alone = {}, len({contender for contender, _ in apart}) == 1
    for (contender, of), some in apart.items():
        if len(some) > 1:
            name = f"stability-{of}" if alone else f"stability-{of}-{plain_name(contender)}"
            with stage(f"comparing {len(some)} {of} of {contender}", say) as progress:
                tables[contender, of] = _compare(folder, some, test, name, progress)
    found = pd.concat(tables, names=["contender", "of"]).droplevel(2).reset_index()
    folder.write("stability", csv=found)
    return found


def most_central(table: pd.DataFrame) -> int:
    """Return the seed whose fit agrees best with the others; of several contenders, of the first."""
    return int(table.query("measure == 'central' and of == 'seeds'")["first"].iloc[0].split()[1])


def _compare(
    folder: BenchmarkFolder, cells: Sequence[Cell], test: Source, name: str, progress: Progress
) -> pd.DataFrame:
    """Compare the fits of some cells; write their consensus subtypes, maps and figures under this name."""
    names = [f"bootstrap {c.bootstrap}" if c.bootstrap else f"seed {c.seed}" for c in cells]
    folders = [folder.cell(cell.name) for cell in cells]
    codes = [read_codes(cell) for cell in folders]
    consensus = write_consensus(folder, name, codes, [cell.bootstrap for cell in cells], progress)
    if not cells[0].bootstrap and len(centiles := centiles_over_seeds(codes)):
        folder.write(f"{name}-people", csv=centiles)
    table = compare_fits(dict(zip(names, codes, strict=True)))
    table = pd.concat([table, consensus], ignore_index=True)
    if (maps := _maps([load(cell.model) for cell in folders], test)) is not None:
        table = pd.concat([table, _map_rows(maps, names)], ignore_index=True)
        _write_maps(folder, maps, test, name)
    drawn = () if maps is None else (maps.maps.mean(axis=0), maps.icc, maps.features)
    save_figure(folder.figures, name, stability_figure(table, *drawn))
    return table


def _maps(models: Sequence[ContrastiveEstimator], test: Source) -> FitMaps | None:
    """Return what the salient part adds to held-out targets by each fit; None without a decoder or place."""
    if not can_map(models[0], test):
        return None
    every = [SalientMaps(model, test) for model in models]
    first, found, target = every[0], PeopleByFits(len(models)), _is_target(test, models[0].background_)
    for parts in zip(*every, strict=True):
        rows = parts[0][0]
        unit = first.unit if first.grid is None else first.unit[rows]
        scale = np.where(unit == 0, 1, unit)
        found.add(np.stack([maps.added / scale for _, maps in parts]), target[rows])
    maps, icc = found.group_maps(), found.icc()
    inside = None if first.grid is None else voxels_to_test(first)
    if inside is not None:  # voxels of air would agree, and there are many
        maps, icc = maps * inside, np.where(inside, icc, np.nan)
    features = first.feature_names if len(test.sample_shape) == 1 else ()
    return FitMaps(maps, icc, np.asarray(maps.any(axis=0)), features)


def _is_target(source: Source, background: Any) -> AnyArray:
    """Return which samples are targets, (n,)."""
    return np.asarray(np.asarray(source.labels).astype(str) != str(background))


def _map_rows(found: FitMaps, fits: Sequence[str]) -> pd.DataFrame:
    """Return the rows of `stability.csv` on maps: independent ones have a correlation of 0 on average."""
    inside, icc = found.maps[:, found.valid], np.nan_to_num(found.icc[found.valid])
    pairs = combinations(zip(fits, inside, strict=True), 2)
    rows = [("map", a, b, correlations(x[:, None], y[:, None])[0]) for (a, x), (b, y) in pairs]
    rows += [("map", "", "", np.mean([row[3] for row in rows])), ("map icc", "", "", icc.mean())]
    rows += [("map share", "", "", np.mean(icc >= REPRODUCED))]
    table = pd.DataFrame(rows, columns=["measure", "first", "second", "score"])
    return table.assign(space="salient", chance=0.0)


def _write_maps(folder: BenchmarkFolder, found: FitMaps, test: Source, name: str) -> None:
    """Write mean map and agreement: a table of features, volumes as NIfTI, images as arrays."""
    mean, spread, icc = found.maps.mean(axis=0), found.maps.std(axis=0, ddof=1), found.icc
    arrays = {"map": mean, "sd_over_fits": spread, "icc": icc}
    if (mesh := Mesh.of_features(found.features)) is not None:
        for what, values in (("map", mean), ("icc", np.nan_to_num(icc))):
            write_surface(surface_files(folder.path, f"{name}_desc-{what}"), mesh.back(values))
    elif found.features:
        table = pd.DataFrame({"feature": found.features} | arrays)
        table = table.sort_values("map", key=abs, ascending=False, kind="stable")
        folder.write(f"{name}-features", csv=table)
    elif (grid := test.grid) is not None:
        for what, values in (("map", mean), ("icc", np.nan_to_num(icc))):
            write_volume(folder.path / f"{name}-{what}.nii.gz", grid.back(values[0]), grid)
    else:
        write_arrays(folder.path / f"{name}-maps.npz", arrays)
