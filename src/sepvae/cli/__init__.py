"""The command line: parse, call, print."""

import sys

from sepvae.errors import SepVAEError


def main() -> None:
    """Run a command; a user's mistake is one line and status 2."""
    from sepvae.cli.app import app

    try:
        app(prog_name="sepvae")
    except SepVAEError as error:
        _fail(str(error))
    except OSError as error:  # a folder that is not there or may not be written, a full disk
        _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))


def _fail(message: str) -> None:
    print(f"sepvae: {message}", file=sys.stderr)  # noqa: T201
    sys.exit(2)
