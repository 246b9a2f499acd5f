"""Estimators from a method's name, a preset, a recipe and keywords."""

from collections.abc import Iterable
from typing import Any

from sepvae.checks import check_choice
from sepvae.data.spec import nearest
from sepvae.errors import DataError
from sepvae.recipes import Recipe
from sepvae.registry import find_method, method_names


def make_model(
    method: str, preset: str, recipe: Recipe | None, keywords: dict[str, Any] | None = None
) -> Any:
    """Return a method with the keywords of its preset, overridden by the recipe's, then by `keywords`."""
    check_choice("method", method, method_names())
    cls = find_method(method)
    if recipe is None:
        return cls.from_preset(preset, **keywords or {})
    given = recipe_keywords(recipe, method, preset) | (keywords or {})
    return cls(**cls.presets.get(preset, {}) | given)


def recipe_keywords(recipe: Recipe, method: str, preset: str) -> dict[str, Any]:
    """Return the keywords that a recipe sets for a method; raise DataError if the method lacks one."""
    given = recipe.keywords(method, preset)
    check_keywords(given, method, f"{recipe.file}: methods.{method}.{preset}")
    return given


def check_keywords(names: Iterable[str], method: str, where: str) -> None:
    """Raise DataError if a method lacks a keyword."""
    # Callbacks and loggers are objects, which have no form as text.
    known = [name for name in find_method(method)().get_params() if name not in ("callbacks", "logger")]
    if unknown := [name for name in names if name not in known]:
        raise DataError(f"{where}: {method} has no keyword {unknown[0]!r}; {nearest(unknown[0], known)}")
