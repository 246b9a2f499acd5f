"""Keywords from the command line."""

from difflib import get_close_matches
from typing import Any

import yaml

from sepvae.errors import DataError
from sepvae.methods import SepVAE


def parse_keywords(pairs: list[str]) -> dict[str, Any]:
    """
    Turn KEY=VALUE pairs into keywords of SepVAE; values are read as YAML.

    Examples
    --------
    >>> parse_keywords(["kappa=2", "gamma=1e-10", "network=e2", "random_state=None"])
    {'kappa': 2, 'gamma': 1e-10, 'network': 'e2', 'random_state': None}
    """
    # Callbacks and loggers are objects, which a command line cannot write.
    known = [name for name in SepVAE().get_params() if name not in ("callbacks", "logger")]
    keywords = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals:
            raise DataError(f"--set: wanted KEY=VALUE, got {pair!r}")
        if key not in known:
            near = get_close_matches(key, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
            raise DataError(f"--set: SepVAE has no keyword {key!r}; {hint}")
        keywords[key] = _value(text)
    return keywords


def _value(text: str) -> Any:
    if text == "None":  # as messages and docs write it; YAML's is null
        return None
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    try:
        return float(value) if isinstance(value, str) else value  # YAML takes 1e-10 for a word
    except ValueError:
        return value
