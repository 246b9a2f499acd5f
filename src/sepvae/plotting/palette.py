"""Style of all figures: colours with one meaning, and names from data as short lines of text."""

from contextlib import AbstractContextManager

from sepvae.process_wide import ignoring

# Colours of Okabe and Ito, safe for colour blindness.
BACKGROUND = "#0072B2"
TARGET = "#D55E00"
COMMON, SALIENT = BACKGROUND, TARGET  # common parts are in all samples, salient parts in targets only
MORE, LESS = "#B2182B", "#2166AC"  # ends of DIFFERENCES; distinct from the colours of groups
DIFFERENCES, AMOUNTS = "RdBu_r", "viridis"  # colour maps
CATEGORIES = (BACKGROUND, TARGET, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
NEUTRAL = "#333333"
OTHERS = "#8C8C8C"
MISSING = "#C8C8C8"

LENGTH = 40  # characters
UNSEEN = "\N{REPLACEMENT CHARACTER}"  # replaces line breaks, and characters of direction or without width


def shortened(name: object, length: int = LENGTH) -> str:
    """
    Return a name as one printable line of at most `length` characters, shortened in the middle.

    >>> shortened("Pneumonia, of viruses and of bacteria", 20)
    'Pneumonia…f bacteria'
    """
    line = "".join(c if c.isprintable() else UNSEEN for c in str(name))
    start = (length - 1) // 2
    return line if len(line) <= length else f"{line[:start]}…{line[start + 1 - length :]}"


def any_letters() -> AbstractContextManager[None]:
    """Suppress warnings on letters that the font lacks; matplotlib draws them as boxes."""
    return ignoring("Glyph .* missing from font")
