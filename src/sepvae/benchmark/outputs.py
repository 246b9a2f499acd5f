"""Readable results of a benchmark: tables, intervals, differences, clinical associations and figures."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import pandas as pd

from sepvae.benchmark.cells import Cell, read_codes, read_predictions
from sepvae.benchmark.consensus import write_consensus_of_folds
from sepvae.benchmark.folder import BenchmarkFolder, CellFolder
from sepvae.codes import Kind
from sepvae.errors import DataError
from sepvae.evaluation.correlations import clinical_associations, clinical_scores
from sepvae.evaluation.differences import Difference, difference_over_runs, mean_over_runs, paired_bootstrap
from sepvae.evaluation.scores import PROBED, variance_ratio
from sepvae.plotting.contenders import reconstruction_columns, salient_scatters
from sepvae.recipes.recipe import ScoreColumn
from sepvae.report.benchmark_tables import (
    ComparedPair,
    ScoreInterval,
    association_latex,
    association_table,
    benchmark_table,
    difference_table,
    interval_table,
    score_rows,
    to_latex,
    to_markdown,
)
from sepvae.runs.figures import save_figure

OWN = "own"  # App. D: SepVAE's own classifier, a separate network for other methods
Kinds = Mapping[str, Kind]
Codes = Mapping[str, pd.DataFrame]  # by contender, from its first cell


def write_outputs(
    results: pd.DataFrame,
    cells: Sequence[Cell],
    out: Path,
    columns: Sequence[ScoreColumn],
    *,
    background: str,
    kinds: Kinds,
    adjust_for: Sequence[str] = (),  # covariates of partial correlations with clinical scores
    left_out: str | None = None,  # attribute whose values define the folds
) -> str:
    """Write figures and tables next to `results.csv`; return scores and consensus subtypes in Markdown."""
    results = results.assign(probe=results["probe"].replace(["own classifier", "mlp"], OWN))
    table = benchmark_table(results, columns, left_out=left_out)
    in_markdown = to_markdown(table)
    folder = BenchmarkFolder(out)
    folder.write("table", md=in_markdown, tex=to_latex(table))
    write_intervals(results, columns, folder)
    firsts = _firsts(cells, folder, kinds)
    codes = {name: read_codes(cell) for name, cell in firsts.items()}
    pairs = _differences(results, cells, codes, columns, kinds)
    if pairs:
        rows = [{"score": p.column.title, "a": p.a, "b": p.b, **p.difference._asdict()} for p in pairs]
        folder.write("differences", csv=pd.DataFrame(rows), md=difference_table(pairs))
    if codes:
        write_associations(cells, folder, next(iter(codes.values())), adjust_for=adjust_for, kinds=kinds)
        _draw(folder.figures, firsts, codes, columns, background)
    if lines := write_consensus_of_folds(cells, folder):
        folder.write("consensus", md="\n".join(f"- {line}" for line in lines))
    return "\n".join([in_markdown, *lines])


def _differences(
    results: pd.DataFrame, cells: Sequence[Cell], codes: Codes, columns: Sequence[ScoreColumn], kinds: Kinds
) -> list[ComparedPair]:
    """Compare the first contender with each other, over seeds or folds and over test groups of one fit."""
    first, *others = dict.fromkeys(cell.contender.name for cell in cells)
    pairs = []
    for column in columns:
        rows = score_rows(results, column)
        for other in others:
            of_first, of_other = (rows[rows["contender"] == name] for name in (first, other))
            if not len(of_first) or not len(of_other):
                continue
            if len(of_first) > 1:
                over_runs = difference_over_runs(of_first, of_other)
                pairs.append(ComparedPair(column, first, other, over_runs))
            if column.probe_of_rows == "linear" and column.space in PROBED and {first, other} <= codes.keys():
                question = column.attribute, column.population, column.space, column.metric
                with suppress(DataError):  # too few samples of a class: the table has no score either
                    within = paired_bootstrap(codes[first], codes[other], *question, kinds=kinds)
                    pairs.append(ComparedPair(column, first, other, within))
    return pairs


def _draw(
    figures: Path,
    firsts: dict[str, CellFolder],
    codes: Codes,
    columns: Sequence[ScoreColumn],
    background: str,
) -> None:
    """Draw Fig. 4 and Fig. 3 of the paper for all contenders, each with its first seed."""
    attributes = [column.attribute for column in columns if column.attribute not in ("", "label")]
    color = attributes[0] if attributes else "label"
    tests = {name: table[table["split"] == "test"] for name, table in codes.items()}
    ratios = {name: variance_ratio(table, "salient") for name, table in tests.items()}
    save_figure(figures, "salient_spaces", salient_scatters(tests, color, ratios=ratios))
    examples = {contender: folder.examples.required() for contender, folder in firsts.items()}
    examples = {contender: arrays for contender, arrays in examples.items() if "full" in arrays}
    if examples and all(arrays["inputs"].ndim == 4 for arrays in examples.values()):
        save_figure(figures, "reconstructions", reconstruction_columns(examples, background=background))


def _firsts(cells: Sequence[Cell], out: BenchmarkFolder, kinds: Kinds) -> dict[str, CellFolder]:
    """Return the folder of each contender's first cell, if it has codes: the same seed and fold for all."""
    seed, fold = cells[0].seed, cells[0].fold
    folders = {
        cell.contender.name: out.cell(cell.name, kinds)
        for cell in cells
        if (cell.seed, cell.fold) == (seed, fold)
    }
    return {name: folder for name, folder in folders.items() if folder.codes.exists()}


def write_intervals(results: pd.DataFrame, columns: Sequence[ScoreColumn], out: BenchmarkFolder) -> None:
    """Write each mean of the table with chance and its 95 % interval, over folds, else over test groups."""
    names = results["contender"].unique().tolist()
    found = []
    for column in columns:
        rows = score_rows(results, column)
        for name in names:
            if len(runs := rows[rows["contender"] == name]):
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
    kinds: Kinds,
) -> None:
    """Write associations with clinical scores, if any; `about` are samples and attributes, as in codes."""
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
