"""What people write in YAML: values as Python has them, and the name that was meant."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any


def plain_value(value: Any) -> Any:
    """
    Value of a keyword as Python has it: YAML takes 1e-10 and None for words.

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

    Examples
    --------
    >>> nearest("sedes", ["folds", "seeds"])
    'did you mean seeds?'
    """
    near = get_close_matches(word, known, 1)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
