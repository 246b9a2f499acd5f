"""Names from data as text for figures: one line, limited in length, with letters that a font may lack."""

from collections.abc import Iterator
from contextlib import contextmanager

from sepvae.process_wide import ignoring

LENGTH = 40  # characters
UNSEEN = "\N{REPLACEMENT CHARACTER}"  # replaces line breaks, and characters of direction or without width


def printable(name: object) -> str:
    """Return a name as one line of the same length, with a replacement for each unprintable character."""
    return "".join(c if c.isprintable() else UNSEEN for c in str(name))


def shortened(name: object, length: int = LENGTH) -> str:
    """
    Return a name as one line of at most `length` characters, shortened in the middle.

    >>> shortened("Pneumonia, of viruses and of bacteria", 20)
    'Pneumonia…f bacteria'
    """
    line = printable(name)
    start = (length - 1) // 2
    return line if len(line) <= length else f"{line[:start]}…{line[start + 1 - length :]}"


@contextmanager
def any_letters() -> Iterator[None]:
    """Suppress warnings on letters that the font lacks; matplotlib draws them as boxes."""
    with ignoring("Glyph .* missing from font"):
        yield
