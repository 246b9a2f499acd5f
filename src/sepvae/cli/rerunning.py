"""`sepvae rerun`: repeat the fit of a run, and compare all numbers."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

from sepvae.cli.plain import tell
from sepvae.cli.reading import KEPT, MEMORY, list_like, read_samples
from sepvae.errors import DataError
from sepvae.progress import stage

if TYPE_CHECKING:
    import pandas as pd

    from sepvae.batch import Source

DIGITS = "digits-on-photos"


class Samples(NamedTuple):
    """Training and test samples of a run, read again."""

    train: "Source"
    test: "Source"
    quality_metrics: "pd.DataFrame | None" = None


def rerun_as_told(
    run: Path, data: Path | None, out: Path | None, root: Path | None, table: Path | None
) -> bool:
    """Repeat a run in another folder, print the differences, and return whether all numbers are identical."""
    from sepvae.cli.demo import free_folder
    from sepvae.cli.fitting import stoppable
    from sepvae.runs import check_new_run, compare_conditions, compare_runs, model_of, rerun
    from sepvae.training.distributed import check_launch

    model = model_of(run)
    if model.capabilities.epochs:
        check_launch(model.devices, model.num_nodes)
    first = model.is_first_process()
    say = tell if first else _silence
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


def complete_as_told(run: Path, data: Path | None, root: Path | None) -> None:
    """Add the files that a quick fit left out, after checking that DATA is that of the fit."""
    from sepvae.runs import complete_run, left_out_of
    from sepvae.runs.same_data import check_same_data

    if not left_out_of(run):
        tell(f"{run}: nothing was left out")
        return
    samples = read_again(run, data, root, None, tell, "evaluate RUN DATA --complete")
    with stage("comparing the data with those of the run", tell):
        check_same_data(run, samples.train, samples.test)
    tell(f"added: {', '.join(complete_run(run, samples.train, samples.test, say=tell))}")


def read_again(
    run: Path,
    data: Path | None,
    root: Path | None,
    table: Path | None,
    say: Any,
    again: str = "rerun RUN DATA",
) -> Samples:
    """Read the samples of a run in its order; errors name the command `again`."""
    import numpy as np

    from sepvae.cli.splitting import samples_of_run
    from sepvae.runs import read_recipe

    about = read_recipe(run).get("data", {})
    told = {"reader", "fingerprint"} if about.get("reader") == DIGITS else {*KEPT, "targets", "centre"}
    if not told <= about.keys():
        raise DataError(f"{run}: its recipe.yaml does not say how the data were read; repeat it in Python")
    if about["reader"] == DIGITS:
        from sepvae.data.bundled import load_digits_on_photos

        if given := next((x for x in (data, root, table) if x is not None and str(x) != DIGITS), None):
            raise DataError(
                f"{given}: {run} was fitted on {DIGITS}, which come with the library; leave it out"
            )
        return Samples(*load_digits_on_photos(about.get("split_seed", 0)))
    if data is None:
        name = about.get("name", "data")
        raise DataError(f"{run}: was fitted on {name} ({about['reader']}); say where that is: sepvae {again}")
    manifest, look = list_like(run, data, root, table)
    of_run = samples_of_run(run, manifest)
    if of_run.others and about.get("limit") is None:
        say(f"note: {len(of_run.others)} samples are not of {run}, such as {of_run.others[0]!r}; left out")
    source, quality_metrics = read_samples(of_run.manifest, look, MEMORY)
    if quality_metrics is not None:
        quality_metrics = quality_metrics.iloc[np.concatenate([of_run.train, of_run.test])]
    return Samples(source.select(of_run.train), source.select(of_run.test), quality_metrics)


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


def _silence(message: str) -> None:
    """Discard the message; no-op logger for ranks above 0."""
