"""Further tables of a benchmark: means with intervals, and associations with clinical scores."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sepvae.report.benchmark_tables import (
    LATEX,
    MISSING,
    ScoreColumn,
    TableCell,
    _ampersands,
    _header,
    _percent_note,
    _pipes,
    _rule,
    _text,
)

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
    names = ["score", "contender", "mean", "95 % interval", "chance", "kind"]
    lines = [_pipes(names), _rule(len(names))]
    for row in found:
        low, mean, high, chance = (
            _text(TableCell(value), row.column.metric)
            for value in (row.mean.low, row.mean.difference, row.mean.high, row.chance)
        )
        between = MISSING if MISSING in (low, high) else f"{low} to {high}"
        lines.append(_pipes([_header(row.column), row.contender, mean, between, chance, row.mean.kind]))
    percent = _percent_note([row.column for row in found], "percent")
    return "\n".join([*lines, "", f"The arrow says which way is better. {percent}".rstrip()])


def association_table(associations: "pd.DataFrame", adjust_for: Sequence[str]) -> str:
    """Return associations with clinical scores, aggregated over seeds, as Markdown table with footnote."""
    names, rows = _rows(associations, adjust_for)
    lines = [_pipes(names), _rule(len(names)), *(_pipes(row) for row in rows)]
    return "\n".join([*lines, "", _note(adjust_for)])


def association_latex(associations: "pd.DataFrame", adjust_for: Sequence[str]) -> str:
    """Return associations with clinical scores as a LaTeX tabular (package booktabs) with a footnote."""
    names, rows = _rows(associations, adjust_for)
    escaped = [[text.translate(LATEX).replace("-", "$-$") for text in row[3:]] for row in rows]
    first = [[text.translate(LATEX) for text in row[:3]] for row in rows]
    lines = [
        rf"\begin{{tabular}}{{lll{'c' * (len(names) - 3)}}}",
        r"\toprule",
        _ampersands([name.translate(LATEX).replace("<", "$<$") for name in names]),
        r"\midrule",
        *(_ampersands(start + end) for start, end in zip(first, escaped, strict=True)),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    note = _note(adjust_for).translate(LATEX).replace("<", "$<$")
    return "\n".join([*lines, rf"\par{{\footnotesize {note}}}"])


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
        return MISSING
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
