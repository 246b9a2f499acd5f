"""What a benchmark leaves to read: tables in Markdown and LaTeX, differences, and contenders side by side."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd

from sepvae.benchmark.cells import CODES, Cell, read_cell_codes
from sepvae.benchmark.evidence import write_associations, write_intervals
from sepvae.codes import Kind, Space
from sepvae.errors import DataError
from sepvae.evaluation.differences import difference_over_runs, paired_bootstrap
from sepvae.evaluation.separation import variance_ratio
from sepvae.files import write_whole
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
from sepvae.runs.drawing import save_figure
from sepvae.runs.folder import write_table

OWN = "own"  # App. D: SepVAE's own classifier, an independent network for the others
Kinds = Mapping[str, Kind]
Codes = Mapping[str, pd.DataFrame]  # of each contender, from its first cell


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
    Write tables and `figures/` beside `results.csv`.

    The tables are `table.md` and `.tex`, `intervals.csv` and `.md`, `differences.csv` and `.md` and, where
    there are clinical scores, `associations.csv`, `.md` and `.tex`.

    Parameters
    ----------
    results : DataFrame
        As `run_benchmark` gives them.
    cells : sequence of Cell
        All of the benchmark.
    out : Path
        Its folder.
    columns : sequence of ScoreColumn
        Of the table; a probe "own" is App. D's.
    background : str
        Its label.
    kinds : mapping
        "categorical" or "continuous" for each attribute.
    adjust_for : sequence of str, default=()
        Covariates of the partial correlation with clinical scores.
    left_out : str, default=None
        The attribute by whose values folds are made, if they are.

    Returns
    -------
    str
        The table in Markdown.
    """
    by_classifier = results["probe"].isin(["own classifier", "mlp"])
    results = results.assign(probe=results["probe"].where(~by_classifier, OWN))
    table = benchmark_table(results, columns, left_out=left_out)
    in_markdown = to_markdown(table)
    write_whole(out / "table.md", in_markdown + "\n")
    write_whole(out / "table.tex", to_latex(table) + "\n")
    write_intervals(results, columns, out)
    firsts = _firsts(cells, out)
    codes = {name: read_cell_codes(folder, kinds) for name, folder in firsts.items()}
    pairs = _differences(results, cells, codes, columns, kinds)
    if pairs:
        rows = [{"score": p.column.title, "a": p.a, "b": p.b, **p.difference._asdict()} for p in pairs]
        write_table(out / "differences.csv", pd.DataFrame(rows))
        write_whole(out / "differences.md", difference_table(pairs) + "\n")
    if codes:
        write_associations(cells, out, next(iter(codes.values())), adjust_for=adjust_for, kinds=kinds)
        _draw(out, firsts, codes, columns, background)
    return in_markdown


def _differences(
    results: pd.DataFrame,
    cells: Sequence[Cell],
    codes: Codes,
    columns: Sequence[ScoreColumn],
    kinds: Kinds,
) -> list[ComparedPair]:
    """The first contender beside each other one: over seeds or folds, and over test groups within one fit."""
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
    """Of linear probes: their difference on resampled test groups, in the first seed (and fold) of both."""
    if column.probe != "linear" or first not in codes or other not in codes:
        return []
    question = column.attribute, column.population, cast(Space, column.space), column.metric
    try:
        difference = paired_bootstrap(codes[first], codes[other], *question, kinds=kinds)
    except DataError:  # too few of one class in this part of the data: the table has no score of it either
        return []
    return [ComparedPair(column, first, other, difference)]


def _draw(
    out: Path, firsts: dict[str, Path], codes: Codes, columns: Sequence[ScoreColumn], background: str
) -> None:
    """The paper's Fig. 4 and Fig. 3, contender beside contender, each with its first seed."""
    attributes = [column.attribute for column in columns if column.attribute not in ("", "label")]
    color = attributes[0] if attributes else "label"
    tests = {name: table[table["split"] == "test"] for name, table in codes.items()}
    ratios = {name: variance_ratio(table, "salient") for name, table in tests.items()}
    save_figure(out, "salient_spaces", salient_scatters(tests, color, ratios=ratios))
    examples = {}
    for contender, folder in firsts.items():
        with np.load(folder / "examples.npz", allow_pickle=False) as arrays:
            examples[contender] = {name: arrays[name] for name in arrays.files}
    if all(arrays["inputs"].ndim == 4 for arrays in examples.values()):
        save_figure(out, "reconstructions", reconstruction_columns(examples, background=background))


def _firsts(cells: Sequence[Cell], out: Path) -> dict[str, Path]:
    """Folder of the first cell of each contender, if it has codes: the same seed and fold for all."""
    seed, fold = cells[0].seed, cells[0].fold
    folders = {
        cell.contender.name: out / "cells" / cell.name
        for cell in cells
        if (cell.seed, cell.fold) == (seed, fold)
    }
    return {name: folder for name, folder in folders.items() if (folder / CODES).is_file()}
