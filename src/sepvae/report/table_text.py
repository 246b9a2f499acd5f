"""Tables as text, in Markdown and LaTeX: scores as cells, headers, escapes."""

import math
import re
from collections.abc import Iterable, Sequence

from sepvae.report.scores import FROM_0_TO_1, number

ARROWS = {"high": "\N{UPWARDS ARROW}", "low": "\N{DOWNWARDS ARROW}"}
MISSING = "-"
MARKDOWN = re.compile(r"[\\|`\[]|<(?!/?u>|\s)")  # tables use <u>; it is harmless in a name
LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "\N{PLUS-MINUS SIGN}": r"$\pm$",
        ARROWS["high"]: r"$\uparrow$",
        ARROWS["low"]: r"$\downarrow$",
        **dict.fromkeys("\n\r", " "),
        **{character: f"\\{character}" for character in "_%&#${}"},
    }
)


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]], note: str) -> str:
    """Return a table in Markdown with a footnote; names are escaped."""
    lines = ["| " + " | ".join(map(_in_cell, row)) + " |" for row in (header, *rows)]
    lines.insert(1, "|" + "---|" * len(header))
    return "\n".join([*lines, "", note])


def latex_table(header: Sequence[str], rows: Iterable[Sequence[str]], note: str, n_left: int = 1) -> str:
    """Return a tabular (package booktabs) with a footnote; all text must be LaTeX already."""
    head, *body = [" & ".join(row) + r" \\" for row in (header, *rows)]
    columns = "l" * n_left + "c" * (len(header) - n_left)
    lines = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", head, r"\midrule", *body, r"\bottomrule"]
    return "\n".join([*lines, r"\end{tabular}", rf"\par{{\footnotesize {note}}}"])


def header(title: str, better: str) -> str:
    """Return the header of a score, with an arrow that says which way is better."""
    return f"{title} {ARROWS[better]}"


def score_text(mean: float, std: float, metric: str) -> str:
    """Format mean ± standard deviation, unless that is NaN, with as many decimals as the mean."""
    if math.isnan(mean):
        return MISSING
    scale = 100 if metric in FROM_0_TO_1 else 1
    mean, std = scale * mean, scale * std
    text = f"{mean:.2f}" if scale == 100 else number(mean, metric)
    if math.isnan(std):
        return text
    decimals = len(text.partition(".")[2])
    return f"{text} ± {number(std, metric) if 'e' in text else f'{std:.{decimals}f}'}"


def signed(value: float, metric: str) -> str:
    """Format a difference of scores, with its sign."""
    if math.isnan(value):
        return MISSING
    text = f"{100 * value:z.2f}" if metric in FROM_0_TO_1 else number(value, metric)
    return f"+{text}" if value > 0 else text


def latex_number(text: str) -> str:
    """Return the text of a score in LaTeX, with a minus sign for a hyphen."""
    escaped = text.translate(LATEX)
    return escaped if text == MISSING else escaped.replace("-", "$-$")


def between(low: str, high: str) -> str:
    """Return an interval as text; missing if one of its ends is."""
    return MISSING if MISSING in (low, high) else f"{low} to {high}"


def percent_note(metrics: Iterable[str], unit: str) -> str:
    """Return a sentence on the unit of accuracy and AUC; empty if no metric is one of them."""
    return f"Accuracy and AUC in {unit}." * any(metric in FROM_0_TO_1 for metric in metrics)


def _in_cell(text: str) -> str:
    """Return text as one line, with the Markdown of cells, code, links and tags escaped."""
    line = "".join(c if c.isprintable() else " " for c in text)
    return MARKDOWN.sub(r"\\\g<0>", line)
