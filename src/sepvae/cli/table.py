"""Print scores and warnings of a run on the terminal."""

import re
from pathlib import Path
from typing import Any

import pandas as pd
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sepvae.cli.plain import plain
from sepvae.evaluation.metrics import AT_CHANCE, BELOW_CHANCE, against_chance

# One metric per attribute, over all samples if the attribute applies to them; the page has the rest.
SHOWN = {"label": ["auc"]}
SHOWN_ELSE = ["balanced_accuracy", "r2"]
MOST = 40  # maximum characters of an attribute
MARK = "~"
SHORT = {"auc": "AUC", "balanced_accuracy": "bal. acc.", "r2": "R2"}


def print_scores(scores: pd.DataFrame) -> None:
    """Print one row per attribute: scores from the salient and the common space, and chance."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("attribute", no_wrap=True, max_width=MOST)
    for heading in ("metric", "salient", "common", "chance"):
        table.add_column(heading, no_wrap=True)
    questions = scores.dropna(subset="attribute").groupby(["attribute", "population"], sort=False)
    printed: set[object] = set()
    marked = False
    for (attribute, _), rows in questions:
        if attribute in printed:
            continue
        printed.add(attribute)
        shown = rows[rows["metric"].isin(SHOWN.get(str(attribute), SHOWN_ELSE))]
        by_space = {row["space"]: row for row in shown.to_dict("records")}
        if by_space:
            metric = SHORT[str(shown["metric"].iloc[0])]
            cells = [_score(by_space["salient"]), _score(by_space["common"])]
            marked |= any(cell.endswith(MARK) for cell in cells)
            chance = f"{shown['chance'].iloc[0]:z.2f}"
            table.add_row(Text(plain(attribute)), metric, *cells, chance)
    console = Console()
    console.print(table)
    legend = f"; {MARK} not distinguishable from chance" * marked
    console.print(
        f"[dim]95 % intervals over test subjects{legend}. The report has all metrics.[/dim]", highlight=False
    )


def print_warnings(run: Path) -> None:
    """Print the number of warnings on the page of a run, and their titles."""
    from sepvae.report.contents import Contents
    from sepvae.report.warnings import find_warnings

    if titles := [warning.title for warning in find_warnings(Contents(run))]:
        counted = f"{len(titles)} warning{'s' * (len(titles) > 1)} on the page"
        typer.echo(f"{counted}: {'; '.join(titles)}")


def _score(row: dict[Any, Any]) -> str:
    """Format a score with its interval, and a mark if it is at or below chance."""
    mark = MARK * (against_chance(row) in (AT_CHANCE, BELOW_CHANCE))
    return f"{row['score']:.2f} \\[{_short(row['low'])}, {_short(row['high'])}]{mark}"


def _short(number: float) -> str:
    return re.sub(r"^(-?)0\.", r"\1.", f"{number:.2f}")
