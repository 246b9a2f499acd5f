"""Scores on a terminal."""

import pandas as pd
from rich.console import Console
from rich.table import Table

MAIN = ("balanced_accuracy", "auc", "mae", "r2")


def print_scores(scores: pd.DataFrame) -> None:
    """Print one line per attribute, population and metric: salient, common and both, with intervals and chance."""
    table = Table("attribute", "among", "metric", "salient", "common", "both", "chance", header_style="bold")
    probes = scores[scores["metric"].isin(MAIN)]
    for (attribute, population, metric), rows in probes.groupby(["attribute", "population", "metric"], sort=False):
        by_space = {row.space: row for row in rows.itertuples()}
        cells = [_cell(by_space.get(space)) for space in ("salient", "common", "both")]
        table.add_row(
            attribute, population, metric.replace("_", " "), *cells, f"{rows['chance'].iloc[0]:.2f}"
        )
    console = Console()
    console.print(table)
    console.print("95 % intervals over test groups in brackets; * where chance does as well in more than 5 % of shuffles")


def _cell(row: object) -> str:
    if row is None:
        return ""
    score, low, high, p = (getattr(row, name) for name in ("score", "low", "high", "p_value"))
    return f"{score:.2f} \\[{low:.2f}, {high:.2f}]{' *' if p > 0.05 else ''}"
