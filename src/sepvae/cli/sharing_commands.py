"""Commands that share a run: with other programs, and with other people."""

from pathlib import Path
from typing import Annotated

import typer

from sepvae.cli import load_torch, tell
from sepvae.cli.options import Run


def export(
    run: Run,
    out: Annotated[Path, typer.Option(help="Folder to make.", show_default=False)],
    onnx: Annotated[
        bool, typer.Option("--onnx", help="Write encoders and decoder as ONNX graphs instead.")
    ] = False,
    space: Annotated[
        str | None,
        typer.Option(
            help="Space of the maps, such as MNI152NLin2009cAsym; by default that in ids named as BIDS does.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write codes and maps of a run as a BIDS derivative dataset, or its model as ONNX graphs, to share."""
    if not onnx:
        from sepvae.runs.bids import export_bids

        typer.echo(f"BIDS derivative: {export_bids(run, out, space=space)}")
        return
    from sepvae.errors import DataError

    if space is not None:
        raise DataError("--space: it is for maps of the BIDS derivative; leave it out with --onnx")
    load_torch()
    from sepvae.methods import load
    from sepvae.progress import stage

    model = load(run)
    with stage("writing and comparing the graphs", tell):
        folder = model.to_onnx(out)
    typer.echo(f"ONNX graphs: {folder}")


def push(
    run: Run,
    repo: Annotated[str, typer.Argument(help="Repository on the Hugging Face Hub: user/model.")],
    private: Annotated[
        bool, typer.Option("--private/--public", help="Whether only your account may read it.")
    ] = True,
    license_id: Annotated[
        str | None,
        typer.Option("--license", metavar="ID", help="License of the model, such as cc-by-nc-4.0."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the model card, and upload nothing.")
    ] = False,
) -> None:
    """Upload the model of a run, with a model card: no codes, ids or images."""
    load_torch()

    from sepvae.methods import load
    from sepvae.methods.hub import check_repo, model_card
    from sepvae.progress import stage
    from sepvae.run_folder import RunFolder
    from sepvae.runs.description import describe_run

    check_repo(repo)
    model, about = load(run), describe_run(RunFolder(run))
    if dry_run:
        typer.echo(model_card(model, repo, license_id, about))
        who = "private" if private else "public"
        typer.echo(f"nothing was uploaded; without --dry-run this card and the model go to {repo} ({who})")
        return
    with stage("uploading", tell):
        address = model.push_to_hub(repo, private=private, license_id=license_id, about=about)
    typer.echo(f"model: {address}")
