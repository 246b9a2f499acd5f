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
