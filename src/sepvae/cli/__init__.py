"""The command line: parse, call, print."""

import sys

from sepvae.errors import SepVAEError


def main() -> None:
    """Run a command; a user's mistake is one line and status 2."""
    from sepvae.cli.app import app

    try:
        app(prog_name="sepvae")
    except SepVAEError as error:
        print(f"sepvae: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
