"""`sepvae benchmark`: run the contenders of a recipe with a live progress table."""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from sepvae.cli.plain import plain, tell
from sepvae.errors import DataError

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Group

    from sepvae.benchmark import Contender
    from sepvae.benchmark.cells import Cell
    from sepvae.recipes import Recipe
    from sepvae.runs.dataset import Dataset

SIGNS = {"waiting": "[dim]·[/]", "running": "[yellow]▶[/]", "finished": "[green]✓[/]", "failed": "[red]✗[/]"}


def run_recipe_benchmark(
    data: Path,
    out: Path,
    fields: dict[str, Any],
    *,
    split: Path | None,
    recipe: str,
    contenders: list[str] | None,
    pairs: list[str] | None,
    seeds: int | None,
    jobs: int,
    threads: int,
    scheduler: str | None,
    permutations: int,
) -> None:
    """Run the missing cells of a benchmark, write its tables and figures, and exit with 1 if any failed."""
    from sepvae.benchmark import make_cells, run_benchmark, write_outputs
    from sepvae.cli.recipes import load_with_notes
    from sepvae.report.benchmark_tables import ScoreColumn

    chosen = load_with_notes(recipe)
    wanted = choose_contenders(chosen, contenders, pairs)
    dataset = _read_folds(data, fields, chosen, split)
    background, protocol = dataset.background or "background", chosen.protocol
    columns = [ScoreColumn(**column.model_dump()) for column in protocol.columns]
    _check_attributes(chosen, "columns", [c.attribute for c in columns], ["label", *dataset.kinds])
    _check_attributes(chosen, "adjust_for", protocol.adjust_for, dataset.kinds)
    wanted = [replace(c, keywords={**c.keywords, "background": background}) for c in wanted]
    cells = make_cells(wanted, range(seeds or protocol.seeds), len(dataset.pairs))
    tell(f"{len(cells)} cells: {', '.join(c.name for c in wanted)}")
    with _scheduler(scheduler), _live(cells) as watch:
        results = run_benchmark(
            cells,
            dataset.pairs,
            out,
            recipe=chosen.name,
            background=background,
            kinds=dataset.kinds,
            n_permutations=permutations,
            jobs=None if scheduler else jobs,
            threads=threads,
            watch=watch,
        )
    n_failed = _tell_failures(results)
    table = write_outputs(
        results,
        cells,
        out,
        columns,
        background=background,
        kinds=dataset.kinds,
        adjust_for=protocol.adjust_for,
        left_out=protocol.leave_out,
    )
    typer.echo(table)
    typer.echo(f"tables, figures and all scores: {out}")
    raise typer.Exit(1 if n_failed else 0)


def _read_folds(data: Path, fields: dict[str, Any], recipe: "Recipe", split: Path | None) -> "Dataset":
    """Read DATA in the folds of a recipe, and print notes on them."""
    from sepvae.data.spec import read_spec
    from sepvae.runs.dataset import check_recipe, read_dataset, spec_with_recipe
    from sepvae.runs.splitting import Splitting

    check_recipe(data, recipe)
    protocol = recipe.protocol
    if recipe.reader == "digits-on-photos" and (protocol.test_size is None or protocol.stratify_by):
        raise DataError(f"{recipe.file}: protocol: the digits come split in two; take test_size alone")
    spec = spec_with_recipe(data, recipe, read_spec(fields), split=split)
    dataset = read_dataset(data, spec, Splitting.of(recipe, file=split, in_folds=True))
    for note in dataset.notes:
        tell(f"note: {note}")
    return dataset


def _tell_failures(results: "pd.DataFrame") -> int:
    """Print the cells that failed, and return their number."""
    failed = results[results["error"].notna()]
    for row in failed.to_dict("records"):
        which = [f", {name} {row[name]:.0f}" for name in ("seed", "fold") if row[name] == row[name]]
        tell(f"failed: {row['contender']}{''.join(which)}: {row['error']}")
    return len(failed)


