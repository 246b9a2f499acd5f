"""Commands on the run folder of a fit; each imports its dependencies inside its function."""

from pathlib import Path
from typing import Annotated, Any

import typer

from sepvae.cli import load_torch, tell
from sepvae.cli.options import (
    AdjustFor,
    Complete,
    Inference,
    PermutationsAgain,
    Refits,
    Run,
    UnseenSite,
    UnseenSiteOrEstimate,
    data_options,
    permutations_again,
)


@data_options("root", "tables")
def encode(
    run: Run,
    data: Annotated[
        Path, typer.Argument(help="Samples to encode, read as those fitted on.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="CSV file to write, or AnnData (h5ad).", show_default=False)],
    fields: dict[str, Any],
    unseen_site: UnseenSiteOrEstimate = None,
) -> None:
    """Write the codes of samples, and whether the run has seen them; labels are not needed."""
    check_out(out, "file")
    load_torch()

    from sepvae.data.h5ad import write_codes
    from sepvae.files import write_table
    from sepvae.runs.new_data import read_new_data
    from sepvae.runs.scoring import encode_run

    samples = read_new_data(run, data, **fields, labelled=False, say=tell)
    codes = encode_run(run, samples, unseen_site=unseen_site, say=tell)
    write = write_codes if out.suffix.lower() == ".h5ad" else write_table
    write(out, codes)
    parts = ", ".join(f"{n} {part}" for part, n in codes["split"].value_counts().items())
    typer.echo(f"codes of {len(codes)} samples ({parts}): {out}")


@data_options("root", "tables")
def maps(
    run: Run,
    data: Annotated[
        Path, typer.Argument(help="Volumes, images or features, as those fitted on.", show_default=False)
    ],
    fields: dict[str, Any],
    out: Annotated[Path | None, typer.Option(help="Folder to make; none with --inference.")] = None,
    inference: Inference = False,
    null: Refits = 0,
    jobs: Annotated[int, typer.Option(min=1, help="With --null: refits at once.")] = 1,
    adjust_for: AdjustFor = None,
    unseen_site: UnseenSiteOrEstimate = None,
) -> None:
    """Write what the salient part adds to new samples; or, with --inference, test that of the run's own."""
    from sepvae.errors import DataError
    from sepvae.run_folder import MapFolder

    tests = inference or null > 0
    for option, of, ignored in (
        ("--adjust-for", "--inference", adjust_for and not tests),
        ("--jobs", "--null", jobs > 1 and not null),
    ):
        if ignored:
            raise DataError(f"{option} has no meaning without {of}; leave it out, or add {of}")
    if tests:
        if unseen_site is not None:
            raise DataError("--unseen-site: tests are of the run's own samples; leave it out")
        if out is not None:
            raise DataError(f"--out: tests go to {run}/inference; leave it out, or --inference and --null")
        _infer(run, data, fields, adjust_for=adjust_for, refits=null, jobs=jobs)
        return
    if out is None:
        raise DataError("--out: wanted a folder to make for the maps, got none")
    check_out(out, "folder for maps")
    load_torch()

    from sepvae.runs import map_run
    from sepvae.runs.new_data import read_new_data

    samples = read_new_data(run, data, **fields, labelled=False, say=tell)
    folder = map_run(run, samples, out, unseen_site=unseen_site, say=tell)
    typer.echo(f"maps: {folder}")
    if (pictures := MapFolder(folder).figures).is_dir():
        typer.echo(f"pictures: {pictures}")
    else:
        typer.echo("no pictures: they compare groups, and no sample has a label that was fitted on")


def regions(
    run: Annotated[
        Path,
        typer.Argument(help="A run folder, or a folder of `sepvae maps`, with volumes.", show_default=False),
    ],
    atlas: Annotated[
        str,
        typer.Option(
            metavar="NAME|FILE",
            help="A label image in the space of the maps, or an atlas in nilearn's folder: aal, destrieux, "
            "harvard-oxford, schaefer-100, ..",
            show_default=False,
        ),
    ],
    labels: Annotated[
        Path | None,
        typer.Option(help="Names of its regions: a table of index and name, or FreeSurfer's colour table."),
    ] = None,
    download: Annotated[
        bool, typer.Option("--download", help="Let nilearn fetch a named atlas that is not in its folder.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace tables of another atlas in the folder.")
    ] = False,
) -> None:
    """Average maps over the regions of an atlas, for each person and group, and compare the groups."""
    from sepvae.run_folder import RunFolder
    from sepvae.runs.regions import write_regions

    folder = write_regions(run, atlas, labels, download=download, overwrite=overwrite, say=tell)
    page = f", report: {written_page(run)}" if RunFolder(run).recipe.exists() else ""
    typer.echo(f"regions: {folder}{page}")


@data_options("root", "tables")
def evaluate(
    run: Run,
    fields: dict[str, Any],
    data: Annotated[
        Path | None, typer.Argument(help="New samples to score; without, the run's test part.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="CSV file to write; RUN/scores.csv without DATA.")] = None,
    permutations: PermutationsAgain = None,
    complete: Complete = False,
    unseen_site: UnseenSite = None,
) -> None:
    """Score codes: what each space knows of each attribute, against chance."""
    load_torch()

    from sepvae.cli.tables import print_scores, print_warnings
    from sepvae.files import write_table
    from sepvae.run_folder import RunFolder
    from sepvae.runs import evaluate_run
    from sepvae.runs.new_data import read_new_data
    from sepvae.runs.scoring import keep_scores, recorded_permutations

    if out is not None:
        check_out(out, "file")
    check_new_data(unseen_site, None if complete else data)
    recorded = recorded_permutations(run)
    permutations = permutations_again(permutations, recorded, complete=complete)
    if complete:
        _complete(run, data, fields)
        data = None
    source = None if data is None else read_new_data(run, data, **fields, say=tell)
    if permutations != recorded:
        tell(f"note: p-values are of {permutations} permutations; those of {run} were of {recorded}")
    how: dict[str, Any] = {"n_permutations": permutations, "unseen_site": unseen_site}
    scores = evaluate_run(run, source, **how, say=tell)
    if data is None and out is None:
        keep_scores(run, scores, n_permutations=permutations)
        typer.echo(f"scores: {RunFolder(run).scores}, report: {written_page(run)}")
    elif out is not None:
        write_table(out, scores)
        typer.echo(f"scores: {out}")
    else:
        typer.echo("nothing is written; --out FILE.csv keeps the scores")
    print_scores(scores, RunFolder(run).inspection.read() if source is None else None)
    if data is None and out is None:
        print_warnings(run)


@data_options("root", "tables")
def rerun(
    run: Run,
    fields: dict[str, Any],
    data: Annotated[
        Path | None,
        typer.Argument(help="What it was fitted on; not needed where data come with the library."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Run folder to make; by default RUN-rerun, or RUN-rerun-2, ..")
    ] = None,
) -> None:
    """Fit again as a run was fitted, and compare all numbers; status 1 if one differs."""
    load_torch()

    from sepvae.cli.fitting import free_folder, stoppable
    from sepvae.cli.tables import print_differences
    from sepvae.progress import silence
    from sepvae.runs import compare_runs
    from sepvae.runs import rerun as fit_again
    from sepvae.runs.new_data import read_again
    from sepvae.runs.rerunning import compare_conditions, model_of
    from sepvae.runs.resume import check_new_run
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
    samples = read_again(run, data, say, **fields)
    with stoppable(out, say, "nothing is compared"):
        fit_again(run, samples.train, samples.test, out, quality_metrics=samples.quality_metrics, say=say)
    if first:
        differences = compare_runs(run, out)
        print_differences(differences, compare_conditions(run, out))
        same = bool(differences["identical"].all())
        typer.echo(f"{out}: {'all numbers are' if same else 'not all numbers are'} those of {run}")
        raise typer.Exit(0 if same else 1)


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
    from sepvae.progress import stage
    from sepvae.report import write_report
    from sepvae.report.page import write_comparison

    with stage("writing the page", tell):
        if len(runs) == 1:
            page = write_report(runs[0], out, images=images)
        else:
            page = write_comparison(runs, out or Path("comparison.html"), images=images)
    typer.echo(f"report: {page}")


def _infer(run: Path, data: Path, fields: dict[str, Any], **how: Any) -> None:
    """Test the group map of a run, after checking that DATA is that of the fit, and write the page."""
    load_torch()

    from sepvae.progress import stage
    from sepvae.runs.map_inference import infer_maps
    from sepvae.runs.new_data import read_again
    from sepvae.runs.resume import check_same_data

    samples = read_again(run, data, tell, "maps RUN DATA --inference", **fields)
    with stage("comparing the data with those of the run", tell):
        check_same_data(run, samples.train, samples.test)
    folder = infer_maps(run, samples.train, samples.test, **how, say=tell)
    typer.echo(f"tests: {folder}, report: {written_page(run)}")


def _complete(run: Path, data: Path | None, fields: dict[str, Any]) -> None:
    """Add the files that a quick fit left out, after checking that DATA is that of the fit."""
    from sepvae.progress import stage
    from sepvae.runs.finishing import complete_run, left_out_of
    from sepvae.runs.new_data import read_again
    from sepvae.runs.resume import check_same_data

    if not left_out_of(run):
        tell(f"{run}: nothing was left out")
        return
    samples = read_again(run, data, tell, "evaluate RUN DATA --complete", **fields)
    with stage("comparing the data with those of the run", tell):
        check_same_data(run, samples.train, samples.test)
    tell(f"added: {', '.join(complete_run(run, samples.train, samples.test, say=tell))}")


def written_page(run: Path) -> Path:
    """Write the page of a run again, and return its path."""
    from sepvae.progress import stage
    from sepvae.report.page import write_report

    with stage("writing the page", tell):
        return write_report(run)


def check_new_data(unseen_site: str | None, data: Path | None) -> None:
    """Raise if sites of new samples are treated, but there are none."""
    from sepvae.errors import DataError

    if unseen_site is not None and data is None:
        raise DataError("--unseen-site: it is for people in DATA, got none; leave it out, or give DATA")


def check_out(file: Path, what: str) -> None:
    """Raise if an output, such as a "file", exists, or has no folder to be written into."""
    from sepvae.errors import RunFolderError
    from sepvae.files import check_new

    check_new(file, what)
    if not file.parent.is_dir():
        raise RunFolderError(f"{file}: there is no folder {file.parent}; make it, or choose another --out")
