"""`sepvae benchmark` and `sepvae stability`: many fits at once, with a live table of their progress."""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sepvae.cli import load_torch, printable, tell
from sepvae.cli.options import (
    Continued,
    Data,
    Method,
    Permutations,
    Preset,
    RecipeName,
    Set,
    Split,
    SplitSeed,
    TestSize,
    data_options,
    split_options,
    typed_options,
)
from sepvae.errors import DataError, count

if TYPE_CHECKING:
    from rich.console import Group

    from sepvae.benchmark.cells import Cell, Contender
    from sepvae.recipes import Recipe
    from sepvae.runs.dataset import Dataset

Contenders = Annotated[
    list[str] | None,
    typer.Option(
        "--contender",
        metavar="METHOD[:PRESET[:ABLATION]]",
        help="What to compare, such as SepVAE:paper or 'SepVAE:paper:no MI'. Repeatable.",
        show_default=False,
    ),
]
Jobs = Annotated[int, typer.Option("--jobs", min=1, help="Fits at once.")]
Threads = Annotated[int, typer.Option("--threads", min=1, help="Threads of each fit.")]
Scheduler = Annotated[
    str | None,
    typer.Option("--scheduler", help="Run fits on a dask cluster: its address, or its scheduler file."),
]
DONE = ("finished", "failed")
SIGNS = {"waiting": "[dim]·[/]", "running": "[yellow]▶[/]", "finished": "[green]✓[/]", "failed": "[red]✗[/]"}


@data_options("background", "target_severity", "attributes", "root", "tables", "limit", "memory")
def benchmark(
    data: Data,
    fields: dict[str, Any],
    recipe: Annotated[str, typer.Option(metavar="NAME|FILE", help="As for `fit`.", show_default=False)],
    out: Continued,
    contender: Contenders = None,
    set_: Set = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Fits of each; by default as the recipe says.")
    ] = None,
    jobs: Jobs = 1,
    threads: Threads = 1,
    scheduler: Scheduler = None,
    split: Split = None,
    permutations: Permutations = 0,
) -> None:
    """Compare methods over seeds or folds: one table of all scores, the paper's tables and figures."""
    load_torch()

    from sepvae.benchmark import make_cells, run_benchmark
    from sepvae.benchmark.outputs import write_outputs
    from sepvae.cli.fitting import load_with_notes

    chosen = load_with_notes(recipe)
    wanted = choose_contenders(chosen, contender, set_)
    severity = fields.get("target_severity", chosen.data.target_severity)
    wanted = [c.with_severity(severity) for c in wanted]
    dataset = _read_folds(data, fields, chosen, split)
    background, protocol = dataset.background or "background", chosen.protocol
    how: dict[str, Any] = {"background": background, "kinds": dataset.kinds}
    wanted = [replace(c, keywords={**c.keywords, "background": background}) for c in wanted]
    cells = make_cells(wanted, range(seeds or protocol.seeds), len(dataset.pairs))
    # The baseline runs once for each split or fold; it is named "pixels" for all kinds of data.
    n, names = len(cells) + len(dataset.pairs), ", ".join(c.name for c in wanted)
    tell(f"{n} cells: {names}, and as the baseline principal components of the input (pixels)")
    with on_scheduler(scheduler), live_table(cells) as watch:
        results = run_benchmark(
            cells,
            dataset.pairs,
            out,
            recipe=chosen.name,
            n_permutations=permutations,
            information=protocol.wants_information,
            jobs=None if scheduler else jobs,
            threads=threads,
            watch=watch,
            **how,
        )
    failed = results[results["error"].notna()]
    for row in failed.to_dict("records"):
        which = [f", {name} {row[name]:.0f}" for name in ("seed", "fold") if row[name] == row[name]]
        tell(f"failed: {row['contender']}{''.join(which)}: {row['error']}")
    how |= {"adjust_for": protocol.adjust_for, "left_out": protocol.leave_out}
    table = write_outputs(results, cells, out, protocol.columns, **how)
    typer.echo(re.sub("</?u>", "_", table))  # the second best; a terminal knows no HTML
    typer.echo(f"tables, figures and all scores: {out}")
    raise typer.Exit(1 if len(failed) else 0)


@data_options()
def stability(
    context: typer.Context,
    data: Data,
    *,
    out: Continued,
    seeds: Annotated[int, typer.Option(min=0, help="Fits with seeds 0, 1, .., on all training people.")] = 5,
    bootstraps: Annotated[
        int, typer.Option(min=0, help="Fits with seed 0 on resampled training people, whole patients.")
    ] = 0,
    recipe: RecipeName = None,
    method: Method = "SepVAE",
    preset: Preset = "default",
    contender: Contenders = None,
    set_: Set = None,
    fields: dict[str, Any],
    split: Split = None,
    test_size: TestSize = 0.2,
    split_seed: SplitSeed = 0,
    jobs: Jobs = 1,
    threads: Threads = 1,
    scheduler: Scheduler = None,
) -> None:
    """Fit several times, and say whether another seed, or other people, give the same codes and maps."""
    if contender and {"method", "preset"} & typed_options(context):
        raise DataError(
            "--contender: names method and preset, as in SepVAE:paper; leave --method and --preset out"
        )
    load_torch()

    from sepvae.benchmark.stability import make_fits, run_stability
    from sepvae.cli.fitting import load_with_notes
    from sepvae.data.spec import read_spec
    from sepvae.recipes.recipe import spec_of_data
    from sepvae.report.stability import describe_stability
    from sepvae.runs.dataset import read_dataset

    chosen = None if recipe is None else load_with_notes(recipe)
    wanted = choose_contenders(chosen, contender or [f"{method}:{preset}"], set_)
    spec = spec_of_data(data, read_spec(fields), chosen, split=split)
    dataset = read_dataset(data, spec, chosen, split=split, **split_options(context, test_size, split_seed))
    for note in dataset.notes:
        tell(f"note: {note}")
    background = dataset.background or "background"
    wanted = [c.with_severity(spec.target_severity) for c in wanted]
    wanted = [replace(c, keywords={**c.keywords, "background": background}) for c in wanted]
    fits, (train, test) = make_fits(wanted, seeds, bootstraps), dataset.pairs[0]
    how: dict[str, Any] = {"background": background, "kinds": dataset.kinds, "threads": threads}
    how |= {"recipe": "" if chosen is None else chosen.name, "jobs": None if scheduler else jobs}
    with on_scheduler(scheduler), live_table(fits) as watch:
        table = run_stability(fits, train, test, out, **how, watch=watch, say=tell)
    n_background = sum(label == background for label in test.labels)
    n_target = count(len(test) - n_background, "held-out target")
    typer.echo(f"on {n_target} and {n_background} of the background")
    for line in describe_stability(table):
        typer.echo(line)
    typer.echo(f"all scores, figures and maps: {out}")


