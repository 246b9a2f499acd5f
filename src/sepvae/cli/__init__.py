"""The command line: parse, call, print."""

import os
import signal
import sys

from sepvae.cli.plain import plain
from sepvae.errors import SepVAEError


def main() -> None:
    """Run a command; a user's mistake is one line and status 2."""
    from sepvae.cli.app import app

    _end_by_sigterm()
    try:
        app(prog_name="sepvae")
    except SepVAEError as error:
        _fail(str(error))
    except OSError as error:  # a folder that is not there or may not be written, a full disk
        _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))


def _end_by_sigterm() -> None:
    """End as by Ctrl-C when a scheduler asks for it: what is half written is removed, what is whole stays."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    if hasattr(os, "register_at_fork"):  # processes that read have nothing to tidy up
        os.register_at_fork(after_in_child=lambda: signal.signal(signal.SIGTERM, signal.SIG_DFL))


def _fail(message: str) -> None:
    print(f"sepvae: {plain(message)}", file=sys.stderr)  # noqa: T201
    sys.exit(2)
