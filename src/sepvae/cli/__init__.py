"""Entry point of the command line: expected errors print one line and exit with status 2."""

import os
import signal
import sys

import typer

from sepvae.errors import SepVAEError


def main() -> None:
    """Run a command; print an expected error as one line and exit with status 2."""
    from sepvae.cli.app import app

    # Schedulers send SIGTERM: as SystemExit, it removes incomplete files.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    if hasattr(os, "register_at_fork"):  # data-loading processes have nothing to clean up
        os.register_at_fork(after_in_child=lambda: signal.signal(signal.SIGTERM, signal.SIG_DFL))
    try:
        app(prog_name="sepvae")
    except SepVAEError as error:
        _fail(str(error))
    except OSError as error:  # missing or read-only folder, full disk
        _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))


def _fail(message: str) -> None:
    typer.echo(f"sepvae: {printable(message)}", err=True)
    sys.exit(2)


def printable(data: object) -> str:
    """
    Escape non-printable characters, which a terminal could interpret as commands.

    >>> print(printable("p1\\n\\x1b[31m"))
    p1\\n\\x1b[31m
    """
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(data))


def load_torch() -> None:
    """Import PyTorch and Lightning, with a bar on a terminal: it takes seconds."""
    from sepvae.progress import progress_bar

    with progress_bar("loading PyTorch"):
        import sepvae.methods  # noqa: F401


def tell(message: object) -> None:
    """Print one line, with non-printable characters escaped."""
    typer.echo(printable(message))
