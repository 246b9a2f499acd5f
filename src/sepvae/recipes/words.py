"""Help with hand-written YAML: plain Python values, and suggestions for misspelt names."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any


def plain_value(value: Any) -> Any:
    """
    Convert text such as "1e-10" to a number, and "None" to None: YAML reads both as text.

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
    Return a hint for an unknown name: the closest known one, or all of them if none is close.

    >>> nearest("sedes", ["folds", "seeds"])
    'did you mean seeds?'
    """
    near = get_close_matches(word, known, 1)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