def choose_contenders(
    recipe: "Recipe", texts: list[str] | None, pairs: list[str] | None
) -> "list[Contender]":
    """Return the contenders, typed or else the recipe's; KEY=VALUE pairs override the recipe's keywords."""
    from sepvae.benchmark import parse_contender
    from sepvae.cli.keywords import shared_keywords
    from sepvae.runs.models import recipe_keywords

    wanted = [parse_contender(text) for text in texts or recipe.protocol.contenders]
    if len(names := {c.name for c in wanted}) < len(wanted):
        raise DataError(f"--contender: wanted each once, got {len(wanted)} for {', '.join(sorted(names))}")
    if seed := [pair for pair in pairs or [] if pair.partition("=")[0] == "random_state"]:
        raise DataError(f"--set {seed[0]}: a benchmark has seeds 0, 1, ..; --seeds says how many")
    own = shared_keywords(pairs or [], dict.fromkeys(c.method for c in wanted))
    return [replace(c, keywords=recipe_keywords(recipe, c.method, c.preset) | own[c.method]) for c in wanted]


def _check_attributes(recipe: "Recipe", key: str, names: Iterable[str], known: Collection[str]) -> None:
    """Raise DataError if the protocol names an attribute that the data lack."""
    if missing := [name for name in names if name not in known]:
        there = ", ".join(name for name in known if name != "label") or "none"
        raise DataError(
            f"{recipe.file}: protocol.{key}: the data have no attribute {missing[0]!r}; they have {there}"
        )


@contextmanager
def _scheduler(address: str | None) -> Iterator[None]:
    """Run joblib tasks on the dask cluster at `address`; None leaves the backend unchanged."""
    if address is None:
        yield
        return
    try:
        from distributed import Client
    except ModuleNotFoundError:
        raise DataError("--scheduler needs dask: pip install '.[cluster]' in its folder") from None
    from joblib import parallel_config

    file = {"scheduler_file": address} if Path(address).is_file() else {"address": address}
    try:
        client = Client(**file, timeout="30s")
    except Exception as error:  # dask's errors share no base class
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(
            f"--scheduler {address}: wanted an address, such as tcp://node1:8786, or a scheduler's file: "
            f"{reason}"
        ) from error
    with client, parallel_config(backend="dask"):
        yield


@contextmanager
def _live(cells: "Sequence[Cell]") -> Iterator[Callable[[dict[str, str]], None]]:
    """Yield a callback for cell states: it updates a live table, or prints finished cells off a terminal."""
    from rich.console import Console
    from rich.live import Live

    console, started = Console(stderr=True), time.monotonic()
    before: set[str] = set()  # cells done before this start
    printed: set[str] = set()

    def newly_done(states: dict[str, str]) -> list[str]:
        done = [
            name for name, state in states.items() if state in ("finished", "failed") and name not in printed
        ]
        printed.update(done)
        return done

    if not console.is_terminal:

        def tell(states: dict[str, str]) -> None:
            done = newly_done(states)
            for number, name in enumerate(done, start=len(printed) - len(done) + 1):
                console.print(f"{number} of {len(states)}: {name} {states[name]}", highlight=False)

        yield tell
        return
    with Live(console=console, refresh_per_second=2) as live:

        def draw(states: dict[str, str]) -> None:
            first = not printed and not before
            done = newly_done(states)
            before.update(done if first else ())
            own = len(printed) - len(before)
            live.update(table_of(cells, states, time.monotonic() - started, own=own))

        yield draw


def table_of(cells: "Sequence[Cell]", states: dict[str, str], seconds: float, *, own: int) -> "Group":
    """Return the cell states, one row per contender, and the time left; `own` cells took `seconds`."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    signs: dict[str, str] = {}
    for cell in cells:
        signs[cell.contender.name] = signs.get(cell.contender.name, "") + SIGNS[states[cell.name]]
    done = sum(state in ("finished", "failed") for state in states.values())
    left = f", about {seconds / own * (len(states) - done) / 60:.0f} min left" if own else ""
    table = Table(box=None)
    table.add_column("contender")
    table.add_column("cells")
    for name, row in signs.items():
        table.add_row(Text(plain(name)), row)
    return Group(table, f"{done} of {len(states)} cells, {seconds / 60:.0f} min{left}")
