"""Readable results of a benchmark: tables in Markdown and LaTeX, differences, and figures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import pandas as pd

from sepvae.benchmark.cells import Cell, read_codes
from sepvae.benchmark.evidence import write_associations, write_intervals
from sepvae.benchmark.folder import BenchmarkFolder, CellFolder
from sepvae.codes import Kind, Space
from sepvae.errors import DataError
from sepvae.evaluation.differences import difference_over_runs, paired_bootstrap
from sepvae.evaluation.scores import variance_ratio
from sepvae.plotting.contenders import reconstruction_columns, salient_scatters
from sepvae.report.benchmark_tables import (
    ComparedPair,
    ScoreColumn,
    benchmark_table,
    difference_table,
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
    adjust_for: Sequence[str] = (),
    left_out: str | None = None,
) -> str:
    """
    Write tables and `figures/` next to `results.csv`.

    The tables are `table.md` and `.tex`, `intervals.csv` and `.md`, and `differences.csv` and `.md`. Data
    with clinical scores also have `associations.csv`, `.md` and `.tex`.

    Parameters
    ----------
    results : DataFrame
        Scores as `run_benchmark` returns them.
    cells : sequence of Cell
        All cells of the benchmark.
    out : Path
        Folder of the benchmark.
    columns : sequence of ScoreColumn
        Columns of the table; probe "own" is the classifier of App. D.
    background : str
        Label of the background.
    kinds : mapping
        "categorical" or "continuous" for each attribute.
    adjust_for : sequence of str, default=()
        Covariates of the partial correlation with clinical scores.
    left_out : str, default=None
        Attribute whose values define the folds, if any.

    Returns
    -------
    str
        Table in Markdown.
    """
    by_classifier = results["probe"].isin(["own classifier", "mlp"])
    results = results.assign(probe=results["probe"].where(~by_classifier, OWN))
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
    return in_markdown


def _differences(
    results: pd.DataFrame,
    cells: Sequence[Cell],
    codes: Codes,
    columns: Sequence[ScoreColumn],
    kinds: Kinds,
) -> list[ComparedPair]:
    """Compare the first contender with each other, over seeds or folds and over test groups of one fit."""
    first, *others = dict.fromkeys(cell.contender.name for cell in cells)
    pairs = []
    for column in columns:
        rows = score_rows(results, column)
        for other in others:
            of_first, of_other = (rows[rows["contender"] == name] for name in (first, other))
            if len(of_first) and len(of_other):
                if len(of_first) > 1:
                    over_runs = difference_over_runs(of_first, of_other)
                    pairs.append(ComparedPair(column, first, other, over_runs))
                pairs += _within_one_fit(codes, column, first, other, kinds)
    return pairs


def _within_one_fit(
    codes: Codes, column: ScoreColumn, first: str, other: str, kinds: Kinds
) -> list[ComparedPair]:
    """Compare linear probes of the first seed and fold of both contenders on resampled test groups."""
    if column.probe != "linear" or first not in codes or other not in codes:
        return []
    question = column.attribute, column.population, cast(Space, column.space), column.metric
    try:
        difference = paired_bootstrap(codes[first], codes[other], *question, kinds=kinds)
    except DataError:  # too few samples of a class: the table has no score either
        return []
    return [ComparedPair(column, first, other, difference)]


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
