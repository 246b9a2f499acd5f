"""Typer commands; each imports its dependencies inside its function, so that `--help` starts quickly."""

from pathlib import Path
from typing import Annotated, Any

import typer

from sepvae import __version__
from sepvae.cli.options import (
    BatchSize,
    Modality,
    Permutations,
    PermutationsAgain,
    Quick,
    Recipe,
    Removal,
    Run,
    Set,
    scoring_options,
    size_of_batch,
)
from sepvae.cli.reading import (
    MEMORY,
    READ_AS,
    AssumeOrientation,
    Attribute,
    Background,
    Channels,
    Data,
    Encoding,
    Features,
    FitTo,
    Group,
    Id,
    Images,
    ImageSize,
    Label,
    Limit,
    LimitBy,
    Mask,
    MaskThreshold,
    Memory,
    Missing,
    NotMissing,
    Pattern,
    Resample,
    Root,
    Split,
    Subject,
    Table,
    Target,
    TestSize,
    data_options,
    read_like,
    roles_of,
    subject_of,
)

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
    permutations: Permutations = 100,
    removal: Removal = None,
    quick: Quick = False,
) -> None:
    """Fit on embedded data: handwritten digits (salient) on photographs (common)."""
    from sepvae.cli.demo import DEMO, free_folder
    from sepvae.cli.fitting import show, stoppable, typed_options
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
def check(
    data: Data,
    background: Background = None,
    target: Target = None,
    attribute: Attribute = None,
    label: Label = None,
    subject: Subject = None,
    group: Group = None,
    id_: Id = None,
    images: Images = None,
    features: Features = None,
    root: Root = None,
    table: Table = None,
    pattern: Pattern = None,
    modality: Modality = None,
    limit: Limit = None,
    limit_by: LimitBy = None,
    mask: Mask = None,
    mask_threshold: MaskThreshold = None,
    resample: Resample = False,
    assume_orientation: AssumeOrientation = None,
    missing: Missing = None,
    not_missing: NotMissing = None,
    encoding: Encoding = None,
    split: Split = None,
    test_size: TestSize = 0.2,
    batch_size: BatchSize = "auto",
    json_: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Look at data before a fit: copies, confounds, unreadable images; status 1 if a fit would be spoilt."""
    import json

    from sepvae.cli.findings import print_inspection
    from sepvae.cli.inspecting import BEFORE_FINDINGS, inspect_manifest
    from sepvae.cli.plain import plain
    from sepvae.data.load import list_data

    options = data_options(
        background=background,
        target=target,
        attribute=attribute,
        label=label,
        subject=subject_of(subject, group),
        id=id_,
        images=images,
        features=features or None,
        root=root,
        table=table,
        pattern=pattern,
        modality=modality,
        limit=limit,
        limit_by=limit_by,
        assume_orientation=assume_orientation,
        missing=missing or None,
        not_missing=not_missing or None,
        encoding=encoding,
    )
    manifest, reader = list_data(data, **options, two_labels=False)
    how: dict[str, Any] = {"split": split, "test_size": test_size, "batch_size": size_of_batch(batch_size)}
    how["not_missing"] = not_missing or ()
    inspection = inspect_manifest(
        manifest, **how, mask=mask, mask_threshold=mask_threshold, resample=resample
    )
    if json_:
        typer.echo(json.dumps(inspection.to_dict(), indent=2))
    else:
        for note in READ_AS.get(reader, []):
            typer.echo(f"note: {note}")
        for of_table in manifest.table_notes:
            if of_table.code in BEFORE_FINDINGS:
                typer.echo(plain(f"note: {of_table.message}"))
        if manifest.background is not None:
            typer.echo(roles_of(manifest, named=background is not None or reader in READ_AS))
        print_inspection(inspection)
    raise typer.Exit(1 if inspection.spoils else 0)


@app.command()
def fit(
    context: typer.Context,
    data: Data,
    out: Annotated[Path, typer.Option(help="Run folder to make.", show_default=False)],
    recipe: Recipe = None,
    method: Annotated[
        str,
        typer.Option(help="SepVAE, ConVAE, MMcVAE, ContrastivePCA, or one of another package."),
    ] = "SepVAE",
    preset: Annotated[str, typer.Option(help="default, paper, or another of the method.")] = "default",
    set_: Set = None,
    background: Background = None,
    target: Target = None,
    attribute: Attribute = None,
    label: Label = None,
    subject: Subject = None,
    group: Group = None,
    id_: Id = None,
    images: Images = None,
    features: Features = None,
    root: Root = None,
    table: Table = None,
    pattern: Pattern = None,
    modality: Modality = None,
    image_size: ImageSize = None,
    channels: Channels = None,
    fit_: FitTo = "pad",
    mask: Mask = None,
    mask_threshold: MaskThreshold = None,
    resample: Resample = False,
    assume_orientation: AssumeOrientation = None,
    missing: Missing = None,
    not_missing: NotMissing = None,
    encoding: Encoding = None,
    memory: Memory = MEMORY,
    limit: Limit = None,
    limit_by: LimitBy = None,
    split: Split = None,
    test_size: TestSize = 0.2,
    split_seed: Annotated[int, typer.Option(help="Seed of the split.")] = 0,
    permutations: Permutations = 100,
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
    from sepvae.cli.fitting import run_fit, typed_options, with_options_of_run

    if resume and (whole := with_options_of_run(context, out)) is not None:
        context.command.invoke(whole)
        return
    options = {
        "background": background,
        "target": target,
        "attribute": attribute,
        "label": label,
        "subject": subject_of(subject, group),
        "id": id_,
        "images": images,
        "features": features or None,
        "root": root,
        "table": table,
        "pattern": pattern,
        "modality": modality,
        "image_size": image_size,
        "channels": channels,
        "fit": fit_,
        "mask": mask,
        "mask_threshold": mask_threshold,
        "resample": resample,
        "assume_orientation": assume_orientation,
        "missing": missing or None,
        "not_missing": not_missing or None,
        "encoding": encoding,
        "memory": memory,
        "limit": limit,
        "limit_by": limit_by,
        "split": split,
        "test_size": test_size,
        "split_seed": split_seed,
    }
    typed = typed_options(context)
    run_fit(
        data,
        out,
        options,
        typed=typed,
        recipe=recipe,
        method=method,
        preset=preset,
        pairs=set_,
        scoring=scoring_options(permutations=permutations, removal=removal, quick=quick, typed=typed),
        resume=resume,
        command=context.obj,
    )


@app.command()
def pack(
    table: Annotated[Path, typer.Argument(help="A table (csv, tsv) of NIfTI volumes.", show_default=False)],
    out: Annotated[Path, typer.Argument(help="Store to make, such as cohort.zarr.", show_default=False)],
    images: Images = None,
    root: Root = None,
    resample: Resample = False,
    assume_orientation: AssumeOrientation = None,
    encoding: Encoding = None,
) -> None:
    """Pack volumes into one store that `fit` reads quickly, with little memory however many there are."""
    from sepvae.cli.pack import pack_table
    from sepvae.errors import DataError

    if images is None:
        raise DataError(f"{table}: name the column of volumes, such as --images path")
    for line in pack_table(
        table, out, images=images, root=root, resample=resample, assume=assume_orientation, encoding=encoding
    ):
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
def benchmark(
    context: typer.Context,
    data: Data,
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
    background: Background = None,
    attribute: Attribute = None,
    root: Root = None,
    limit: Limit = None,
    memory: Memory = MEMORY,
    split: Split = None,
    permutations: Permutations = 0,
) -> None:
    """Compare methods over seeds or folds: one table of all scores, the paper's tables and figures."""
    from sepvae.cli.benchmark import benchmark_as_told
    from sepvae.cli.fitting import typed_options

    benchmark_as_told(
        data,
        out,
        {
            "background": background,
            "attribute": attribute,
            "root": root,
            "limit": limit,
            "memory": memory,
            "split": split,
        },
        typed=typed_options(context),
        recipe=recipe,
        contenders=contender,
        pairs=set_,
        seeds=seeds,
        jobs=jobs,
        threads=threads,
        scheduler=scheduler,
        permutations=permutations,
    )


@app.command()
def encode(
    run: Run,
    data: Annotated[
        Path, typer.Argument(help="Samples to encode, read as those fitted on.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="CSV file to write.", show_default=False)],
    root: Root = None,
) -> None:
    """Write the codes of samples, and whether the run has seen them; labels are not needed."""
    from sepvae.cli.plain import tell
    from sepvae.files import write_table
    from sepvae.runs import encode_run

    _refuse_existing(out)
    codes = encode_run(run, read_like(run, data, root, labelled=False), say=tell)
    write_table(out, codes)
    parts = ", ".join(f"{n} {part}" for part, n in codes["split"].value_counts().items())
    typer.echo(f"codes of {len(codes)} samples ({parts}): {out}")


@app.command()
def maps(
    run: Run,
    data: Annotated[
        Path, typer.Argument(help="Volumes, images or features, as those fitted on.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="Folder to make.", show_default=False)],
    root: Root = None,
) -> None:
    """Write what the salient part adds to new samples; a fit does so for its test part in RUN/maps."""
    from sepvae.cli.plain import tell
    from sepvae.run_folder import MapFolder
    from sepvae.runs import map_run

    _refuse_existing(out)
    folder = map_run(run, read_like(run, data, root, labelled=False), out, say=tell)
    typer.echo(f"maps: {folder}")
    if (pictures := MapFolder(folder).figures).is_dir():
        typer.echo(f"pictures: {pictures}")
    else:
        typer.echo("no pictures: they compare groups, and no sample has a label that was fitted on")


@app.command()
def evaluate(
    run: Run,
    data: Annotated[
        Path | None, typer.Argument(help="New samples to score; without, the run's test part.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="CSV file to write; RUN/scores.csv without DATA.")] = None,
    root: Root = None,
    permutations: PermutationsAgain = None,
    complete: Annotated[
        bool,
        typer.Option(
            "--complete",
            help="Add removal scores, thumbnails and permutations that the fit left out; DATA are then those "
            "of the fit.",
        ),
    ] = False,
) -> None:
    """Score codes: what each space knows of each attribute, against chance."""
    from sepvae.cli.options import permutations_again
    from sepvae.cli.plain import tell
    from sepvae.cli.table import print_scores, print_warnings
    from sepvae.files import write_table
    from sepvae.progress import stage
    from sepvae.report.page import write_report
    from sepvae.run_folder import RunFolder
    from sepvae.runs import evaluate_run, keep_scores, recorded_permutations

    if out is not None:
        _refuse_existing(out)
    recorded = recorded_permutations(run)
    permutations = permutations_again(permutations, recorded, complete=complete)
    if complete:
        from sepvae.cli.rerunning import complete_as_told

        complete_as_told(run, data, root)
        data = None
    source = None if data is None else read_like(run, data, root)
    if permutations != recorded:
        tell(f"note: p-values are of {permutations} permutations; those of {run} were of {recorded}")
    scores = evaluate_run(run, source, n_permutations=permutations, say=tell)
    if data is None and out is None:
        keep_scores(run, scores, n_permutations=permutations)
        with stage("writing the page", tell):
            page = write_report(run)
        typer.echo(f"scores: {RunFolder(run).scores}, report: {page}")
    elif out is not None:
        write_table(out, scores)
        typer.echo(f"scores: {out}")
    else:
        typer.echo("nothing is written; --out FILE.csv keeps the scores")
    print_scores(scores)
    if data is None and out is None:
        print_warnings(run)


@app.command()
def rerun(
    run: Run,
    data: Annotated[
        Path | None,
        typer.Argument(help="What it was fitted on; not needed where data come with the library."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Run folder to make; by default RUN-rerun, or RUN-rerun-2, ..")
    ] = None,
    root: Root = None,
    table: Table = None,
) -> None:
    """Fit again as a run was fitted, and compare all numbers; status 1 if one differs."""
    from sepvae.cli.rerunning import rerun_as_told

    raise typer.Exit(0 if rerun_as_told(run, data, out, root, table) else 1)


@app.command()
def report(
    runs: Annotated[
        list[Path],
        typer.Argument(help="A run folder; or several, to set side by side.", show_default=False),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Page to write; by default RUN/report.html, or comparison.html.")
    ] = None,
    images: Annotated[
        bool, typer.Option("--images/--no-images", help="Show single images and ids, or leave them out.")
    ] = True,
) -> None:
    """Write the page of a run folder again, or one page on several."""
    from sepvae.cli.plain import tell
    from sepvae.progress import stage
    from sepvae.report import write_comparison, write_report

    with stage("writing the page", tell):
        if len(runs) == 1:
            page = write_report(runs[0], out, images=images)
        else:
            page = write_comparison(runs, out or Path("comparison.html"), images=images)
    typer.echo(f"report: {page}")


def _refuse_existing(file: Path) -> None:
    from sepvae.errors import RunFolderError

    if file.exists():
        raise RunFolderError(f"{file}: exists; choose another --out, or remove it")
    if not file.parent.is_dir():
        raise RunFolderError(f"{file}: there is no folder {file.parent}; make it, or choose another --out")
