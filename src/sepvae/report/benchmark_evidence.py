"""Further tables of a benchmark: means with intervals, and associations with clinical scores."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sepvae.report import table_text
from sepvae.report.benchmark_tables import ScoreColumn

if TYPE_CHECKING:
    import pandas as pd

    from sepvae.evaluation.differences import Difference

ROW = ["contender", "attribute", "space"]  # key of a row in the table of associations
LEVEL = 0.05


@dataclass(frozen=True)
class ScoreInterval:
    """Mean score of a contender with its interval, and its chance level."""

    column: ScoreColumn
    contender: str
    chance: float
    mean: "Difference"


def interval_table(found: Sequence[ScoreInterval]) -> str:
    """Return means with their intervals as a Markdown table with a footnote."""
    rows = []
    for row in found:
        low, mean, high, chance = (
            table_text.score_text(value, math.nan, row.column.metric)
            for value in (row.mean.low, row.mean.difference, row.mean.high, row.chance)
        )
        name = table_text.header(row.column.title, row.column.better)
        rows.append([name, row.contender, mean, table_text.between(low, high), chance, row.mean.kind])
    percent = table_text.percent_note([row.column.metric for row in found], "percent")
    names = ["score", "contender", "mean", "95 % interval", "chance", "kind"]
    return table_text.markdown_table(names, rows, f"The arrow says which way is better. {percent}".rstrip())


def association_table(associations: "pd.DataFrame", adjust_for: Sequence[str]) -> str:
    """Return associations with clinical scores, aggregated over seeds, as Markdown table with footnote."""
    return table_text.markdown_table(*_rows(associations, adjust_for), _note(adjust_for))


def association_latex(associations: "pd.DataFrame", adjust_for: Sequence[str]) -> str:
    """Return associations with clinical scores as a LaTeX tabular (package booktabs) with a footnote."""
    names, rows = _rows(associations, adjust_for)
    names = [name.translate(table_text.LATEX).replace("<", "$<$") for name in names]
    rows = [[text.translate(table_text.LATEX) for text in row] for row in rows]
    rows = [row[:3] + [text.replace("-", "$-$") for text in row[3:]] for row in rows]
    note = _note(adjust_for).translate(table_text.LATEX).replace("<", "$<$")
    return table_text.latex_table(names, rows, note, n_left=3)


def _rows(associations: "pd.DataFrame", adjust_for: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Return the headings and the texts of each row."""
    below = f"p < {LEVEL:g}"
    names = ["contender", "score", "space", "n", "Spearman", below]
    names += ["n, partial", "partial", below] if adjust_for else []
    rows = []
    for (contender, attribute, space), runs in associations.groupby(ROW, sort=False):
        row = [str(contender), str(attribute), str(space)]
        row += [_count(runs["n"]), _mean(runs["spearman"]), _clear(runs, "spearman", "p_adjusted")]
        if adjust_for:
            row += [_count(runs["n_partial"]), _mean(runs["partial"])]
            row.append(_clear(runs, "partial", "p_partial_adjusted"))
        rows.append(row)
    return names, rows


def _count(values: "pd.Series") -> str:
    low, high = int(values.min()), int(values.max())
    return str(low) if low == high else f"{low} to {high}"


def _mean(values: "pd.Series") -> str:
    """Format mean ± standard deviation over seeds."""
    known = values.dropna()
    if not len(known):
        return table_text.MISSING
    return f"{known.mean():z.2f}" + (f" ± {known.std():.2f}" if len(known) > 1 else "")


def _clear(runs: "pd.DataFrame", rho: str, p: str) -> str:
    return f"{int(((runs[p] < LEVEL) & (runs[rho] > 0)).sum())} of {len(runs)}"


def _note(adjust_for: Sequence[str]) -> str:
    partial = f"Partial: adjusted for {', '.join(adjust_for)}. " if adjust_for else ""
    return (
        "Rank correlation of predicted and true score of targets whom the model had not seen, predictions "
        f"pooled over folds; mean ± standard deviation over seeds. {partial}p < {LEVEL:g}: in how many seeds "
        "it is positive and its one-sided p-value, adjusted over all rows of associations.csv (false "
        "discovery rate), is below. With nothing to find it lies somewhat below 0."
    )
