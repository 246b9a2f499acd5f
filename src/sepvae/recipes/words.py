"""What people write in YAML: values as Python has them, and the name that was meant."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any


def plain_value(value: Any) -> Any:
    """
    Value of a keyword as Python has it: YAML takes 1e-10 and None for words.

    Parameters
    ----------
    value : object
        As YAML read it.

    Returns
    -------
    object
        A number for a word that is one, None for "None"; others as they are.

    Examples
    --------
    >>> plain_value("1e-10"), plain_value("None"), plain_value("e2")
    (1e-10, None, 'e2')
    """
    if value == "None":
        return None
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def nearest(word: str, known: Sequence[str]) -> str:
    """
    Help with a name that is not known.

    Parameters
    ----------
    word : str
        What was written.
    known : sequence of str
        What there is.

    Returns
    -------
    str
        The likeliest, or all.

    Examples
    --------
    >>> nearest("sedes", ["folds", "seeds"])
    'did you mean seeds?'
    """
    near = get_close_matches(word, known, 1)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
