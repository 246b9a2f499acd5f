"""Scores on a terminal."""

from typing import Any

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

# One metric for each attribute, the first that it has; the page shows them all.
SHOWN = {"label": ["auc"]}
SHOWN_ELSE = ["balanced_accuracy", "r2"]
SHORT = {"auc": "AUC", "balanced_accuracy": "bal. acc.", "r2": "R2"}


def print_scores(scores: pd.DataFrame) -> None:
    """Print a line for each attribute and population: what each space knows of it, and what chance would."""
    table = Table("attribute", "among", "metric", "salient", "common", "both", "chance", box=SIMPLE_HEAD)
    for (attribute, population), rows in scores.dropna(subset="attribute").groupby(
        ["attribute", "population"], sort=False
    ):
        wanted = SHOWN.get(str(attribute), SHOWN_ELSE)
        shown = rows[rows["metric"].isin(wanted)]
        if len(shown):
            by_space = {row.space: row for row in shown.itertuples()}
            cells = [_score(by_space.get("salient")), _score(by_space.get("common"))]
            chance, both = shown["chance"].iloc[0], by_space["both"].score
            table.add_row(
                str(attribute),
                str(population),
                SHORT[shown["metric"].iloc[0]],
                *cells,
                f"{both:.2f}",
                f"{chance:.2f}",
            )
    console = Console()
    console.print(table)
    console.print("[dim]95 % intervals over test groups; ~ where p > 0.05[/dim]", highlight=False)


def _score(row: Any) -> str:
    """Score, interval, and a mark where shuffled labels do as well."""
    return (
        ""
        if row is None
        else f"{row.score:.2f} \\[{row.low:.2f}, {row.high:.2f}]{'~' if row.p_value > 0.05 else ''}"
    )
