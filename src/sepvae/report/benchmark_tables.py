"""Results of a benchmark as tables in Markdown and LaTeX: one row per contender, or per comparison."""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import fmean
from typing import Literal

import numpy as np
import pandas as pd

from sepvae.evaluation.differences import Difference
from sepvae.recipes.recipe import ScoreColumn
from sepvae.report.scores import FROM_0_TO_1, number

PIXELS = "pixels"  # the contender that probes the input itself
RANKS = "Best mean bold, second underlined, whether clear of chance and of each other or not."
ARROW_NOTE = "The arrow says which way is better."
RUN = ["contender", "seed", "fold"]  # key of a run in the results
LEVEL = 0.05  # of the p-values of associations
MISSING = "-"
ARROWS = {"high": "\N{UPWARDS ARROW}", "low": "\N{DOWNWARDS ARROW}"}
MARKDOWN = re.compile(r"[\\|`\[]|<(?!/?u>|\s)")  # tables use <u>; it is harmless in a name
LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": "$<$",
        "\N{PLUS-MINUS SIGN}": r"$\pm$",
        ARROWS["high"]: r"$\uparrow$",
        ARROWS["low"]: r"$\downarrow$",
        **dict.fromkeys("\n\r", " "),
        **{character: f"\\{character}" for character in "_%&#${}"},
    }
)


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

    def rows(self) -> Iterator[tuple[str, list[tuple[TableCell, str]]]]:
        """Yield the name of each row, with its cells and their text."""
        last = [] if self.pixels is None else [(PIXELS, self.pixels)]
        for name, cells in [("chance", self.chance), *self.contenders.items(), *last]:
            pairs = zip(cells, self.columns, strict=True)
            yield name, [(cell, _score_text(cell.mean, column.metric, cell.std)) for cell, column in pairs]


@dataclass(frozen=True)
class ComparedPair:
    """Difference of one score between two contenders, a minus b."""

    column: ScoreColumn
    a: str
    b: str
    difference: Difference


@dataclass(frozen=True)
class ScoreInterval:
    """Mean score of a contender with its interval, and its chance level."""

    column: ScoreColumn
    contender: str
    chance: float
    mean: Difference


