"""Entry point of the command line: expected errors print one line and exit with status 2."""

import os
import signal
import sys

from sepvae.cli.plain import plain
from sepvae.errors import SepVAEError


def main() -> None:
    """Run a command; print an expected error as one line and exit with status 2."""
    from sepvae.cli.app import app

    _end_by_sigterm()
    try:
        app(prog_name="sepvae")
    except SepVAEError as error:
        _fail(str(error))
    except OSError as error:  # missing or read-only folder, full disk
        _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))


def _end_by_sigterm() -> None:
    """Turn SIGTERM, as schedulers send it, into SystemExit, so that incomplete files are removed."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    if hasattr(os, "register_at_fork"):  # data-loading processes have nothing to clean up
        os.register_at_fork(after_in_child=lambda: signal.signal(signal.SIGTERM, signal.SIG_DFL))


def _fail(message: str) -> None:
    print(f"sepvae: {plain(message)}", file=sys.stderr)  # noqa: T201
    sys.exit(2)
