"""Safe terminal output of text from data: control characters are escaped."""

import typer


def plain(data: object) -> str:
    """
    Escape non-printable characters, which a terminal could interpret as commands.

    >>> print(plain("p1\\n\\x1b[31m"))
    p1\\n\\x1b[31m
    """
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(data))


def tell(message: object) -> None:
    """Print one line, with non-printable characters escaped."""
    typer.echo(plain(message))
