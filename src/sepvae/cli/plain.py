"""Text from data on a terminal: one line stays one line, and no character is obeyed."""

import typer


def plain(data: object) -> str:
    """
    Write characters that nobody sees as their numbers: a terminal would obey some of them.

    Examples
    --------
    >>> print(plain("p1\\n\\x1b[31m"))
    p1\\n\\x1b[31m
    """
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(data))


def tell(message: object) -> None:
    """Print one line."""
    typer.echo(plain(message))
