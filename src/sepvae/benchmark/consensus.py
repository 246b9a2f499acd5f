"""Consensus subtypes of the fits of `run_stability`: a table of patients, a figure, a row of scores."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from sepvae.benchmark.cells import resample_counts
from sepvae.benchmark.folder import BenchmarkFolder
from sepvae.codes import code_columns
from sepvae.evaluation.clusters import MIN_PEOPLE
from sepvae.evaluation.consensus import Consensus, find_consensus, together
from sepvae.plotting.subtypes import consensus_figure
from sepvae.progress import Progress
from sepvae.runs.figures import save_figure
from sepvae.runs.subtyping import Patients

MOST = 1000  # patients in the figure


def write_consensus(
    folder: BenchmarkFolder,
    name: str,
    codes: Sequence[pd.DataFrame],
    bootstraps: Sequence[int],
    progress: Progress | None = None,
) -> pd.DataFrame:
    """
    Write NAME-consensus.csv and its figure, and return a row for `stability.csv`.

    `codes` are tables such as `codes.csv` of the same samples, one for each fit, and `bootstraps` the number
    of the resample that it learnt from, 0 for all training people. The row is left out with fewer than 30
    patients to learn from, or codes that do not vary.
    """
    first = codes[0]
    ill = (first["y"] == 1).to_numpy()
    training = first.loc[first["split"] != "test", "group"].astype(str).to_numpy(str)
    samples = first[ill].reset_index(drop=True)
    of_fits = [
        Patients.of(samples, table.loc[ill, code_columns(table, "salient")].to_numpy(float))
        for table in codes
    ]
    patients = of_fits[0]
    names = samples["group"].astype(str).groupby(patients.person).first().to_numpy(str)
    learnt = np.stack(
        [np.isin(names, training[resample_counts(training, b) > 0] if b else training) for b in bootstraps]
    )
    features = [of_fit.features for of_fit in of_fits]
    varies = all(x[who].var(axis=0).any() for x, who in zip(features, learnt, strict=True))
    if learnt.sum(axis=1).min() < MIN_PEOPLE or not varies:
        return pd.DataFrame()
    found = find_consensus(features, learnt, progress=progress)
    folder.write(f"{name}-consensus", csv=_table(found, patients))
    save_figure(folder.figures, f"{name}-consensus", _figure(found))
    row = {"space": "salient", "measure": f"consensus, {found.n_clusters}", "first": "", "second": ""}
    return pd.DataFrame([row | {"score": found.agreement, "chance": 0.0, "p_value": found.p_value}])


def _table(found: Consensus, patients: Patients) -> pd.DataFrame:
    """Return subtype, share and number of fits of each sample; all are of subtype 1 without a consensus."""
    of_sample = partial(np.take, indices=patients.person)
    fits = of_sample((found.votes >= 0).sum(axis=1))
    table = patients.samples[["id", "split"]]
    if not found.found:
        return table.assign(subtype=1, share=1.0, fits=fits)
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
