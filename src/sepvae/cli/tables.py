"""Tables on the terminal: findings of an inspection, scores of a run, and differences of two runs."""

import re
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from sepvae.cli import printable
from sepvae.codes import SPACES
from sepvae.errors import count, listed
from sepvae.evaluation.metrics import AT_CHANCE, BELOW_CHANCE, against_chance
from sepvae.inspection import Finding, Inspection
from sepvae.report.subtypes import subtype_lines
from sepvae.report.visits import visit_lines

STYLES = {"error": "bold red", "warning": "yellow", "note": "cyan"}
MARGIN = 9  # characters of the level column, to the left of the messages
MOST_EXAMPLES = 3
MOST_ROWS = 15
# One metric per attribute, over all samples if the attribute applies to them; the page has the rest.
SHOWN = {"label": ["auc"]}
SHOWN_ELSE = ["balanced_accuracy", "r2"]
MOST_LETTERS = 40  # of an attribute
MARK = "~"
SHORT = {"auc": "AUC", "balanced_accuracy": "bal. acc.", "r2": "R2"}


def print_scores(scores: pd.DataFrame, inspection: dict[str, Any] | None = None) -> None:
    """Print one row per attribute: scores from the salient and the common space, and chance; then blocks."""
    table, by_block = (Table(box=SIMPLE_HEAD, pad_edge=False) for _ in range(2))
    blocks = [space for space in scores["space"].unique() if space not in (*SPACES, "both")]
    table.add_column("attribute", no_wrap=True, max_width=MOST_LETTERS)
    for heading in ("metric", "salient", "common", "chance"):
        table.add_column(heading, no_wrap=True)
    for heading in ("attribute", "metric", *blocks):
        by_block.add_column(Text(printable(heading)), overflow="fold")
    printed: set[object] = set()
    marked = False
    for (attribute, _), rows in scores.groupby(["attribute", "population"], sort=False):
        if attribute in printed:
            continue
        printed.add(attribute)
        shown = rows[rows["metric"].isin(SHOWN.get(str(attribute), SHOWN_ELSE))]
        by_space = {row["space"]: row for row in shown.to_dict("records")}
        if {"salient", "common"} <= by_space.keys():
            of_blocks = [_score(by_space[block], interval=False) for block in blocks]
            cells = [_score(by_space["salient"]), _score(by_space["common"])]
            marked |= any(cell.endswith(MARK) for cell in (*cells, *of_blocks))
            metric, chance = SHORT[str(shown["metric"].iloc[0])], f"{shown['chance'].iloc[0]:z.2f}"
            table.add_row(Text(printable(attribute)), metric, *cells, chance)
            by_block.add_row(Text(printable(attribute)), metric, *of_blocks)
    console = Console()
    console.print(table)
    if blocks:
        console.print(by_block)
    legend = f"; {MARK} not shown to be better than chance" * marked
    console.print(
        f"[dim]95 % intervals over test subjects{legend}. The report has all metrics.[/dim]", highlight=False
    )
    print_verdict(scores, inspection)


def _score(row: dict[Any, Any], *, interval: bool = True) -> str:
    """Format a score, with its interval if asked for, and a mark if it is at or below chance."""
    low, high = (re.sub(r"^(-?)0\.", r"\1.", f"{row[bound]:.2f}") for bound in ("low", "high"))
    mark = MARK * (against_chance(row) in (AT_CHANCE, BELOW_CHANCE))
    ends = f" \\[{low}, {high}]" if interval else ""
    return f"{row['score']:.2f}{ends}{mark}"


def print_subtypes(record: Mapping[str, Any]) -> None:
    """Print the verdict on subtypes, the candidates, and what confirms them."""
    console = Console(highlight=False)
    table = Table("clusters", "BIC", "stability", "smallest", box=SIMPLE_HEAD, pad_edge=False)
    for row in record["candidates"]:
        stability = "-" if row["stability"] is None else f"{row['stability']:.2f}"
        table.add_row(f"{row['n_clusters']:.0f}", f"{row['bic']:.0f}", stability, f"{row['smallest']:.0%}")
    console.print(table)
    for line in subtype_lines(record):
        console.print(Text(printable(line)))


