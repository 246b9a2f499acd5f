"""Commands on the run folder of a fit; each imports its dependencies inside its function."""

from pathlib import Path
from typing import Annotated, Any

import typer

from sepvae.cli.options import PermutationsAgain, Run
from sepvae.cli.reading import data_options


@data_options("root")
def encode(
    run: Run,
    data: Annotated[
        Path, typer.Argument(help="Samples to encode, read as those fitted on.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="CSV file to write.", show_default=False)],
    fields: dict[str, Any],
) -> None:
    """Write the codes of samples, and whether the run has seen them; labels are not needed."""
    from sepvae.cli.plain import tell
    from sepvae.files import write_table
    from sepvae.runs import encode_run
    from sepvae.runs.new_data import read_new_data

    _check_out(out, "file")
    codes = encode_run(run, read_new_data(run, data, **fields, labelled=False, say=tell), say=tell)
    write_table(out, codes)
    parts = ", ".join(f"{n} {part}" for part, n in codes["split"].value_counts().items())
    typer.echo(f"codes of {len(codes)} samples ({parts}): {out}")


@data_options("root")
def maps(
    run: Run,
    data: Annotated[
        Path, typer.Argument(help="Volumes, images or features, as those fitted on.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="Folder to make.", show_default=False)],
    fields: dict[str, Any],
) -> None:
    """Write what the salient part adds to new samples; a fit does so for its test part in RUN/maps."""
    from sepvae.cli.plain import tell
    from sepvae.run_folder import MapFolder
    from sepvae.runs import map_run
    from sepvae.runs.new_data import read_new_data

    _check_out(out, "folder for maps")
    folder = map_run(run, read_new_data(run, data, **fields, labelled=False, say=tell), out, say=tell)
    typer.echo(f"maps: {folder}")
    if (pictures := MapFolder(folder).figures).is_dir():
        typer.echo(f"pictures: {pictures}")
    else:
        typer.echo("no pictures: they compare groups, and no sample has a label that was fitted on")


@data_options("root")
def evaluate(
    run: Run,
    fields: dict[str, Any],
    data: Annotated[
        Path | None, typer.Argument(help="New samples to score; without, the run's test part.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="CSV file to write; RUN/scores.csv without DATA.")] = None,
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
    from sepvae.runs.new_data import read_new_data

    if out is not None:
        _check_out(out, "file")
    recorded = recorded_permutations(run)
    permutations = permutations_again(permutations, recorded, complete=complete)
    if complete:
        from sepvae.cli.rerunning import complete_quick_run

        complete_quick_run(run, data, **fields)
        data = None
    source = None if data is None else read_new_data(run, data, **fields, say=tell)
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


@data_options("root", "table")
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
    from sepvae.cli.rerunning import rerun_and_compare

    raise typer.Exit(0 if rerun_and_compare(run, data, out, **fields) else 1)


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


def _check_out(file: Path, what: str) -> None:
    from sepvae.errors import RunFolderError
    from sepvae.files import check_new

    check_new(file, what)
    if not file.parent.is_dir():
        raise RunFolderError(f"{file}: there is no folder {file.parent}; make it, or choose another --out")