def benchmark_table(
    results: pd.DataFrame, columns: Sequence[ScoreColumn], *, left_out: str | None = None
) -> BenchmarkTable:
    """
    Aggregate the runs of each contender, and rank the contenders in each column.

    Means are ranked before rounding, ties share a rank, and neither chance nor pixels has one. `left_out` is
    the attribute whose values define the folds; it has no score.

    >>> results = pd.DataFrame({"contender": list("AABB"), "seed": [0, 1, 0, 1], "fold": None})
    >>> results = results.assign(attribute="sex", population="all", space="salient", metric="auc")
    >>> results = results.assign(probe="linear", score=[0.8, 0.9, 0.6, 0.7], chance=0.5, error=None)
    >>> column = {"title": "Sex AUC", "attribute": "sex", "population": "all", "space": "salient"}
    >>> column = ScoreColumn(**column, metric="auc", better="low")
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


def score_rows(results: pd.DataFrame, column: ScoreColumn) -> pd.DataFrame:
    """Return the rows of a score, one per run; "" is an empty cell. Rows of pixels match in any space."""
    chosen = results["score"].notna()
    wanted = {name: getattr(column, name) for name in ("attribute", "population", "metric")}
    for name, value in (wanted | {"probe": column.probe_of_rows}).items():
        chosen &= _reads(results[name], value)
    chosen &= _reads(results["space"], column.space) | (results["contender"] == PIXELS)
    return results[chosen]


def _reads(values: "pd.Series[str]", wanted: str) -> "pd.Series[bool]":
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
    results: pd.DataFrame, columns: Sequence[ScoreColumn], contenders: dict[str, list[TableCell]]
) -> str:
    """Return the footnote: content of the cells, number of runs, failed and collapsed runs."""
    has_failed = ~_reads(results["error"], "")
    finished = results[~has_failed].drop_duplicates(RUN)["contender"].value_counts()
    runs = {name: int(finished.get(name, 0)) for name in contenders}
    same = f"{next(iter(runs.values()), 0)} each" if len(set(runs.values())) < 2 else ""
    fewer = [
        f"{name}, {column.title}: {cell.n}"
        for name, cells in contenders.items()
        for column, cell in zip(columns, cells, strict=True)
        if 0 < cell.n < runs[name]
    ]
    # Runs whose salient means do not vary over targets have 0 active units.
    unused = _reads(results["metric"], "active_units") & _reads(results["space"], "salient")
    collapsed = _run_names(results[unused & (results["score"] == 0)])
    sentences = [
        "Mean ± standard deviation over runs." if max(runs.values(), default=0) > 1 else "",
        _percent_note(columns, "percent"),
        f"Runs: {same or ', '.join(f'{name} {n}' for name, n in runs.items())}.",
        f"Scores of fewer runs: {'; '.join(fewer)}." if fewer else "",
        f"Failed cells: {_run_names(results[has_failed].drop_duplicates(RUN)) or 'none'}.",
        collapsed and f"No salient dimension in use, so that scores of salient say little: {collapsed}.",
        RANKS if len(contenders) > 1 else "",
    ]
    return " ".join(filter(None, sentences))


def _run_names(rows: pd.DataFrame) -> str:
    """Return the contender of each row with its seed and its fold, if it has them."""
    runs = rows[RUN].astype({"seed": float, "fold": float}).itertuples(index=False)
    return "; ".join(
        contender + f" seed {seed:.0f}" * pd.notna(seed) + f" fold {fold:.0f}" * pd.notna(fold)
        for contender, seed, fold in runs
    )


def _header(column: ScoreColumn) -> str:
    """Return the title of a column with an arrow that says which way is better."""
    return f"{column.title} {ARROWS[column.better]}"


def to_markdown(table: BenchmarkTable) -> str:
    """Return a table in Markdown: best in bold, second underlined, with a footnote."""
    forms = {"": "{}", "best": "**{}**", "second": "<u>{}</u>"}
    rows = [[name, *(forms[cell.rank].format(text) for cell, text in cells)] for name, cells in table.rows()]
    return _markdown_table(["", *map(_header, table.columns)], rows, table.note)


def to_latex(table: BenchmarkTable) -> str:
    r"""Return a table in LaTeX (package booktabs): best in \textbf, second in \underline, with a footnote."""
    forms = {"": "{}", "best": r"\textbf{{{}}}", "second": r"\underline{{{}}}"}
    rows = []
    for name, cells in table.rows():
        texts = [forms[cell.rank].format(_latex_number(text)) for cell, text in cells]
        rows.append([name.translate(LATEX), *texts])
    return _latex_table(["", *map(_header, table.columns)], rows, table.note)


def difference_table(pairs: Sequence[ComparedPair]) -> str:
    """Return differences between contenders as a Markdown table with a footnote."""
    rows = []
    for pair in pairs:
        text = partial(_score_text, metric=pair.column.metric, sign=True)
        difference, interval = _with_interval(pair.difference, text)
        contenders = f"{pair.a} minus {pair.b}"
        rows.append([_header(pair.column), contenders, difference, interval, pair.difference.kind])
    names = ["score", "contenders", "difference", "95 % interval", "kind"]
    note = _percent_note([pair.column for pair in pairs], "percentage points")
    return _markdown_table(names, rows, f"{ARROW_NOTE} {note}".rstrip())


def interval_table(found: Sequence[ScoreInterval]) -> str:
    """Return means with their intervals as a Markdown table with a footnote."""
    rows = []
    for row in found:
        mean, interval = _with_interval(row.mean, partial(_score_text, metric=row.column.metric))
        chance = _score_text(row.chance, row.column.metric)
        rows.append([_header(row.column), row.contender, mean, interval, chance, row.mean.kind])
    names = ["score", "contender", "mean", "95 % interval", "chance", "kind"]
    note = _percent_note([row.column for row in found], "percent")
    return _markdown_table(names, rows, f"{ARROW_NOTE} {note}".rstrip())


def _with_interval(found: Difference, text: Callable[[float], str]) -> tuple[str, str]:
    """Return a value and its interval as text; an interval is missing if one of its ends is."""
    low, value, high = map(text, (found.low, found.difference, found.high))
    return value, MISSING if MISSING in (low, high) else f"{low} to {high}"


def association_table(associations: pd.DataFrame, adjust_for: Sequence[str]) -> str:
    """Return associations with clinical scores, aggregated over seeds, as Markdown table with footnote."""
    return _markdown_table(*_associations(associations, adjust_for))


def association_latex(associations: pd.DataFrame, adjust_for: Sequence[str]) -> str:
    """Return associations with clinical scores as a LaTeX tabular (package booktabs) with a footnote."""
    names, rows, note = _associations(associations, adjust_for)
    rows = [[*(text.translate(LATEX) for text in row[:3]), *map(_latex_number, row[3:])] for row in rows]
    return _latex_table(names, rows, note, n_left=3)


def _associations(
    associations: pd.DataFrame, adjust_for: Sequence[str]
) -> tuple[list[str], list[list[str]], str]:
    """Return the headings, the texts of each row, and the footnote."""
    below = f"p < {LEVEL:g}"
    names = ["contender", "score", "space", "n", "Spearman", below]
    names += ["n, partial", "partial", below] if adjust_for else []
    rows = []
    for key, runs in associations.groupby(["contender", "attribute", "space"], sort=False):
        row = [*map(str, key), *_correlation(runs, "n", "spearman", "p_adjusted")]
        row += _correlation(runs, "n_partial", "partial", "p_partial_adjusted") if adjust_for else []
        rows.append(row)
    partial = f"Partial: adjusted for {', '.join(adjust_for)}. " if adjust_for else ""
    note = (
        "Rank correlation of predicted and true score of targets whom the model had not seen, predictions "
        f"pooled over folds; mean ± standard deviation over seeds. {partial}p < {LEVEL:g}: in how many seeds "
        "it is positive and its one-sided p-value, adjusted over all rows of associations.csv (false "
        "discovery rate), is below. With nothing to find it lies somewhat below 0."
    )
    return names, rows, note


def _correlation(runs: pd.DataFrame, n: str, rho: str, p: str) -> tuple[str, str, str]:
    """Return number of samples, mean ± standard deviation over seeds, and in how many seeds it is clear."""
    low, high, known = int(runs[n].min()), int(runs[n].max()), runs[rho].dropna()
    mean = f"{known.mean():z.2f}" if len(known) else MISSING
    spread = f" ± {known.std():.2f}" if len(known) > 1 else ""
    clear = ((runs[p] < LEVEL) & (runs[rho] > 0)).sum()
    return str(low) if low == high else f"{low} to {high}", mean + spread, f"{clear} of {len(runs)}"


def _markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]], note: str) -> str:
    """Return a table in Markdown with a footnote; each cell is one line, with Markdown and tags escaped."""
    lines = []
    for row in (header, *rows):
        texts = ["".join(c if c.isprintable() else " " for c in text) for text in row]
        lines.append("| " + " | ".join(MARKDOWN.sub(r"\\\g<0>", text) for text in texts) + " |")
    lines.insert(1, "|" + "---|" * len(header))
    return "\n".join([*lines, "", note])


def _latex_table(header: Sequence[str], rows: Iterable[Sequence[str]], note: str, n_left: int = 1) -> str:
    """Return a tabular (package booktabs) with a footnote; rows must be LaTeX already."""
    head, *body = [" & ".join(row) + r" \\" for row in ([name.translate(LATEX) for name in header], *rows)]
    columns = "l" * n_left + "c" * (len(header) - n_left)
    lines = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", head, r"\midrule", *body, r"\bottomrule"]
    return "\n".join([*lines, r"\end{tabular}", rf"\par{{\footnotesize {note.translate(LATEX)}}}"])


def _latex_number(text: str) -> str:
    """Return the text of a score in LaTeX, with a minus sign for a hyphen."""
    escaped = text.translate(LATEX)
    return escaped if text == MISSING else escaped.replace("-", "$-$")


def _score_text(mean: float, metric: str, std: float = math.nan, *, sign: bool = False) -> str:
    """Format mean ± standard deviation, unless that is NaN, with as many decimals as the mean."""
    if math.isnan(mean):
        return MISSING
    scale = 100 if metric in FROM_0_TO_1 else 1
    text = f"{scale * mean:z.2f}" if scale == 100 else number(mean, metric)
    if math.isnan(std):
        return "+" * (sign and mean > 0) + text
    decimals = len(text.partition(".")[2])
    return f"{text} ± {number(std, metric) if 'e' in text else f'{scale * std:.{decimals}f}'}"


def _percent_note(columns: Iterable[ScoreColumn], unit: str) -> str:
    """Return a sentence on the unit of accuracy and AUC; empty if no metric is one of them."""
    return f"Accuracy and AUC in {unit}." * any(column.metric in FROM_0_TO_1 for column in columns)