def _read_folds(data: Path, fields: dict[str, Any], recipe: "Recipe", split: Path | None) -> "Dataset":
    """Read DATA in the folds of a recipe, print notes on them, and check the attributes that it names."""
    from sepvae.data.spec import read_spec
    from sepvae.recipes.recipe import spec_of_data
    from sepvae.runs.dataset import check_attributes, read_dataset

    protocol = recipe.protocol
    spec = spec_of_data(data, read_spec(fields), recipe, split=split)
    if recipe.reader == "digits-on-photos" and (protocol.test_size is None or protocol.stratify_by):
        raise DataError(f"{recipe.file}: protocol: the digits come split in two; take test_size alone")
    dataset = read_dataset(data, spec, recipe, split=split, in_folds=True)
    for note in dataset.notes:
        tell(f"note: {note}")
    asked = [column.attribute for column in protocol.columns if column.attribute not in ("", "label")]
    own = ["target"] if len(set(dataset.pairs[0][0].labels)) > 2 else []  # the label among targets
    check_attributes(recipe, "columns", asked, [*dataset.kinds, *own])
    check_attributes(recipe, "adjust_for", protocol.adjust_for, dataset.kinds)
    return dataset


def choose_contenders(
    recipe: "Recipe | None", texts: list[str] | None, pairs: list[str] | None
) -> "list[Contender]":
    """Return the contenders, typed or else the recipe's; KEY=VALUE pairs override a recipe's keywords."""
    from sepvae.benchmark import parse_contender
    from sepvae.cli.fitting import split_pairs
    from sepvae.registry import find_method
    from sepvae.runs.from_data import check_keywords, recipe_keywords

    named = recipe.protocol.contenders if recipe and not texts else texts or ()
    wanted = [parse_contender(text) for text in named]
    if len(names := {c.name for c in wanted}) < len(wanted):
        raise DataError(f"--contender: wanted each once, got {len(wanted)} for {', '.join(sorted(names))}")
    if seed := [pair for pair in pairs or [] if pair.partition("=")[0] == "random_state"]:
        raise DataError(f"--set {seed[0]}: seeds are 0, 1, ..; --seeds says how many")
    typed, known = split_pairs(pairs), {c.method: find_method(c.method)().get_params() for c in wanted}
    for key in typed:  # of the methods that know it, else an error that names one of the first
        check_keywords([key], next((name for name in known if key in known[name]), wanted[0].method), "--set")
    own = {method: {key: typed[key] for key in typed if key in has} for method, has in known.items()}
    for c in wanted if recipe is None else ():
        find_method(c.method).from_preset(c.preset)  # raises for a wrong name
    of = {c.name: recipe_keywords(recipe, c.method, c.preset) if recipe else {} for c in wanted}
    return [replace(c, keywords=of[c.name] | own[c.method]) for c in wanted]


@contextmanager
def on_scheduler(address: str | None) -> Iterator[None]:
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
def live_table(cells: "Sequence[Cell]") -> Iterator[Callable[[dict[str, str]], None]]:
    """Yield a callback for cell states: it updates a live table, or prints finished cells off a terminal."""
    from rich.console import Console
    from rich.live import Live

    console, started = Console(stderr=True), time.monotonic()
    live = Live(console=console, refresh_per_second=2) if console.is_terminal else None
    done: list[str] = []  # names of finished and failed cells
    before: list[int] = []  # their number at the start, once it is known

    def show(states: dict[str, str]) -> None:
        for name, state in states.items():
            if state in DONE and name not in done:
                done.append(name)
                if live is None:
                    console.print(f"{len(done)} of {len(states)}: {name} {state}", highlight=False)
        before.append(len(done))
        if live is not None:
            live.update(table_of(cells, states, time.monotonic() - started, own=len(done) - before[0]))

    with live or nullcontext():
        yield show


def table_of(cells: "Sequence[Cell]", states: dict[str, str], seconds: float, *, own: int) -> "Group":
    """Return the cell states, one row per contender, and the time left; `own` cells took `seconds`."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    signs: dict[str, str] = {}
    for cell in cells:
        signs[cell.contender.name] = signs.get(cell.contender.name, "") + SIGNS[states[cell.name]]
    done = sum(state in DONE for state in states.values())
    left = f", about {seconds / own * (len(states) - done) / 60:.0f} min left" if own else ""
    table = Table(box=None)
    table.add_column("contender")
    table.add_column("cells")
    for name, row in signs.items():
        table.add_row(Text(printable(name)), row)
    return Group(table, f"{done} of {len(states)} cells, {seconds / 60:.0f} min{left}")
