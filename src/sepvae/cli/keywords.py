"""Method keywords from the command line and from recipes."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import yaml

from sepvae.checks import check_choice
from sepvae.errors import DataError
from sepvae.recipes.words import nearest, plain_value
from sepvae.registry import find_method, method_names

if TYPE_CHECKING:
    from sepvae.recipes import Recipe


def make_model(
    method: str, preset: str, recipe: "Recipe | None", pairs: list[str] | None, *, background: str | None
) -> Any:
    """Return a method with the keywords of its preset, overridden by the recipe, then by KEY=VALUE pairs."""
    check_choice("--method", method, method_names())
    cls = find_method(method)
    keywords = {"background": background} | parse_keywords(pairs or [], method)
    if recipe is None:
        return cls.from_preset(preset, **keywords)
    return cls(**cls.presets.get(preset, {}) | recipe_keywords(recipe, method, preset) | keywords)


def recipe_keywords(recipe: "Recipe", method: str, preset: str) -> dict[str, Any]:
    """Return the keywords that a recipe sets for a method; raise DataError if the method lacks one."""
    given = recipe.keywords(method, preset)
    _check_names(given, method, f"{recipe.file}: methods.{method}.{preset}")
    return given


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
        _check_names([key], method, "--set")
        keywords[key] = _value(text)
    return keywords


def _check_names(names: Iterable[str], method: str, where: str) -> None:
    # Callbacks and loggers are objects, which have no form as text.
    known = [name for name in find_method(method)().get_params() if name not in ("callbacks", "logger")]
    if unknown := [name for name in names if name not in known]:
        raise DataError(f"{where}: {method} has no keyword {unknown[0]!r}; {nearest(unknown[0], known)}")


def _value(text: str) -> Any:
    try:
        return plain_value(yaml.safe_load(text))
    except yaml.YAMLError:
        return text
