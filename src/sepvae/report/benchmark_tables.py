"""Benchmark results as tables like the paper's: one row per contender, the best score bold."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import TYPE_CHECKING, Literal

import numpy as np

from sepvae.report import table_text

if TYPE_CHECKING:
    import pandas as pd

    from sepvae.evaluation.differences import Difference

PIXELS = "pixels"  # the contender that probes the input itself
RANKS = "Best mean bold, second underlined, whether clear of chance and of each other or not."
RUN = ["contender", "seed", "fold"]  # key of a run in the results


@dataclass(frozen=True)
class ScoreColumn:
    """
    Score in one column of a table; "" selects rows where a field is empty.

    `better` is the wanted direction: a common attribute should score low from the salient space.
    """

    title: str
    attribute: str
    population: str
    space: str
    metric: str
    probe: str
    better: Literal["high", "low"]


@dataclass(frozen=True)
class TableCell:
    """Mean and standard deviation (ddof 1; NaN for one run) of n scores, and the rank of the mean."""

    mean: float = math.nan
    std: float = math.nan
    n: int = 0
    rank: Literal["", "best", "second"] = ""


@dataclass(frozen=True)
class BenchmarkTable:
    """Rows of chance, contenders and pixels, with one cell per column, and a footnote."""

    columns: tuple[ScoreColumn, ...]
    chance: list[TableCell]
    contenders: dict[str, list[TableCell]]
    pixels: list[TableCell] | None
    note: str


@dataclass(frozen=True)
class ComparedPair:
    """Difference of one score table_text.between two contenders, a minus b."""

    column: ScoreColumn
    a: str
    b: str
    difference: "Difference"


def benchmark_table(
    results: "pd.DataFrame", columns: Sequence[ScoreColumn], *, left_out: str | None = None
) -> BenchmarkTable:
    """
    Aggregate the runs of each contender, and rank the contenders in each column.

    Means are ranked before rounding, ties share a rank, and neither chance nor pixels has one. `left_out` is
    the attribute whose values define the folds; it has no score.

    >>> import pandas as pd
    >>> results = pd.DataFrame({"contender": list("AABB"), "seed": [0, 1, 0, 1], "fold": None})
    >>> results = results.assign(attribute="sex", population="all", space="salient", metric="auc")
    >>> results = results.assign(probe="linear", score=[0.8, 0.9, 0.6, 0.7], chance=0.5, error=None)
    >>> column = ScoreColumn("Sex AUC", "sex", "all", "salient", "auc", "linear", "low")
    >>> print(to_markdown(benchmark_table(results, [column])))  # doctest: +ELLIPSIS
    |  | Sex AUC ↓ |
    |---|---|
    | chance | 50.00 |
    | A | <u>85.00 ± 7.07</u> |
    | B | **65.00 ± 7.07** |
    <BLANKLINE>
    Mean ± standard deviation over runs. Accuracy and AUC in percent. Runs: 2 each. Failed cells: none. ...
    """
    names = [name for name in results["contender"].unique().tolist() if name != PIXELS]
    chance: list[TableCell] = []
    by_column: list[dict[str, TableCell]] = []
    for column in columns:
        rows = score_rows(results, column)
        chance.append(TableCell(mean=float(rows.drop_duplicates(["seed", "fold"])["chance"].mean())))
        scores = {name: part["score"].tolist() for name, part in rows.groupby("contender")}
        cells = _ranked({name: _cell(scores.get(name, [])) for name in names}, column)
        by_column.append(cells | {PIXELS: _cell(scores.get(PIXELS, []))})
    contenders = {name: [cells[name] for cells in by_column] for name in names}
    pixels = [cells[PIXELS] for cells in by_column] if (results["contender"] == PIXELS).any() else None
    note = _note(results, columns, contenders)
    if left_out in [column.attribute for column in columns]:
        note += f" No score of {left_out}: all samples that a fold tests have one value of it."
    return BenchmarkTable(tuple(columns), chance, contenders, pixels, note)


def score_rows(results: "pd.DataFrame", column: ScoreColumn) -> "pd.DataFrame":
    """Return the rows of a column's score, one per run; rows of pixels match whatever their space."""
    chosen = results["score"].notna()
    for name in ("attribute", "population", "metric", "probe"):
        chosen &= _reads(results[name], getattr(column, name))
    chosen &= _reads(results["space"], column.space) | (results["contender"] == PIXELS)
    return results[chosen]


def to_markdown(table: BenchmarkTable) -> str:
    """Return a table in Markdown: best in bold, second underlined, with a footnote."""
    forms = {"": "{}", "best": "**{}**", "second": "<u>{}</u>"}
    rows = [[name, *(forms[cell.rank].format(text) for cell, text in cells)] for name, cells in _texts(table)]
    return table_text.markdown_table(["", *_headers(table)], rows, table.note)


