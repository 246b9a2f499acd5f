"""`sepvae rerun`: repeat the fit of a run, and compare all numbers."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from sepvae.cli.plain import tell
from sepvae.progress import silence, stage

if TYPE_CHECKING:
    import pandas as pd


def rerun_and_compare(
    run: Path, data: Path | None, out: Path | None, root: Path | None = None, table: Path | None = None
) -> bool:
    """Repeat a run in another folder, print the differences, and return whether all numbers are identical."""
    from sepvae.cli.demo import free_folder
    from sepvae.cli.fitting import stoppable
    from sepvae.runs import check_new_run, compare_conditions, compare_runs, model_of, rerun
    from sepvae.runs.new_data import read_again
    from sepvae.training.distributed import check_launch

    model = model_of(run)
    if model.capabilities.epochs:
        check_launch(model.devices, model.num_nodes)
    first = model.is_first_process()
    say = tell if first else silence
    named = run if run.name not in ("", "..") else run.resolve()
    out = out or free_folder(named.with_name(f"{named.name}-rerun"))
    if first:
        check_new_run(out)
    samples = read_again(run, data, root, table, say)
    with stoppable(out, say, "nothing is compared"):
        rerun(run, samples.train, samples.test, out, quality_metrics=samples.quality_metrics, say=say)
    if not first:
        return True
    differences = compare_runs(run, out)
    print_differences(differences, compare_conditions(run, out))
    same = bool(differences["identical"].all())
    typer.echo(f"{out}: {'all numbers are' if same else 'not all numbers are'} those of {run}")
    return same


def complete_quick_run(run: Path, data: Path | None, root: Path | None = None) -> None:
    """Add the files that a quick fit left out, after checking that DATA is that of the fit."""
    from sepvae.runs import complete_run, left_out_of
    from sepvae.runs.new_data import read_again
    from sepvae.runs.same_data import check_same_data

    if not left_out_of(run):
        tell(f"{run}: nothing was left out")
        return
    samples = read_again(run, data, root, None, tell, "evaluate RUN DATA --complete")
    with stage("comparing the data with those of the run", tell):
        check_same_data(run, samples.train, samples.test)
    tell(f"added: {', '.join(complete_run(run, samples.train, samples.test, say=tell))}")


def print_differences(differences: "pd.DataFrame", conditions: "pd.DataFrame") -> None:
    """Print one row per kind of numbers, then the versions and threads that differ."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

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
