"""Print the findings of an inspection on the terminal."""

import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sepvae.cli.plain import plain
from sepvae.inspection import Finding, Inspection

STYLES = {"error": "bold red", "warning": "yellow", "note": "cyan"}
MARGIN = 9  # characters of the level column, to the left of the messages
MOST_EXAMPLES = 3
MOST_ROWS = 15


def print_inspection(inspection: Inspection) -> None:
    """Print the verdict, the findings, and their tables."""
    console = Console(highlight=False)
    console.print(_verdict(inspection))
    for finding in inspection.findings:
        for line in _lines(finding, console.width):
            console.print(line)
    for title, table in _tables(inspection.tables):
        console.print()
        console.print(Text(title, "bold"))
        console.print(table)


def _verdict(inspection: Inspection) -> Text:
    n = Counter(finding.level for finding in inspection.findings)
    if n["error"]:
        verdict = Text(f"{_count(n['error'], 'problem')} would spoil a fit", "bold red")
    else:
        verdict = Text("nothing found that would spoil a fit", "bold green")
    rest = [_count(n[level], level) for level in ("warning", "note") if n[level]]
    return Text.assemble(verdict, *(f", {said}" for said in rest))


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'s' * (n != 1)}"


def _text(data: object, style: str = "") -> Text:
    """Return data as Text, without markup and with control characters escaped."""
    return Text(plain(data), style)


def _lines(finding: Finding, width: int) -> Iterator[Text]:
    """Yield the level and the wrapped message of a finding, then its first examples."""
    mark = Text(finding.level.ljust(MARGIN), STYLES[finding.level])
    for line in _wrapped(finding.message, width):
        yield Text.assemble(mark, _text(line))
        mark = Text(" " * MARGIN)
    if finding.examples:
        more = len(finding.examples) - MOST_EXAMPLES
        said = ", ".join(finding.examples[:MOST_EXAMPLES]) + f" and {more} more" * (more > 0)
        for line in _wrapped(said, width):
            yield Text.assemble(mark, _text(line, "dim"))


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, max(width - MARGIN, 20), break_on_hyphens=False)


def _tables(tables: Mapping[str, pd.DataFrame]) -> Iterator[tuple[str, Table]]:
    counts = tables["counts"].dropna(axis="columns", how="all")
    yield "samples", _table([str(name) for name in counts.columns], counts.itertuples(index=False))
    if len(tables["attributes"]):
        headings = ["attribute", "label", "n", "values", "missing"]
        yield "attributes", _table(headings, _attributes(tables["attributes"]))
    if "images" in tables:
        rows = [(f"{row.width} x {row.height}", row.images) for row in tables["sizes"].itertuples()]
        yield "image sizes", _table(["width x height", "images"], rows)
        yield "image modes", _table(["mode", "images"], tables["modes"].itertuples(index=False))
        yield "images, mean ± standard deviation", _images(tables["images"])
    if "grids" in tables:
        grids = tables["grids"].drop(columns="grid")
        headings = ["voxels", "mm", "first at", "orientation", "volumes", "such as"]
        yield "grids", _table(headings, grids.itertuples(index=False))
        yield "volumes, mean ± standard deviation", _images(tables["volumes"])
    if "features" in tables and len(rows := list(_features(tables["features"]))):
        headings = ["feature", "missing", "median", "range", "far out"]
        yield "features with gaps, values far out, or one value", _table(headings, rows)
    if len(tables.get("confounds", ())):
        headings = ["", "of", "d", "AUC", "Cramer's V", "p (Holm)"]
        yield "target against background", _table(headings, _confounds(tables["confounds"]))


def _table(headings: list[str], rows: Iterable[Any]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in headings:
        table.add_column(_text(heading), overflow="fold")
    rows = list(rows)
    for row in rows[:MOST_ROWS]:
        table.add_row(*(_text(_cell(cell)) for cell in row))
    if len(rows) > MOST_ROWS:
        table.add_row(f"and {len(rows) - MOST_ROWS} more")
    return table


def _cell(value: Any) -> str:
    if pd.isna(value):
        return ""
    if not isinstance(value, float):
        return str(value)
    return f"{value:.0f}" if 1000 <= abs(value) < 1e6 else f"{value:.3g}"


def _attributes(table: pd.DataFrame) -> Iterator[tuple[Any, ...]]:
    """Yield one row per attribute and label; categorical ones list their most frequent values."""
    for (name, label), of_label in table.groupby(["attribute", "label"], sort=False):
        first = of_label.iloc[0]
        if first["kind"] == "continuous":
            mean, sd, low, high = (_cell(first[c]) for c in ("mean", "sd", "min", "max"))
            said = f"{mean} ± {sd}, {low} to {high}" if first["n"] else "none"
        else:
            frequent = of_label.sort_values("n", ascending=False, kind="stable")
            said = ", ".join(f"{row['value']} {row['n']}" for _, row in frequent[:4].iterrows())
            said += f" and {len(frequent) - 4} more" * (len(frequent) > 4)
        yield name, label, int(of_label["n"].sum()), said, int(first["missing"])


def _images(table: pd.DataFrame) -> Table:
    """Return a table with one row per statistic, one column per label, and the overall range."""
    rows = []
    for statistic, of_statistic in table.groupby("statistic", sort=False):
        said = [f"{_cell(row['mean'])} ± {_cell(row['sd'])}" for _, row in of_statistic.iterrows()]
        rows.append(
            [statistic, *said, f"{_cell(of_statistic['min'].min())} to {_cell(of_statistic['max'].max())}"]
        )
    return _table(["", *(str(label) for label in table["label"].unique()), "range"], rows)


def _features(table: pd.DataFrame) -> Iterator[tuple[Any, ...]]:
    """Yield the features with missing values, values far out, or a single value."""
    shown = table[(table["missing"] > 0) | table["constant"] | (table["far_out"] > 0)]
    for _, row in shown.iterrows():
        span = "" if pd.isna(row["min"]) else f"{_cell(row['min'])} to {_cell(row['max'])}"
        yield row["feature"], f"{row['missing']:.1%}", row["median"], span, row["far_out"]


def _confounds(table: pd.DataFrame) -> Iterator[tuple[Any, ...]]:
    """Yield the confounds, strongest effect first, whether significant or not."""
    strength = (table["auc"] - 0.5).abs().fillna(table["cramers_v"] / 2)
    of = {"attribute": "attribute", "image": "image", "volume": "volume", "missing": "known or not"}
    for _, row in table.loc[strength.sort_values(ascending=False, kind="stable").index].iterrows():
        effects = ("" if pd.isna(row[c]) else f"{row[c]:.2f}" for c in ("d", "auc", "cramers_v"))
        p = row["p_corrected"]
        yield row["variable"], of[row["of"]], *effects, "< 0.001" if p < 0.001 else f"{p:.3f}"
