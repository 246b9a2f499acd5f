"""Method keywords from the command line."""

from collections.abc import Iterable
from typing import Any

import yaml

from sepvae.errors import DataError
from sepvae.recipes.recipe import plain_value
from sepvae.registry import find_method
from sepvae.runs.models import check_keywords


def shared_keywords(pairs: list[str], chosen: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return the KEY=VALUE pairs that each method knows; raise DataError for a pair that none knows."""
    chosen = list(chosen)
    found: dict[str, dict[str, Any]] = {method: {} for method in chosen}
    for pair in pairs:
        key = pair.partition("=")[0]
        takers = [method for method in chosen if key in find_method(method)().get_params()]
        for method in takers or chosen[:1]:  # if none knows it, the first one raises
            found[method] |= parse_keywords([pair], method)
    return found


def parse_keywords(pairs: list[str], method: str = "SepVAE") -> dict[str, Any]:
    """
    Parse KEY=VALUE pairs into keywords of a method; values are YAML.

    >>> parse_keywords(["kappa=2", "gamma=1e-10", "network=e2", "random_state=None"])
    {'kappa': 2, 'gamma': 1e-10, 'network': 'e2', 'random_state': None}
    """
    keywords = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals:
            raise DataError(f"--set: wanted KEY=VALUE, got {pair!r}")
        if key == "background":
            raise DataError("--set: the background is named by --background, not by --set")
        check_keywords([key], method, "--set")
        keywords[key] = _value(text)
    return keywords


def _value(text: str) -> Any:
    try:
        return plain_value(yaml.safe_load(text))
    except yaml.YAMLError:
        return text
