"""Typer commands; each imports its dependencies inside its function, so that `--help` starts quickly."""

from pathlib import Path
from typing import Annotated, Any

import typer

from sepvae import __version__
from sepvae.cli.options import (
    BatchSize,
    Permutations,
    Quick,
    Recipe,
    Removal,
    Set,
    scoring_options,
    size_of_batch,
)
from sepvae.cli.reading import LISTED, Data, Split, TestSize, data_options, typed_options
from sepvae.cli.run_commands import encode, evaluate, maps, report, rerun
from sepvae.run_folder import N_PERMUTATIONS

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
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


@app.command()
def demo(
    context: typer.Context,
    out: Annotated[
        Path | None, typer.Option(help="Run folder; by default sepvae-demo, or sepvae-demo-2, ..")
    ] = None,
    set_: Set = None,
    permutations: Permutations = N_PERMUTATIONS,
    removal: Removal = None,
    quick: Quick = False,
) -> None:
    """Fit on embedded data: handwritten digits (salient) on photographs (common)."""
    from sepvae.cli.demo import DEMO, free_folder
    from sepvae.cli.fitting import show, stoppable
    from sepvae.cli.keywords import parse_keywords
    from sepvae.data.bundled import load_digits_on_photos
    from sepvae.methods import SepVAE
    from sepvae.runs import fit_run

    train, test = load_digits_on_photos()
    out = out or free_folder(Path("sepvae-demo"))
    model = SepVAE(**DEMO | parse_keywords(set_ or []))
    typer.echo("digits-on-photos: background = half a photograph, target = half a photograph + half a digit")
    with stoppable(out, typer.echo, "the next demo gets a folder of its own"):
        scores = fit_run(
            model,
            train,
            test,
            out,
            about_data={"reader": "digits-on-photos"},
            **scoring_options(
                permutations=permutations, removal=removal, quick=quick, typed=typed_options(context)
            ),
            say=typer.echo,
        )
    show(scores, out)


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

    from sepvae.cli.findings import print_inspection
    from sepvae.cli.inspecting import inspect_manifest, print_notes
    from sepvae.data.loading import list_data
    from sepvae.data.spec import read_spec

    spec = read_spec(fields)
    manifest = list_data(data, spec, two_labels=False)
    inspection = inspect_manifest(
        manifest, spec, split=split, test_size=test_size, batch_size=size_of_batch(batch_size)
    )
    if json_:
        typer.echo(json.dumps(inspection.to_dict(), indent=2))
    else:
        print_notes(manifest, spec)
        print_inspection(inspection)
    raise typer.Exit(1 if inspection.spoils else 0)


@app.command()
@data_options()
def fit(
    context: typer.Context,
    data: Data,
    *,
    out: Annotated[Path, typer.Option(help="Run folder to make.", show_default=False)],
    recipe: Recipe = None,
    method: Annotated[
        str,
        typer.Option(help="SepVAE, ConVAE, MMcVAE, ContrastivePCA, or one of another package."),
    ] = "SepVAE",
    preset: Annotated[str, typer.Option(help="default, paper, or another of the method.")] = "default",
    set_: Set = None,
    fields: dict[str, Any],
    split: Split = None,
    test_size: TestSize = 0.2,
    split_seed: Annotated[int, typer.Option(help="Seed of the split.")] = 0,
    permutations: Permutations = N_PERMUTATIONS,
    removal: Removal = None,
    quick: Quick = False,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on where a fit in --out was stopped, with its options where they are not given; begin "
            "where there is none, for jobs.",
        ),
    ] = False,
) -> None:
    """Fit on one part of the data, score the other, and write a run folder with a page to read."""
    from sepvae.cli.fitting import run_fit, with_options_of_run

    if resume and (whole := with_options_of_run(context, out)) is not None:
        context.command.invoke(whole)
        return
    typed = typed_options(context)
    run_fit(
        data,
        out,
        fields,
        recipe=recipe,
        method=method,
        preset=preset,
        pairs=set_ or [],
        split=split,
        test_size=test_size if "test_size" in typed else None,
        split_seed=split_seed if "split_seed" in typed else None,
        scoring=scoring_options(permutations=permutations, removal=removal, quick=quick, typed=typed),
        resume=resume,
        command=context.obj,
    )


@app.command()
@data_options("images", "root", "resample", "assume_orientation", "encoding")
def pack(
    table: Annotated[Path, typer.Argument(help="A table (csv, tsv) of NIfTI volumes.", show_default=False)],
    out: Annotated[Path, typer.Argument(help="Store to make, such as cohort.zarr.", show_default=False)],
    fields: dict[str, Any],
) -> None:
    """Pack volumes into one store that `fit` reads quickly, with little memory however many there are."""
    from sepvae.cli.pack import pack_table

    for line in pack_table(table, out, **fields):
        typer.echo(line)


@app.command()
def recipes(
    name: Annotated[
        str | None, typer.Argument(help="A recipe to print, such as pneumonia.", show_default=False)
    ] = None,
) -> None:
    """List the recipes, or print one, to be saved and edited: `sepvae recipes pneumonia > mine.yaml`."""
    from sepvae.cli.recipes import print_recipes

    print_recipes(name)


@app.command()
@data_options("background", "attributes", "root", "limit", "memory")
def benchmark(
    data: Data,
    fields: dict[str, Any],
    recipe: Annotated[str, typer.Option(metavar="NAME|FILE", help="As for `fit`.", show_default=False)],
    out: Annotated[
        Path, typer.Option(help="Folder to make; one that was stopped goes on.", show_default=False)
    ],
    contender: Annotated[
        list[str] | None,
        typer.Option(
            metavar="METHOD[:PRESET[:ABLATION]]",
            help="What to compare, such as SepVAE:paper or 'SepVAE:paper:no MI'; by default what the recipe "
            "names. Repeatable.",
        ),
    ] = None,
    set_: Set = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Fits of each; by default as the recipe says.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Cells at once.")] = 1,
    threads: Annotated[int, typer.Option(min=1, help="Threads of each cell.")] = 1,
    scheduler: Annotated[
        str | None,
        typer.Option(help="Run cells on a dask cluster: its address, or its scheduler file."),
    ] = None,
    split: Split = None,
    permutations: Permutations = 0,
) -> None:
    """Compare methods over seeds or folds: one table of all scores, the paper's tables and figures."""
    from sepvae.cli.benchmark import run_recipe_benchmark

    run_recipe_benchmark(
        data,
        out,
        fields,
        split=split,
        recipe=recipe,
        contenders=contender,
        pairs=set_,
        seeds=seeds,
        jobs=jobs,
        threads=threads,
        scheduler=scheduler,
        permutations=permutations,
    )


for command in (encode, maps, evaluate, rerun, report):
    app.command()(command)
