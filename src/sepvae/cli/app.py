"""Typer commands; each imports its dependencies inside its function, so that `--help` starts quickly."""

from pathlib import Path
from typing import Annotated, Any

import typer

from sepvae import __version__
from sepvae.cli.benchmark import benchmark, stability
from sepvae.cli.fitting import demo, fit
from sepvae.cli.options import LISTED, BatchSize, Data, Split, TestSize, data_options
from sepvae.cli.people_commands import explore, subtypes, visits
from sepvae.cli.run_commands import encode, evaluate, maps, regions, report, rerun
from sepvae.cli.sharing_commands import export, push
from sepvae.errors import on_command_line

app = typer.Typer(
    help="Contrastive analysis for medical imaging: separate what patients share with controls "
    "from what only patients have.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"sepvae {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001  (its callback prints it)
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    context.with_resource(on_command_line())


app.command()(demo)


@app.command()
@data_options(*LISTED)
def check(
    data: Data,
    fields: dict[str, Any],
    split: Split = None,
    test_size: TestSize = 0.2,
    batch_size: BatchSize = "auto",
    json_: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Look at data before a fit: copies, confounds, unreadable images; status 1 if a fit would be spoilt."""
    import json

    from sepvae.cli.preparing import inspect_manifest, print_notes
    from sepvae.cli.tables import print_inspection
    from sepvae.data.loading import list_data
    from sepvae.data.spec import read_spec

    spec = read_spec(fields)
    manifest = list_data(data, spec, roles=False)
    how: dict[str, Any] = {"test_size": test_size, "batch_size": batch_size}
    inspection = inspect_manifest(manifest, spec, split=split, **how)
    if json_:
        typer.echo(json.dumps(inspection.to_dict(), indent=2))
    else:
        print_notes(manifest, spec)
        print_inspection(inspection)
    raise typer.Exit(1 if inspection.spoils else 0)


app.command()(fit)


@app.command()
@data_options("images", "root", "tables", "resample", "assume_orientation", "encoding")
def pack(
    table: Annotated[Path, typer.Argument(help="A table (csv, tsv) of NIfTI volumes.", show_default=False)],
    out: Annotated[Path, typer.Argument(help="Store to make, such as cohort.zarr.", show_default=False)],
    fields: dict[str, Any],
) -> None:
    """Pack volumes into one store that `fit` reads quickly, with little memory however many there are."""
    from sepvae.cli.preparing import pack_table

    for line in pack_table(table, out, **fields):
        typer.echo(line)


@app.command()
def recipes(
    name: Annotated[
        str | None, typer.Argument(help="A recipe to print, such as pneumonia.", show_default=False)
    ] = None,
) -> None:
    """List the recipes, or print one, to be saved and edited: `sepvae recipes pneumonia > mine.yaml`."""
    from sepvae.recipes import load_recipe
    from sepvae.recipes.recipe import recipe_names, recipe_text

    if name is not None:
        typer.echo(recipe_text(name), nl=False)
        return
    found = [load_recipe(name) for name in recipe_names()]
    names, titles = (max(len(getattr(r, column)) for r in found) for column in ("name", "title"))
    for recipe in found:
        typer.echo(f"{recipe.name:<{names}}  {recipe.title:<{titles}}  {recipe.reader}")


for command in (
    benchmark,
    stability,
    encode,
    maps,
    regions,
    evaluate,
    subtypes,
    visits,
    rerun,
    report,
    explore,
    export,
    push,
):
    app.command()(command)