def to_latex(table: BenchmarkTable) -> str:
    r"""Return a table in LaTeX (package booktabs): best in \textbf, second in \underline, with a footnote."""
    forms = {"": "{}", "best": r"\textbf{{{}}}", "second": r"\underline{{{}}}"}
    rows = []
    for name, cells in _texts(table):
        texts = [forms[cell.rank].format(table_text.latex_number(text)) for cell, text in cells]
        rows.append([name.translate(table_text.LATEX), *texts])
    headers = ["", *(name.translate(table_text.LATEX) for name in _headers(table))]
    return table_text.latex_table(headers, rows, table.note.translate(table_text.LATEX))


def difference_table(pairs: Sequence[ComparedPair]) -> str:
    """Return differences between contenders as a Markdown table with a footnote."""
    rows = []
    for pair in pairs:
        found, column = pair.difference, pair.column
        low, difference, high = (
            table_text.signed(x, column.metric) for x in (found.low, found.difference, found.high)
        )
        name, contenders = table_text.header(column.title, column.better), f"{pair.a} minus {pair.b}"
        rows.append([name, contenders, difference, table_text.between(low, high), found.kind])
    percent = table_text.percent_note([pair.column.metric for pair in pairs], "percentage points")
    names = ["score", "contenders", "difference", "95 % interval", "kind"]
    return table_text.markdown_table(names, rows, f"The arrow says which way is better. {percent}".rstrip())


def _reads(values: "pd.Series", wanted: str) -> "pd.Series":
    return values == wanted if wanted else values.isna() | (values == "")


def _cell(scores: list[float]) -> TableCell:
    if not scores:
        return TableCell()
    with np.errstate(invalid="ignore"):  # the deviation of infinite scores is NaN
        std = float(np.std(scores, ddof=1)) if len(scores) > 1 else math.nan
    return TableCell(fmean(scores), std, len(scores))  # fmean: ties do not depend on the order of a sum


def _ranked(cells: dict[str, TableCell], column: ScoreColumn) -> dict[str, TableCell]:
    means = {cell.mean for cell in cells.values() if cell.n}
    first_two = sorted(means, reverse=column.better == "high")[:2]
    ranks: Mapping[float, Literal["best", "second"]] = dict(zip(first_two, ("best", "second"), strict=False))
    return {name: replace(cell, rank=ranks.get(cell.mean, "")) for name, cell in cells.items()}


def _note(
    results: "pd.DataFrame", columns: Sequence[ScoreColumn], contenders: dict[str, list[TableCell]]
) -> str:
    """Return the footnote: content of the cells, number of runs, failed and collapsed runs."""
    has_failed = ~_reads(results["error"], "")
    finished = results[~has_failed].drop_duplicates(RUN)["contender"].value_counts()
    runs = {name: int(finished.get(name, 0)) for name in contenders}
    failed = [_run_name(*run) for run in results.loc[has_failed, RUN].drop_duplicates().to_numpy().tolist()]
    fewer = [
        f"{name}, {column.title}: {cell.n}"
        for name, cells in contenders.items()
        for column, cell in zip(columns, cells, strict=True)
        if 0 < cell.n < runs[name]
    ]
    same = f"{next(iter(runs.values()), 0)} each" if len(set(runs.values())) < 2 else ""
    sentences = [
        "Mean ± standard deviation over runs." if max(runs.values(), default=0) > 1 else "",
        table_text.percent_note([column.metric for column in columns], "percent"),
        f"Runs: {same or ', '.join(f'{name} {n}' for name, n in runs.items())}.",
        f"Scores of fewer runs: {'; '.join(fewer)}." if fewer else "",
        f"Failed cells: {'; '.join(failed) or 'none'}.",
        f"No salient dimension in use, so that scores of salient say little: {'; '.join(collapsed)}."
        if (collapsed := _collapsed(results))
        else "",
        RANKS if len(contenders) > 1 else "",
    ]
    return " ".join(filter(None, sentences))


def _collapsed(results: "pd.DataFrame") -> list[str]:
    """Return the runs whose salient means do not vary over targets."""
    rows = results[_reads(results["metric"], "active_units") & _reads(results["space"], "salient")]
    return [_run_name(*run) for run in rows.loc[rows["score"] == 0, RUN].to_numpy().tolist()]


def _run_name(contender: str, seed: float | None, fold: float | None) -> str:
    known = [(name, value) for name, value in (("seed", seed), ("fold", fold)) if value is not None]
    return " ".join([contender, *(f"{name} {value:.0f}" for name, value in known if not math.isnan(value))])


def _headers(table: BenchmarkTable) -> list[str]:
    return [table_text.header(column.title, column.better) for column in table.columns]


def _texts(table: BenchmarkTable) -> Iterator[tuple[str, list[tuple[TableCell, str]]]]:
    """Yield the name of each row, with its cells and their text."""
    last = [] if table.pixels is None else [(PIXELS, table.pixels)]
    for name, cells in [("chance", table.chance), *table.contenders.items(), *last]:
        metrics = zip(cells, (column.metric for column in table.columns), strict=True)
        yield name, [(cell, table_text.score_text(cell.mean, cell.std, metric)) for cell, metric in metrics]
