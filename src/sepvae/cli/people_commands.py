"""Commands on the people of a run: subtypes, visits, the page; each imports inside its function."""

from pathlib import Path
from typing import Annotated, Any

import typer

from sepvae.cli import load_torch, tell
from sepvae.cli.options import Run, UnseenSiteOrEstimate, data_options
from sepvae.cli.run_commands import check_new_data, check_out, written_page


@data_options("root", "tables")
def subtypes(
    run: Run,
    fields: dict[str, Any],
    data: Annotated[
        Path | None,
        typer.Argument(help="What it was fitted on: clusters of raw measures are then set beside."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the files; by default RUN.")] = None,
) -> None:
    """Look for subtypes of patients in the salient codes, beside the null of a single Gaussian."""
    load_torch()

    from sepvae.cli.tables import print_subtypes
    from sepvae.run_folder import RunFolder
    from sepvae.runs.new_data import has_bundled_data, read_again
    from sepvae.runs.subtyping import find_run_subtypes

    raw = None
    if data is not None or has_bundled_data(run):
        raw = read_again(run, data, tell, "subtypes RUN DATA", **fields)
    find_run_subtypes(run, raw, out, say=tell, show=print_subtypes)
    if out is None:
        typer.echo(f"subtypes: {RunFolder(run).subtypes.people}, report: {written_page(run)}")
    else:
        typer.echo(f"subtypes: {out}")


@data_options("root", "tables")
def visits(
    run: Run,
    fields: dict[str, Any],
    time: Annotated[
        str, typer.Option(help="Attribute: time of each scan in years, such as age.", show_default=False)
    ],
    data: Annotated[Path | None, typer.Argument(help="New scans; without, the run's test part.")] = None,
    out: Annotated[Path | None, typer.Option(help="CSV file to write; RUN/visits.csv without DATA.")] = None,
    unseen_site: UnseenSiteOrEstimate = None,
) -> None:
    """Several scans a person: change of codes per year, and reliability over scan and rescan."""
    if out is not None:
        check_out(out, "file")
    check_new_data(unseen_site, data)
    load_torch()

    from sepvae.cli.tables import print_visits
    from sepvae.run_folder import RunFolder
    from sepvae.runs.new_data import read_new_data
    from sepvae.runs.visits import score_visits

    source = None if data is None else read_new_data(run, data, **fields, labelled=False, say=tell)
    scores = score_visits(run, time, source, out, unseen_site=unseen_site, say=tell)
    print_visits(scores)
    if out is not None:
        typer.echo(f"visits: {out}")
    elif data is None:
        typer.echo(f"visits: {RunFolder(run).visits}, report: {written_page(run)}")
    else:
        typer.echo("nothing is written; --out FILE.csv keeps the numbers")


@data_options("root", "tables")
def explore(
    run: Run,
    fields: dict[str, Any],
    data: Annotated[
        Path | None,
        typer.Argument(help="What it was fitted on; without, few people are shown with their input."),
    ] = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port on this machine; by default a free one.")
    ] = 0,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the browser, or only print the address.")
    ] = True,
) -> None:
    """Explore a run in the browser: scatter, single people, sliders along salient axes, swaps; local only."""
    from importlib.util import find_spec

    from sepvae.errors import DataError

    if find_spec("dash") is None:
        raise DataError("sepvae explore needs Dash, which is not installed: pip install 'sepvae[explore]'")
    load_torch()

    from sepvae.explore.server import serve
    from sepvae.progress import stage
    from sepvae.runs.new_data import has_bundled_data, read_again
    from sepvae.runs.resume import check_same_data

    samples = None
    if data is not None or has_bundled_data(run):
        samples = read_again(run, data, tell, "explore RUN DATA", **fields)
        with stage("comparing the data with those of the run", tell):
            check_same_data(run, samples.train, samples.test)
    else:
        tell("note: without DATA, the input is shown of people that the run folder has as examples")
    serve(run, samples, port=port, open_browser=browser, say=tell)
