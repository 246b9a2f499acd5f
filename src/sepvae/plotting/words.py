"""Names from data as a figure can show them: in one line, not too long, in the letters that there are."""

from collections.abc import Iterator
from contextlib import contextmanager

from sepvae.shared import ignoring

LENGTH = 40  # characters
UNSEEN = "\N{REPLACEMENT CHARACTER}"  # for line breaks, and marks that turn a line around or have no width


def printable(name: object) -> str:
    """Make a name one line of characters that are seen."""
    return "".join(c if c.isprintable() else UNSEEN for c in str(name))


def shortened(name: object, length: int = LENGTH) -> str:
    """
    Make a name one line that leaves room for the figure: its start and its end.

    Examples
    --------
    >>> shortened("Pneumonia, of viruses and of bacteria", 20)
    'Pneumonia…f bacteria'
    """
    line = printable(name)
    start = (length - 1) // 2
    return line if len(line) <= length else f"{line[:start]}…{line[start + 1 - length :]}"


@contextmanager
def any_letters() -> Iterator[None]:
    """Draw letters that the font lacks as boxes, without a word about each."""
    with ignoring("Glyph .* missing from font"):
        yield