def print_visits(scores: pd.DataFrame) -> None:
    """Print change per year and reliability in sentences."""
    console = Console(highlight=False, soft_wrap=True)
    for line in visit_lines(scores):
        console.print(Text(printable(line)))


def print_verdict(scores: pd.DataFrame, inspection: dict[str, Any] | None = None) -> None:
    """Print the verdict on the separation, and the answers that it rests on."""
    from sepvae.report.verdict import judge

    found, console = judge(scores, inspection), Console(highlight=False)
    styles = {"green": "green", "amber": "yellow", "red": "bold red"}
    if found.verdict == "not known":
        return
    console.print(Text(f"verdict: {found}", "bold"))
    for answer in found.answers:
        console.print(Text.assemble(f"  {answer.question} ", (answer.word, styles[answer.light])))


def print_warnings(run: Path) -> None:
    """Print the number of warnings on the page of a run, and their titles."""
    from sepvae.report.contents import Contents
    from sepvae.report.warnings import find_warnings

    if titles := [warning.title for warning in find_warnings(Contents(run))]:
        typer.echo(f"{count(len(titles), 'warning')} on the page: {'; '.join(titles)}")


def print_differences(differences: pd.DataFrame, conditions: pd.DataFrame) -> None:
    """Print one row per kind of numbers, then the versions and threads that differ."""
    console, table = Console(), Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("numbers", "again", "apart", "relative"):
        table.add_column(heading, no_wrap=True)
    table.add_column("where", overflow="fold")
    for what, identical, absolute, relative, where in differences.to_numpy(dtype=object).tolist():
        if identical:
            table.add_row(what, "identical")
        else:
            table.add_row(what, "[bold]differ[/bold]", f"{absolute:.2g}", f"{relative:.2g}", escape(where))
    console.print(table)
    for what, then, now in conditions.to_numpy(dtype=str).tolist():
        line = f"{what}: was {then or 'not recorded'}, is {now or 'not recorded'}"
        console.print(line, highlight=False, markup=False)


def print_inspection(inspection: Inspection) -> None:
    """Print the verdict, the findings, and their tables."""
    console = Console(highlight=False)
    n = Counter(finding.level for finding in inspection.findings)
    verdict = Text("nothing found that would spoil a fit", "bold green")
    if n["error"]:
        verdict = Text(f"{count(n['error'], 'problem')} would spoil a fit", "bold red")
    rest = [f", {count(n[level], level)}" for level in ("warning", "note") if n[level]]
    console.print(Text.assemble(verdict, *rest))
    for finding in inspection.findings:
        for line in _lines(finding, console.width):
            console.print(line)
    for title, table in _tables(inspection.tables):
        console.print()
        console.print(Text(title, "bold"))
        console.print(table)


def _lines(finding: Finding, width: int) -> Iterator[Text]:
    """Yield the level and the wrapped message of a finding, then its first examples."""
    mark = Text(finding.level.ljust(MARGIN), STYLES[finding.level])
    for text, style in ((finding.message, ""), (listed(finding.examples, MOST_EXAMPLES), "dim")):
        for line in textwrap.wrap(text, max(width - MARGIN, 20), break_on_hyphens=False):
            yield Text.assemble(mark, Text(printable(line), style))
            mark = Text(" " * MARGIN)


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
    """Return a table of data as text, without markup and with control characters escaped."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in headings:
        table.add_column(Text(printable(heading)), overflow="fold")
    rows = list(rows)
    for row in rows[:MOST_ROWS]:
        table.add_row(*(Text(printable(_cell(cell))) for cell in row))
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
            said = listed(
                [f"{value} {n}" for value, n in zip(frequent["value"], frequent["n"], strict=True)], 4
            )
        yield name, label, int(of_label["n"].sum()), said, int(first["missing"])


def _images(table: pd.DataFrame) -> Table:
    """Return a table with one row per statistic, one column per label, and the overall range."""
    rows = []
    for statistic, found in table.groupby("statistic", sort=False):
        said = [f"{_cell(row['mean'])} ± {_cell(row['sd'])}" for _, row in found.iterrows()]
        rows.append([statistic, *said, f"{_cell(found['min'].min())} to {_cell(found['max'].max())}"])
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
