"""Consensus subtypes of seeds, bootstraps or folds: a table of patients, a figure, a row of scores."""

from collections.abc import Sequence
from functools import partial, reduce

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from sepvae.batch import AnyArray
from sepvae.benchmark.cells import Cell, read_codes, resample_counts
from sepvae.benchmark.folder import BenchmarkFolder
from sepvae.codes import code_columns
from sepvae.evaluation.clusters import MIN_PEOPLE
from sepvae.evaluation.consensus import Consensus, find_consensus, together
from sepvae.files import plain_name
from sepvae.plotting.subtypes import consensus_figure
from sepvae.progress import Progress, progress_bar
from sepvae.report.stability import consensus_line
from sepvae.runs.figures import save_figure
from sepvae.runs.subtyping import Patients

MOST = 1000  # patients in the figure


def write_consensus_of_folds(cells: Sequence[Cell], out: BenchmarkFolder) -> list[str]:
    """Write the subtypes on which all folds and seeds of a contender agree; return a line on each."""
    lines = []
    for name in dict.fromkeys(cell.contender.name for cell in cells if cell.fold is not None):
        fits = [cell for cell in cells if cell.contender.name == name and out.cell(cell.name).codes.exists()]
        tables = [read_codes(out.cell(cell.name)).set_index("id") for cell in fits]
        if len({cell.fold for cell in fits}) < 2 or not all(table.index.is_unique for table in tables):
            continue  # fits of one fold alone would judge people whom they learnt from
        shared = reduce(pd.Index.intersection, [table.index for table in tables])
        codes = [table.loc[shared].reset_index() for table in tables]
        with progress_bar(f"consensus subtypes of {name}") as progress:
            row = write_consensus(out, f"folds-{plain_name(name)}", codes, progress=progress)
        lines += [f"{name}, {len(codes)} fits: {consensus_line(one)}" for one in row.to_dict("records")]
    return lines


def write_consensus(
    folder: BenchmarkFolder,
    name: str,
    codes: Sequence[pd.DataFrame],
    bootstraps: Sequence[int] = (),
    progress: Progress | None = None,
) -> pd.DataFrame:
    """
    Write NAME-consensus.csv and its figure, and return a row for `stability.csv`.

    `codes` are tables such as `codes.csv` of the same samples, one for each fit, and `bootstraps` the number
    of the resample that it learnt from, 0 for all training people. Without them the fits are of folds: the
    tables differ in their split, and no figure is drawn, since few pairs of people are held out together.
    The row is left out with fewer than 30 patients to learn from, or codes that do not vary.
    """
    ill = (codes[0]["y"] == 1).to_numpy()
    samples = codes[0][ill].reset_index(drop=True)
    of_fits = [
        Patients.of(samples, table.loc[ill, code_columns(table, "salient")].to_numpy(float))
        for table in codes
    ]
    names = samples["group"].astype(str).groupby(of_fits[0].person).first().to_numpy(str)
    numbers = bootstraps or [0] * len(codes)
    learnt = np.stack([np.isin(names, _learnt_from(*fit)) for fit in zip(codes, numbers, strict=True)])
    features = [of_fit.features for of_fit in of_fits]
    varies = (x[who].var(axis=0).any() for x, who in zip(features, learnt, strict=True))
    if learnt.sum(axis=1).min() < MIN_PEOPLE or not all(varies):
        return pd.DataFrame()
    found = find_consensus(features, learnt, progress=progress)
    table = _table(found, of_fits[0])
    folder.write(f"{name}-consensus", csv=table if bootstraps else table.drop(columns="split"))
    if bootstraps:
        save_figure(folder.figures, f"{name}-consensus", _figure(found))
    row = {"space": "salient", "measure": f"consensus, {found.n_clusters}", "first": "", "second": ""}
    return pd.DataFrame([row | {"score": found.agreement, "chance": 0.0, "p_value": found.p_value}])


def _learnt_from(codes: pd.DataFrame, bootstrap: int) -> AnyArray:
    """Return the people whom a fit learnt from, one name a training sample: all, or those of a resample."""
    groups = codes.loc[codes["split"] != "test", "group"].astype(str).to_numpy(str)
    return np.asarray(groups[resample_counts(groups, bootstrap) > 0] if bootstrap else groups)


def _table(found: Consensus, patients: Patients) -> pd.DataFrame:
    """Return subtype, share and number of fits of each sample; without a consensus all are of subtype 1."""
    of_sample = partial(np.take, indices=patients.person)
    fits = of_sample((found.votes >= 0).sum(axis=1))
    table = patients.samples[["id", "split"]]
    if not found.found:
        return table.assign(subtype=1, share=np.nan, fits=fits)
    subtype = pd.Series(of_sample(found.subtype) + 1, dtype="Int64")
    return table.assign(subtype=subtype.where(subtype > 0), share=of_sample(found.share).round(4), fits=fits)


def _figure(found: Consensus) -> Figure:
    """Draw whom fits keep together; within a subtype, those whom most fits place there come first."""
    order = np.lexsort((-np.nan_to_num(found.share), found.subtype))
    order = order[found.subtype[order] >= 0]
    order = order[:: max(1, -(-len(order) // MOST))]
    verdict = f"{found.n_clusters} consensus subtypes" if found.found else "No consensus subtypes"
    title = f"{verdict}: {found.votes.shape[1]} fits agree by {found.agreement:.2f}"
    return consensus_figure(together(found.votes[order].T), found.subtype[order] + 1, title)
