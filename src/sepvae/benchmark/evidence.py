"""Intervals of a benchmark's means, and associations of its predictions with clinical scores."""

from collections.abc import Mapping, Sequence

import pandas as pd

from sepvae.benchmark.cells import Cell, read_predictions
from sepvae.benchmark.folder import BenchmarkFolder
from sepvae.codes import Kind
from sepvae.errors import DataError
from sepvae.evaluation.correlations import clinical_associations, clinical_scores
from sepvae.evaluation.differences import Difference, mean_over_runs
from sepvae.report.benchmark_tables import (
    ScoreColumn,
    ScoreInterval,
    association_latex,
    association_table,
    interval_table,
    score_rows,
)


def write_intervals(results: pd.DataFrame, columns: Sequence[ScoreColumn], out: BenchmarkFolder) -> None:
    """
    Write `intervals.csv` and `intervals.md`: each mean of the table with its 95 % interval and chance.

    The interval is over folds. Without folds it is over test groups, with bounds averaged over the seeds.
    """
    names = results["contender"].unique().tolist()
    found = []
    for column in columns:
        rows = score_rows(results, column)
        for name in names:
            runs = rows[rows["contender"] == name]
            if len(runs):
                chance = float(runs["chance"].mean())
                found.append(ScoreInterval(column, name, chance, _mean_with_interval(runs)))
    if found:
        table = [
            {"score": f.column.title, "contender": f.contender, "chance": f.chance, "mean": f.mean.difference}
            | {"low": f.mean.low, "high": f.mean.high, "kind": f.mean.kind}
            for f in found
        ]
        out.write("intervals", csv=pd.DataFrame(table), md=interval_table(found))


def write_associations(
    cells: Sequence[Cell],
    out: BenchmarkFolder,
    about: pd.DataFrame,
    *,
    adjust_for: Sequence[str],
    kinds: Mapping[str, Kind],
) -> None:
    """
    Write `associations.csv`, `.md` and `.tex` if the data have clinical scores; skip cells without codes.

    `about` has id, group, y and attributes of all samples, such as the codes of any cell.
    """
    scores = clinical_scores(about, kinds)
    tables = []
    for cell in cells if scores else ():
        folder = out.cell(cell.name, kinds)
        if folder.codes.exists() and len(found := read_predictions(folder)):
            tables.append(found.assign(contender=cell.contender.name, seed=cell.seed))
    if not tables:
        return
    try:
        associations = clinical_associations(
            pd.concat(tables, ignore_index=True), about, scores=scores, adjust_for=adjust_for, kinds=kinds
        )
    except DataError as error:  # the other tables are still written
        out.write("associations", md=f"No associations with clinical scores: {error}")
        return
    if len(associations):
        markdown = association_table(associations, adjust_for)
        latex = association_latex(associations, adjust_for)
        out.write("associations", csv=associations, md=markdown, tex=latex)


def _mean_with_interval(runs: pd.DataFrame) -> Difference:
    found, bounds = mean_over_runs(runs), runs[["low", "high"]].mean()
    # Seeds share one test part: their spread does not measure how much the choice of test groups matters.
    if runs["fold"].notna().any() or bounds.isna().any():
        return found
    kind = "bootstrap over test groups" + f", mean of {len(runs)} seeds" * (len(runs) > 1)
    return Difference(found.difference, float(bounds["low"]), float(bounds["high"]), kind)
